"""Serial lines, on real pseudo terminals: the test holds the other end as a plain file descriptor."""

from __future__ import annotations

import asyncio
import errno
import os
import sys
import tty
from collections.abc import Iterator
from pathlib import Path

import pytest

from zahlwerk.errors import ConfigurationError, LinkUnavailable, LocalProtocolError, MoneyMoved
from zahlwerk.transport.serial import open_serial
from zahlwerk.transport.stream import ByteStream, StreamEnded


class Master:
    """The far end of a pseudo terminal."""

    def __init__(self) -> None:
        self.fd, slave = os.openpty()
        tty.setraw(slave)
        self.device = os.ttyname(slave)
        os.close(slave)
        os.set_blocking(self.fd, False)

    async def read(self, count: int) -> bytes:
        loop, out = asyncio.get_running_loop(), b""
        while len(out) < count:
            ready: asyncio.Future[None] = loop.create_future()
            loop.add_reader(self.fd, _settle, ready)
            try:
                await ready
            finally:
                loop.remove_reader(self.fd)
            out += os.read(self.fd, 65536)
        return out

    def write(self, data: bytes) -> int:
        return os.write(self.fd, data)

    def unplug(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


def _settle(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)


@pytest.fixture
def master() -> Iterator[Master]:
    master = Master()
    yield master
    master.unplug()


async def turns(count: int = 20) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def read_exactly(stream: ByteStream, count: int) -> bytes:
    out = b""
    while len(out) < count:
        out += await stream.receive()
    return out


async def test_every_byte_value_passes_both_ways_unchanged(master: Master) -> None:
    """Also those that a terminal would take for itself: line feeds, flow control, end of file."""
    async with await open_serial(master.device) as line:
        await line.send(bytes(range(256)))
        assert await master.read(256) == bytes(range(256))
        master.write(bytes(range(256)))
        assert await read_exactly(line, 256) == bytes(range(256))
        assert (line.local, line.peer) == (master.device, master.device)


async def test_settings_reach_the_device(master: Master) -> None:
    line = await open_serial(master.device, baud=9600, bytesize=8, parity="N", stopbits=2)
    assert line._port.baudrate == 9600  # type: ignore[attr-defined]  # what the driver was told
    await line.close()


async def test_a_long_message_goes_out_as_fast_as_the_other_end_reads_it(master: Master) -> None:
    data = bytes(range(256)) * 400
    line = await open_serial(master.device)
    async with asyncio.TaskGroup() as group:
        sending = group.create_task(line.send(data))
        await turns(50)
        assert not sending.done()
        assert await master.read(len(data)) == data
    await line.close()


async def test_a_flood_does_not_grow_the_memory_and_nothing_is_lost(master: Master) -> None:
    """While nobody receives, the line is not read any more, so the far end has to wait."""
    line = await open_serial(master.device)
    written, stuck = 0, 0
    while stuck < 20:
        try:
            written += master.write(b"x" * 4000)
            stuck = 0
        except BlockingIOError:
            stuck += 1
        await turns(3)
    assert written < 200_000
    assert line._inbox._size < 70_000  # type: ignore[attr-defined]  # the bound under test
    assert len(await read_exactly(line, written)) == written
    await line.close()


async def test_unplugging_ends_a_receive_with_a_reason_after_what_had_arrived(master: Master) -> None:
    line = await open_serial(master.device)
    master.write(b"half a fra")
    assert await line.receive() == b"half a fra"
    receiving = asyncio.create_task(line.receive())
    await turns()
    master.unplug()
    with pytest.raises(StreamEnded, match="the device was unplugged") as caught:
        await receiving
    assert caught.value.money_moved is MoneyMoved.NO
    await line.close()


async def test_unplugging_ends_a_send_that_waits(master: Master) -> None:
    line = await open_serial(master.device)
    sending = asyncio.create_task(line.send(b"x" * 100_000))
    await turns(50)
    assert not sending.done()
    master.unplug()
    with pytest.raises(StreamEnded, match="the device was unplugged") as caught:
        await sending
    assert caught.value.money_moved is MoneyMoved.MAYBE
    with pytest.raises(StreamEnded):
        await line.send(b"x")
    await line.close()


async def test_closing_ends_what_waits_and_is_idempotent(master: Master) -> None:
    line = await open_serial(master.device)
    waiting = [asyncio.create_task(line.receive()), asyncio.create_task(line.send(b"x" * 100_000))]
    await turns(50)
    await asyncio.gather(line.close(), line.close())
    await line.close()
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert [str(result) for result in results] == ["the line was closed on this side"] * 2


async def test_the_last_words_before_closing_arrive(master: Master) -> None:
    line = await open_serial(master.device)
    await line.send(b"last words")
    await line.close()
    assert await master.read(10) == b"last words"


async def test_a_closed_device_can_be_opened_again(master: Master) -> None:
    for text in (b"one", b"two"):
        line = await open_serial(master.device)
        await line.send(text)
        assert await master.read(3) == text
        await line.close()


async def test_a_cancelled_receive_and_a_cancelled_send_leave_the_line_usable(master: Master) -> None:
    line = await open_serial(master.device)
    tasks = [asyncio.create_task(line.receive()), asyncio.create_task(line.send(b"x" * 100_000))]
    await turns(50)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    master.write(b"still here")
    assert await line.receive() == b"still here"
    await line.close()


class TestLastBytes:
    """A real driver still holds bytes when the line is closed; a pseudo terminal never does, so it is told to."""

    @staticmethod
    async def line(
        master: Master, waiting: list[int], dropped: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> ByteStream:
        line = await open_serial(master.device)
        kind = type(line._port)  # type: ignore[attr-defined]  # the driver under the stream
        monkeypatch.setattr(kind, "out_waiting", property(lambda port: waiting.pop(0) if waiting else 0))
        monkeypatch.setattr(kind, "reset_output_buffer", lambda port: dropped.append("dropped"))
        monkeypatch.setattr("zahlwerk.transport.serial._DRAIN_STEP_S", 0)
        return line

    async def test_closing_waits_until_they_have_left(self, master: Master, monkeypatch: pytest.MonkeyPatch) -> None:
        waiting, dropped = [30, 20, 10], list[str]()
        await (await self.line(master, waiting, dropped, monkeypatch)).close()
        assert (waiting, dropped) == ([], [])

    async def test_closing_drops_them_if_they_do_not_leave(
        self, master: Master, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("zahlwerk.transport.serial.CLOSE_S", 0.0)
        waiting, dropped = [5] * 100, list[str]()
        await (await self.line(master, waiting, dropped, monkeypatch)).close()
        assert dropped == ["dropped"]

    async def test_a_cancelled_closing_drops_them_and_frees_the_device(
        self, master: Master, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        waiting, dropped = [5] * 10_000, list[str]()
        closing = asyncio.create_task((await self.line(master, waiting, dropped, monkeypatch)).close())
        await turns()
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
        assert dropped == ["dropped"]
        await (await open_serial(master.device)).close()


async def test_two_receivers_are_refused(master: Master) -> None:
    line = await open_serial(master.device)
    first = asyncio.create_task(line.receive())
    await turns()
    with pytest.raises(LocalProtocolError, match="one owner"):
        await line.receive()
    first.cancel()
    await line.close()


async def test_a_device_is_open_for_one_program_only(master: Master) -> None:
    async with await open_serial(master.device):
        with pytest.raises(LinkUnavailable, match="another program uses it"):
            await open_serial(master.device)


async def test_a_missing_device_is_named(tmp_path: Path) -> None:
    with pytest.raises(LinkUnavailable, match=r"ttyNone: there is no such device") as caught:
        await open_serial(str(tmp_path / "ttyNone"))
    assert caught.value.money_moved is MoneyMoved.NO


async def test_what_is_no_serial_device_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"")
    with pytest.raises(LinkUnavailable, match="not a serial device"):
        await open_serial(str(file))
    with pytest.raises(LinkUnavailable, match="not a serial device"):
        await open_serial(str(tmp_path))


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.EACCES, "this user may not open it"),
        (errno.EBUSY, "another program uses it"),
        (errno.ENOMEM, "cannot be opened"),
    ],
)
async def test_each_way_in_which_opening_fails_has_its_words(
    number: int, words: str, master: Master, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise OSError(number, "no")

    monkeypatch.setattr("serial.Serial", refuse)
    with pytest.raises(LinkUnavailable, match=words):
        await open_serial(master.device)


@pytest.mark.parametrize("options", [{"baud": -1}, {"bytesize": 9}, {"parity": "Q"}, {"stopbits": 3}])
async def test_impossible_settings_are_refused(options: dict[str, object], master: Master) -> None:
    with pytest.raises(ConfigurationError, match="impossible serial setting"):
        await open_serial(master.device, **options)  # type: ignore[arg-type]  # each of its own type


async def test_without_the_library_the_message_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "serial", None)
    with pytest.raises(ConfigurationError, match="need the library pyserial") as caught:
        await open_serial("/dev/null")
    assert "pip install 'zahlwerk[serial]'" in caught.value.remedy
