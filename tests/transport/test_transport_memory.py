"""Streams and listeners inside the process; and what every listener promises, shown on them."""

from __future__ import annotations

import asyncio
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zahlwerk.errors import InvalidRequest, LinkUnavailable, LocalProtocolError, MoneyMoved
from zahlwerk.transport.memory import MemoryNetwork, MemoryStream, memory_pair
from zahlwerk.transport.stream import BUFFER_BYTES_MAX, CHUNK_BYTES_MAX, ByteStream, StreamEnded


async def turns(count: int = 20) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def echo(stream: ByteStream) -> None:
    while True:
        await stream.send(await stream.receive())


class TestPair:
    async def test_each_end_receives_what_the_other_sent_piece_by_piece(self) -> None:
        a, b = memory_pair()
        await a.send(b"one")
        await a.send(b"two")
        await b.send(b"three")
        assert [await b.receive(), await b.receive(), await a.receive()] == [b"one", b"two", b"three"]

    def test_the_ends_know_each_other(self) -> None:
        a, b = memory_pair("till", "terminal")
        assert (a.local, a.peer, b.local, b.peer) == ("till", "terminal", "terminal", "till")

    async def test_a_long_piece_comes_in_chunks(self) -> None:
        a, b = memory_pair()
        async with asyncio.TaskGroup() as group:
            group.create_task(a.send(b"x" * (3 * CHUNK_BYTES_MAX + 5)))
            sizes = [len(await b.receive()) for _ in range(4)]
        assert sizes == [CHUNK_BYTES_MAX] * 3 + [5]

    async def test_a_sender_waits_while_nobody_receives_and_goes_on_afterwards(self) -> None:
        a, b = memory_pair(buffer_bytes_max=10)
        await a.send(b"0123456789")
        waiting = asyncio.create_task(a.send(b"more"))
        await turns()
        assert not waiting.done()
        assert await b.receive() == b"0123456789"
        await waiting
        assert await b.receive() == b"more"

    async def test_closing_lets_the_peer_read_what_was_sent_and_then_tells_why_it_ended(self) -> None:
        a, b = memory_pair()
        await a.send(b"approved")
        await a.close()
        assert await b.receive() == b"approved"
        with pytest.raises(StreamEnded, match="the peer closed the connection"):
            await b.receive()
        with pytest.raises(StreamEnded, match="closed on this side"):
            await a.receive()

    async def test_closing_twice_is_one_closing(self) -> None:
        a, b = memory_pair()
        await a.close()
        await a.close()
        await b.close()

    async def test_closing_wakes_a_receiver_and_a_sender_of_both_ends(self) -> None:
        a, b = memory_pair(buffer_bytes_max=1)
        await a.send(b"x")
        tasks = [asyncio.create_task(a.send(b"y")), asyncio.create_task(a.receive())]
        await turns()
        await b.close()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(result) for result in results] == [StreamEnded, StreamEnded]

    async def test_two_receivers_are_refused(self) -> None:
        a, _ = memory_pair()
        first = asyncio.create_task(a.receive())
        await turns()
        with pytest.raises(LocalProtocolError, match="one owner"):
            await a.receive()
        first.cancel()

    async def test_a_cancelled_receive_loses_nothing(self) -> None:
        a, b = memory_pair()
        receiving = asyncio.create_task(b.receive())
        await turns()
        await a.send(b"late")
        receiving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await receiving
        assert await b.receive() == b"late"

    async def test_money_has_certainly_not_moved_on_a_stream_that_sent_nothing(self) -> None:
        a, b = memory_pair()
        await a.send(b"pay")
        a.cut()
        await b.receive()
        for stream, moved in ((a, MoneyMoved.MAYBE), (b, MoneyMoved.NO)):
            with pytest.raises(StreamEnded) as caught:
                await stream.receive()
            assert caught.value.money_moved is moved

    async def test_it_is_a_context(self) -> None:
        a, b = memory_pair()
        async with a:
            pass
        with pytest.raises(StreamEnded):
            await b.receive()


class TestFaults:
    @pytest.mark.parametrize(
        ("pieces", "expected"),
        [
            pytest.param(None, b"as it is", id="untouched"),
            pytest.param([b"twice", b"twice"], b"twicetwice", id="doubled"),
            pytest.param([b"garbled"], b"garbled", id="garbled"),
            pytest.param([], b"", id="dropped"),
            pytest.param([b"", b"x"], b"x", id="empty pieces do not exist"),
        ],
    )
    async def test_a_hook_decides_what_arrives(self, pieces: list[bytes] | None, expected: bytes) -> None:
        a, b = memory_pair()
        a.on_send = lambda data: pieces
        await a.send(b"as it is")
        await a.close()
        assert await everything(b) == expected

    async def test_a_hook_works_in_one_direction_only(self) -> None:
        a, b = memory_pair()
        a.on_send = lambda data: []
        await b.send(b"through")
        assert await a.receive() == b"through"

    @pytest.mark.parametrize(("lose", "expected"), [(False, b"under way"), (True, b"")])
    async def test_a_cut_ends_both_sides_and_may_lose_what_is_under_way(self, lose: bool, expected: bytes) -> None:
        a, b = memory_pair()
        await a.send(b"under way")
        b.cut("somebody fell over the cable", lose=lose)
        assert await everything(b) == expected
        with pytest.raises(StreamEnded, match="somebody fell over the cable"):
            await a.send(b"x")

    @given(st.lists(st.binary(max_size=200), max_size=20))
    def test_everything_arrives_in_order_through_the_smallest_buffer(self, pieces: list[bytes]) -> None:
        async def run() -> bytes:
            a, b = memory_pair(buffer_bytes_max=1)

            async def feed() -> None:
                for piece in pieces:
                    await a.send(piece)
                await a.close()

            async with asyncio.TaskGroup() as group:
                group.create_task(feed())
                return await everything(b)

        assert asyncio.run(run()) == b"".join(pieces)


async def everything(stream: ByteStream) -> bytes:
    out = b""
    try:
        while True:
            out += await stream.receive()
    except StreamEnded:
        return out


class TestListener:
    async def test_a_caller_reaches_the_handler_and_can_come_back_after_a_cut(self) -> None:
        network = MemoryNetwork()
        async with network.listen("terminal", echo):
            for text in (b"first", b"second"):
                caller = await network.connect("terminal")
                await caller.send(text)
                assert await caller.receive() == text
                assert network.cut("terminal") == 1
                with pytest.raises(StreamEnded):
                    await caller.receive()

    async def test_nobody_listens_before_start_and_after_close(self) -> None:
        network = MemoryNetwork()
        listener = network.listen("terminal", echo)
        with pytest.raises(LinkUnavailable, match="terminal: nobody listens there"):
            await network.connect("terminal")
        assert await listener.start() == ("terminal", 0)
        await listener.close()
        await listener.close()
        with pytest.raises(LinkUnavailable):
            await network.connect("terminal")

    async def test_a_name_is_listened_on_once_and_a_listener_started_once(self) -> None:
        network = MemoryNetwork()
        async with network.listen("terminal", echo) as listener:
            with pytest.raises(LinkUnavailable, match="already in use"):
                await network.listen("terminal", echo).start()
            with pytest.raises(LocalProtocolError, match="started once"):
                await listener.start()

    async def test_both_ends_can_be_fitted_with_hooks_as_they_connect(self) -> None:
        network = MemoryNetwork()

        def fit(caller: MemoryStream, called: MemoryStream) -> None:
            called.on_send = lambda data: [data.upper()]

        network.on_connect = fit
        async with network.listen("terminal", echo):
            caller = await network.connect("terminal")
            await caller.send(b"hello")
            assert await caller.receive() == b"HELLO"

    async def test_one_connection_too_many_is_closed_at_once_and_the_others_go_on(self) -> None:
        network = MemoryNetwork()
        async with network.listen("terminal", echo, connections_max=2) as listener:
            callers = [await network.connect("terminal") for _ in range(3)]
            with pytest.raises(StreamEnded):
                await callers[2].receive()
            assert listener.connections == 2
            await callers[0].close()
            await turns()
            again = await network.connect("terminal")
            await again.send(b"room")
            assert await again.receive() == b"room"

    async def test_a_full_listener_logs_once_however_many_knock(self, caplog: pytest.LogCaptureFixture) -> None:
        network = MemoryNetwork()
        async with network.listen("terminal", echo, connections_max=1):
            for _ in range(50):
                await network.connect("terminal")
        assert [record.getMessage() for record in caplog.records].count(
            "listener.full peer=terminal connections_max=1"
        ) <= 1
        assert sum("listener.full" in record.getMessage() for record in caplog.records) == 1

    async def test_a_failing_handler_costs_its_own_connection_only_and_is_logged_without_payload(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        async def fragile(stream: ByteStream) -> None:
            data = await stream.receive()
            if data.startswith(b"bad"):
                raise ValueError(f"cannot read {data.decode()}")
            await stream.send(b"good")

        network = MemoryNetwork()
        async with network.listen("terminal", fragile):
            broken, sound = [await network.connect("terminal") for _ in range(2)]
            await broken.send(b"bad 4111 1111 1111 1111")
            with pytest.raises(StreamEnded):
                await broken.receive()
            await sound.send(b"x")
            assert await sound.receive() == b"good"
        [record] = [record for record in caplog.records if record.levelno >= logging.ERROR]
        assert "listener.handler_failed" in record.getMessage()
        assert "ValueError" in record.getMessage()
        assert "1111 1111 1111" not in record.getMessage()
        assert record.exc_info is None

    async def test_closing_wakes_the_handlers_and_waits_until_they_are_done(self) -> None:
        ends: list[str] = []

        async def handler(stream: ByteStream) -> None:
            try:
                await echo(stream)
            finally:
                await turns()
                ends.append("done")

        network = MemoryNetwork()
        listener = network.listen("terminal", handler)
        await listener.start()
        for _ in range(3):
            await network.connect("terminal")
        await turns()
        await listener.close()
        assert ends == ["done"] * 3
        assert listener.connections == 0

    async def test_a_handler_that_ignores_the_end_is_cancelled(
        self, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("zahlwerk.transport.stream.HANDLERS_S", 0.0)
        ends: list[str] = []

        async def stubborn(stream: ByteStream) -> None:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                ends.append("cancelled")
                raise

        network = MemoryNetwork()
        listener = network.listen("terminal", stubborn)
        await listener.start()
        await network.connect("terminal")
        await turns()
        await listener.close()
        await turns()
        assert ends == ["cancelled"]

    async def test_a_handler_may_close_its_own_listener(self) -> None:
        network = MemoryNetwork()
        done = asyncio.Event()

        async def handler(stream: ByteStream) -> None:
            await listener.close()
            done.set()

        listener = network.listen("terminal", handler)
        await listener.start()
        await network.connect("terminal")
        await done.wait()

    def test_a_listener_without_room_is_refused(self) -> None:
        with pytest.raises(InvalidRequest, match="at least 1, got 0"):
            MemoryNetwork().listen("terminal", echo, connections_max=0)

    def test_the_limits_are_what_the_documentation_says(self) -> None:
        assert (CHUNK_BYTES_MAX, BUFFER_BYTES_MAX) == (65536, 65536)
