"""Where a second connection waits until it has introduced itself as a register. I/O.

A port scanner, a probe or a thousand silent connections must not disturb the register that is being served: only a
ConnectRequest may take its place.
"""

from __future__ import annotations

import asyncio
from typing import Final

from zahlwerk.clock import Clock
from zahlwerk.errors import LinkError, RemoteProtocolError
from zahlwerk.interfaces.kit.codec import decode_line, encode_line
from zahlwerk.interfaces.kit.codes import OurErrorCode
from zahlwerk.interfaces.kit.messages import ConnectRequest, ErrorNotification
from zahlwerk.transport.stream import ByteStream

__all__ = ["introduced", "turn_away"]

# LIMIT: a ConnectRequest is some hundred bytes.
FIRST_BYTES_MAX: Final = 65_536
# LIMIT: the same time as for a first connection (terminal.INTRODUCTION_S).
INTRODUCTION_S: Final = 30.0


class _Remembered(ByteStream):
    """A stream of which something has been read already."""

    def __init__(self, inner: ByteStream, read: bytes) -> None:
        self.local = inner.local
        self.peer = inner.peer
        self._inner = inner
        self._read = read

    async def receive(self) -> bytes:
        if self._read:
            data, self._read = self._read, b""
            return data
        return await self._inner.receive()

    async def send(self, data: bytes) -> None:
        await self._inner.send(data)

    async def close(self) -> None:
        await self._inner.close()


async def introduced(stream: ByteStream, clock: Clock) -> ByteStream | None:
    """The stream from its ConnectRequest on, once that has come; None if it ended, or never said anything sensible."""
    buffer = b""
    closing: set[asyncio.Task[None]] = set()

    def too_late() -> None:
        closing.add(asyncio.create_task(stream.close()))

    stop = clock.call_at(clock.now_s() + INTRODUCTION_S, too_late)
    try:
        while len(buffer) <= FIRST_BYTES_MAX:
            buffer += await stream.receive()
            while b"\n" in buffer:
                line, rest = buffer.split(b"\n", 1)
                if _is_introduction(line):
                    return _Remembered(stream, buffer)
                buffer = rest
                if line.strip():
                    await _say(stream, OurErrorCode.NOT_CONNECTED, "Not connected: send ConnectRequest first")
    except LinkError:
        return None
    finally:
        stop()
        await asyncio.gather(*closing, return_exceptions=True)
    return None


async def turn_away(stream: ByteStream) -> None:
    """Tell a second register that the place is taken."""
    try:
        await _say(stream, OurErrorCode.BUSY, "Another register is connected")
    except LinkError:
        return


async def _say(stream: ByteStream, code: OurErrorCode, text: str) -> None:
    await stream.send(encode_line(ErrorNotification(error_code=int(code), error_source="ECR", error_description=text)))


def _is_introduction(line: bytes) -> bool:
    try:
        return isinstance(decode_line(line).message, ConnectRequest)
    except RemoteProtocolError:
        return False
