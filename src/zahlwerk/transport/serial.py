"""Serial lines, real or pseudo terminals, with pyserial for the settings and asyncio for the waiting.

The device is opened for one program only. Needs a system whose devices can be waited for (POSIX).
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
from types import ModuleType
from typing import TYPE_CHECKING, Final

from zahlwerk.errors import ConfigurationError, LinkUnavailable, NotSupported
from zahlwerk.transport._inbox import Inbox
from zahlwerk.transport.stream import BUFFER_BYTES_MAX, CHUNK_BYTES_MAX, CLOSE_S, ByteStream, StreamEnded

if TYPE_CHECKING:
    import serial

__all__ = ["open_serial"]

_READ_BYTES: Final = 4096
_DRAIN_STEP_S: Final = 0.01
_OPEN_WORDS: Final = {
    errno.ENOENT: ("there is no such device", "check the name and the cable; does the adapter show up?"),
    errno.ENODEV: ("there is no such device", "check the name and the cable; does the adapter show up?"),
    errno.ENXIO: ("there is no such device", "check the name and the cable; does the adapter show up?"),
    errno.EACCES: ("this user may not open it", "add the user to the group that owns it, often `dialout`"),
    errno.EPERM: ("this user may not open it", "add the user to the group that owns it, often `dialout`"),
    errno.EBUSY: ("another program uses it", "stop the other program"),
    errno.EAGAIN: ("another program uses it", "stop the other program"),
    errno.EISDIR: ("it is not a serial device", "check the name"),
    errno.ENOTTY: ("it is not a serial device", "check the name"),
}


async def open_serial(
    device: str,
    *,
    baud: int = 115200,
    bytesize: int = 8,
    parity: str = "N",
    stopbits: float = 1,
    rtscts: bool = False,
) -> ByteStream:
    """A serial line, opened for this program only.

    Args:
        device: `/dev/ttyUSB0`, or a pseudo terminal.
        baud: bits per second.
        bytesize: 5 to 8.
        parity: N, E, O, M or S.
        stopbits: 1, 1.5 or 2.
        rtscts: hardware flow control.

    Raises:
        LinkUnavailable: the device is missing, in use, not ours to open, or no serial device.
        ConfigurationError: pyserial is not installed, or a setting is impossible.
        NotSupported: not a POSIX system.
    """
    if os.name != "posix":
        raise NotSupported("open serial lines", "this operating system", why="its devices cannot be waited for")
    pyserial = _library()
    try:
        port = pyserial.Serial(
            device,
            baudrate=baud,
            bytesize=bytesize,
            parity=parity,
            stopbits=stopbits,
            rtscts=rtscts,
            timeout=0,
            write_timeout=0,
            # With it the driver reports "nothing there" apart from "unplugged", which otherwise look the same.
            inter_byte_timeout=0,
            exclusive=True,
        )
    except pyserial.SerialException as exc:
        raise _unavailable(device, exc) from exc
    except (ValueError, OverflowError) as exc:
        raise ConfigurationError(f"{device}: impossible serial setting: {exc}") from exc
    except OSError as exc:
        raise _unavailable(device, exc) from exc
    except Exception as exc:
        # termios.error is no OSError: a file that is not a terminal, or a setting that the driver refuses.
        number = exc.args[0] if exc.args and isinstance(exc.args[0], int) else errno.ENOTTY
        raise _unavailable(device, OSError(number, str(exc))) from exc
    return _SerialStream(port, device)


def _library() -> ModuleType:
    try:
        import serial
    except ImportError as exc:
        raise ConfigurationError(
            "serial lines need the library pyserial", remedy="install it: pip install 'zahlwerk[serial]'"
        ) from exc
    return serial


def _unavailable(device: str, exc: OSError) -> LinkUnavailable:
    # pyserial puts a failed lock and a device that is no terminal into its text, without a number.
    text = str(exc)
    number = exc.errno
    if number is None and "exclusively lock" in text:
        number = errno.EBUSY
    if number is None and "configure port" in text:
        number = errno.ENOTTY
    words, remedy = _OPEN_WORDS.get(number or 0, ("it cannot be opened", "check the name and the cable"))
    return LinkUnavailable(f"{device}: {words}", remedy=remedy)


class _SerialStream(ByteStream):
    """Reads and writes the device when the event loop says that it can. No buffer of our own on the way out."""

    def __init__(self, port: serial.Serial, device: str) -> None:
        self.local = self.peer = device
        self._port = port
        self._fd: int = port.fileno()
        self._loop = asyncio.get_running_loop()
        self._inbox = Inbox(
            chunk_bytes_max=CHUNK_BYTES_MAX, full_bytes=BUFFER_BYTES_MAX, merge=True, on_room=self._resume
        )
        self._writer: asyncio.Future[None] | None = None
        self._sending = asyncio.Lock()
        self._sent = False
        self._closing: asyncio.Future[None] | None = None
        self._loop.add_reader(self._fd, self._readable)

    async def receive(self) -> bytes:
        data = await self._inbox.take()
        if data is None:
            raise self._over()
        return data

    async def send(self, data: bytes) -> None:
        async with self._sending:
            rest = memoryview(data)
            while rest:
                if self._inbox.ended is not None:
                    raise self._over()
                try:
                    count = os.write(self._fd, rest)
                except (BlockingIOError, InterruptedError):
                    await self._until_writable()
                    continue
                except OSError as exc:
                    self._end(_died(exc))
                    raise self._over() from exc
                self._sent = True
                rest = rest[count:]

    async def close(self) -> None:
        if self._closing is not None:
            await asyncio.wait([self._closing])
            return
        self._closing = self._loop.create_future()
        alive = self._inbox.ended is None
        self._end("the line was closed on this side", drop=True)
        try:
            if alive:
                await self._drain()
        finally:
            with contextlib.suppress(Exception):
                self._port.close()
            self._closing.set_result(None)

    async def _drain(self) -> None:
        """Let the last bytes leave; then drop them, for the system would wait for them much longer when closing."""
        deadline_s = self._loop.time() + CLOSE_S
        try:
            while self._port.out_waiting:
                if self._loop.time() >= deadline_s:
                    self._port.reset_output_buffer()
                    return
                await asyncio.sleep(_DRAIN_STEP_S)
        except asyncio.CancelledError:
            with contextlib.suppress(Exception):
                self._port.reset_output_buffer()
            raise
        except Exception:
            return

    async def _until_writable(self) -> None:
        self._writer = self._loop.create_future()
        self._loop.add_writer(self._fd, self._writer_ready)
        try:
            await self._writer
        finally:
            self._writer = None
            if self._inbox.ended is None:
                self._loop.remove_writer(self._fd)

    def _writer_ready(self) -> None:
        if self._writer is not None and not self._writer.done():
            self._writer.set_result(None)

    def _readable(self) -> None:
        try:
            data = os.read(self._fd, _READ_BYTES)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as exc:
            self._end(_died(exc))
            return
        if not data:
            self._end("the device was unplugged")
            return
        self._inbox.put(data)
        if self._inbox.full:
            self._loop.remove_reader(self._fd)

    def _resume(self) -> None:
        if self._inbox.ended is None:
            self._loop.add_reader(self._fd, self._readable)

    def _end(self, reason: str, *, drop: bool = False) -> None:
        if self._inbox.ended is None:
            self._loop.remove_reader(self._fd)
            self._loop.remove_writer(self._fd)
        self._inbox.end(reason, drop=drop)
        self._writer_ready()

    def _over(self) -> StreamEnded:
        return StreamEnded(self._inbox.ended or "the line is closed", request_sent=self._sent)


def _died(exc: OSError) -> str:
    if exc.errno in {errno.EIO, errno.ENODEV, errno.ENXIO, errno.EBADF}:
        return "the device was unplugged"
    return f"the line failed: {exc.strerror or type(exc).__name__}"
