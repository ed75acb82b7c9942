"""TCP and TLS over real sockets on the loopback address."""

from __future__ import annotations

import asyncio
import logging
import resource
import socket
import struct
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trustme

from zahlwerk.errors import LinkUnavailable, LocalProtocolError, MoneyMoved
from zahlwerk.transport.stream import BUFFER_BYTES_MAX, CHUNK_BYTES_MAX, ByteStream, Handler, StreamEnded
from zahlwerk.transport.tcp import TcpListener, connect_tcp
from zahlwerk.transport.tls import TlsOptions

HOST = "127.0.0.1"
WAIT_S = 20.0
CONNECTIONS = 1000


async def echo(stream: ByteStream) -> None:
    while True:
        await stream.send(await stream.receive())


@asynccontextmanager
async def serving(handler: Handler = echo, **options: object) -> AsyncIterator[int]:
    listener = TcpListener(HOST, 0, handler, **options)  # type: ignore[arg-type]  # each test passes its own options
    _, port = await listener.start()
    try:
        yield port
    finally:
        await listener.close()


@asynccontextmanager
async def pair(tls: tuple[TlsOptions, TlsOptions] | None = None) -> AsyncIterator[tuple[ByteStream, ByteStream]]:
    """Both ends of one connection: (the caller's, the listener's)."""
    arrived: asyncio.Queue[ByteStream] = asyncio.Queue()
    over = asyncio.Event()

    async def hand_over(stream: ByteStream) -> None:
        await arrived.put(stream)
        await over.wait()

    async with serving(hand_over, tls=tls[0] if tls else None) as port:
        caller = await connect_tcp(HOST, port, timeout_s=WAIT_S, tls=tls[1] if tls else None)
        called = await arrived.get()
        try:
            yield caller, called
        finally:
            over.set()
            await caller.close()


async def read_exactly(stream: ByteStream, count: int) -> bytes:
    out = bytearray()
    while len(out) < count:
        out += await stream.receive()
    return bytes(out)


async def turns(count: int = 20) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def tls(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> tuple[TlsOptions, TlsOptions]:
    """Settings of the listener and of the caller."""
    folder = tmp_path_factory.mktemp("tls")
    certificate = authority.issue_cert(HOST, "localhost")
    certificate.private_key_and_cert_chain_pem.write_to_path(str(folder / "server.pem"))
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    return TlsOptions(certfile=str(folder / "server.pem")), TlsOptions(cafile=str(folder / "ca.pem"))


class TestConversation:
    async def test_bytes_come_back_and_the_addresses_are_those_of_the_sockets(self) -> None:
        async with pair() as (caller, called):
            await caller.send(b"Gr\xc3\xbcezi\n")
            assert await called.receive() == b"Gr\xc3\xbcezi\n"
            assert (caller.local, caller.peer) == (called.peer, called.local)
            assert caller.peer.startswith(f"{HOST}:")

    async def test_a_large_message_arrives_whole_in_chunks_that_are_small_enough(self) -> None:
        data = bytes(range(256)) * 8192
        async with pair() as (caller, called), asyncio.TaskGroup() as group:
            group.create_task(caller.send(data))
            chunks: list[bytes] = []
            while sum(len(chunk) for chunk in chunks) < len(data):
                chunks.append(await called.receive())
            assert b"".join(chunks) == data
            assert max(len(chunk) for chunk in chunks) <= CHUNK_BYTES_MAX

    async def test_messages_of_several_senders_are_not_mixed(self) -> None:
        size = 300_000
        async with pair() as (caller, called), asyncio.TaskGroup() as group:
            for letter in b"abc":
                group.create_task(caller.send(bytes([letter]) * size))
            data = await read_exactly(called, 3 * size)
            assert data == b"a" * size + b"b" * size + b"c" * size

    async def test_sending_nothing_is_allowed(self) -> None:
        async with pair() as (caller, called):
            await caller.send(b"")
            await caller.send(b"x")
            assert await called.receive() == b"x"

    async def test_half_a_line_and_then_a_hang_up_gives_the_half_line_and_then_the_end(self) -> None:
        async with pair() as (caller, called):
            await caller.send(b'{"half": ')
            await caller.close()
            assert await called.receive() == b'{"half": '
            with pytest.raises(StreamEnded, match="the peer closed the connection") as caught:
                await called.receive()
            assert caught.value.money_moved is MoneyMoved.NO

    async def test_a_peer_that_only_finished_sending_still_gets_its_answer(self) -> None:
        async def answer(stream: ByteStream) -> None:
            question = await stream.receive()
            with pytest.raises(StreamEnded):
                await stream.receive()
            await stream.send(b"re: " + question)

        async with serving(answer) as port:
            reader, writer = await asyncio.open_connection(HOST, port)
            writer.write(b"hello")
            writer.write_eof()
            assert await reader.read() == b"re: hello"
            writer.close()
            await writer.wait_closed()

    async def test_a_reset_is_the_end_with_a_reason(self) -> None:
        arrived: asyncio.Queue[ByteStream] = asyncio.Queue()
        ended: asyncio.Queue[str] = asyncio.Queue()

        async def handler(stream: ByteStream) -> None:
            await arrived.put(stream)
            try:
                await stream.receive()
            except StreamEnded as exc:
                await ended.put(exc.reason)

        async with serving(handler) as port:
            rude = socket.create_connection((HOST, port))
            await arrived.get()
            rude.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            rude.close()
            assert await ended.get() == "the peer cut the connection"

    async def test_sending_to_a_peer_that_is_gone_ends_and_says_that_money_may_have_moved(self) -> None:
        async with pair() as (caller, called):
            await called.close()

            async def send_on() -> None:
                while True:
                    await caller.send(b"x" * 1000)
                    await turns(5)

            with pytest.raises(StreamEnded) as caught:
                await send_on()
            assert caught.value.money_moved is MoneyMoved.MAYBE


class TestLimits:
    async def test_a_slow_reader_makes_the_sender_wait_and_both_buffers_stay_small(self) -> None:
        """Sends until it has to wait: what fits is the system's socket buffers and ours, not more."""
        async with pair() as (caller, called):
            for stream in (caller, called):
                sock = stream._transport.get_extra_info("socket")  # type: ignore[attr-defined]  # to make the system's buffers small
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
            sent = 0

            async def flood() -> None:
                nonlocal sent
                while True:
                    await caller.send(b"x" * 10_000)
                    sent += 10_000

            flooding = asyncio.create_task(flood())
            before = -1
            while sent != before:
                before = sent
                await turns(200)
            assert sent < 8 * 1024 * 1024
            assert called._inbox._size <= 256 * 1024 + BUFFER_BYTES_MAX  # type: ignore[attr-defined]  # the bound under test
            assert caller._transport.get_write_buffer_size() <= BUFFER_BYTES_MAX + CHUNK_BYTES_MAX  # type: ignore[attr-defined]  # ditto
            await read_exactly(called, before)
            await turns(200)
            assert sent > before
            flooding.cancel()

    async def test_a_hundred_megabytes_without_an_end_do_not_grow_the_memory(self) -> None:
        total, piece = 100_000_000, b"\x00" * 1_000_000

        async def swallow(stream: ByteStream) -> None:
            count = 0
            while count < total:
                count += len(await stream.receive())
            await stream.send(b"enough")

        async with serving(swallow) as port:
            caller = await connect_tcp(HOST, port, timeout_s=WAIT_S)
            tracemalloc.start()
            try:
                for _ in range(total // len(piece)):
                    await caller.send(piece)
                assert await caller.receive() == b"enough"
                _, peak = tracemalloc.get_traced_memory()
            finally:
                tracemalloc.stop()
            await caller.close()
        assert peak < 8_000_000

    async def test_a_thousand_connections_at_once_are_served(self) -> None:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = 2 * CONNECTIONS + 200
        if hard != resource.RLIM_INFINITY and hard < wanted:
            pytest.skip(f"this machine allows {hard} open files, {wanted} are needed: NOT TESTED HERE")
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
        async with serving(connections_max=CONNECTIONS) as port:
            streams = await asyncio.gather(*(connect_tcp(HOST, port, timeout_s=WAIT_S) for _ in range(CONNECTIONS)))
            for stream in streams:
                await stream.send(b"ping")
            assert [await stream.receive() for stream in streams] == [b"ping"] * CONNECTIONS
            await asyncio.gather(*(stream.close() for stream in streams))

    async def test_what_exceeds_the_limit_is_closed_at_once_while_the_others_are_served(self) -> None:
        async with serving(connections_max=2) as port:
            streams = [await connect_tcp(HOST, port, timeout_s=WAIT_S) for _ in range(10)]
            await streams[0].send(b"still here")
            assert await streams[0].receive() == b"still here"
            for stream in streams[2:]:
                with pytest.raises(StreamEnded):
                    await stream.receive()
            for stream in streams:
                await stream.close()

    async def test_places_become_free_again(self) -> None:
        async with serving(connections_max=1) as port:
            for _ in range(20):
                stream = await connect_tcp(HOST, port, timeout_s=WAIT_S)
                await stream.send(b"x")
                assert await stream.receive() == b"x"
                await stream.close()
                await turns()


class TestEnding:
    async def test_closing_ends_a_receive_that_is_waiting(self) -> None:
        async with pair() as (caller, _):
            receiving = asyncio.create_task(caller.receive())
            await turns()
            await caller.close()
            with pytest.raises(StreamEnded, match="closed on this side"):
                await receiving

    async def test_closing_ends_a_send_that_is_waiting_and_does_not_wait_for_a_stuck_peer(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("zahlwerk.transport.tcp.CLOSE_S", 0.0)
        async with pair() as (caller, _):
            sending = asyncio.create_task(caller.send(b"x" * 50_000_000))
            await turns(200)
            assert not sending.done()
            await caller.close()
            with pytest.raises(StreamEnded):
                await sending

    async def test_a_cancelled_receive_loses_nothing(self) -> None:
        async with pair() as (caller, called):
            receiving = asyncio.create_task(called.receive())
            await turns()
            receiving.cancel()
            await caller.send(b"still here")
            assert await called.receive() == b"still here"

    async def test_closing_is_idempotent_also_at_the_same_time_and_flushes(self) -> None:
        async with pair() as (caller, called):
            await caller.send(b"last words")
            await asyncio.gather(caller.close(), caller.close(), caller.close())
            await caller.close()
            assert await called.receive() == b"last words"
            with pytest.raises(StreamEnded):
                await caller.send(b"x")

    async def test_two_receivers_are_refused(self) -> None:
        async with pair() as (caller, _):
            first = asyncio.create_task(caller.receive())
            await turns()
            with pytest.raises(LocalProtocolError, match="one owner"):
                await caller.receive()
            first.cancel()

    async def test_closing_the_listener_ends_its_connections_and_frees_the_port(self) -> None:
        listener = TcpListener(HOST, 0, echo)
        _, port = await listener.start()
        caller = await connect_tcp(HOST, port, timeout_s=WAIT_S)
        await caller.send(b"x")
        await caller.receive()
        await listener.close()
        await listener.close()
        with pytest.raises(StreamEnded):
            await caller.receive()
        await caller.close()
        again = TcpListener(HOST, port, echo)
        assert await again.start() == (HOST, port)
        await again.close()

    async def test_closing_a_listener_that_never_started_is_fine(self) -> None:
        await TcpListener(HOST, 0, echo).close()

    async def test_a_failing_handler_leaves_the_listener_serving(self, caplog: pytest.LogCaptureFixture) -> None:
        async def fragile(stream: ByteStream) -> None:
            if await stream.receive() == b"bad":
                raise RuntimeError("no")
            await stream.send(b"good")

        async with serving(fragile) as port:
            for sent, expected in ((b"bad", b""), (b"x", b"good")):
                reader, writer = await asyncio.open_connection(HOST, port)
                writer.write(sent)
                assert await reader.read() == expected
                writer.close()
                await writer.wait_closed()
        assert ["listener.handler_failed" in record.getMessage() for record in caplog.records] == [True]


class TestUnavailable:
    async def test_nobody_listens(self) -> None:
        with socket.socket() as free:
            free.bind((HOST, 0))
            port = free.getsockname()[1]
            with pytest.raises(LinkUnavailable, match=rf"^{HOST}:{port}: nobody listens there$") as caught:
                await connect_tcp(HOST, port, timeout_s=WAIT_S)
        assert caught.value.money_moved is MoneyMoved.NO

    async def test_nobody_listens_at_any_address_of_a_name(self) -> None:
        with socket.socket() as free:
            free.bind((HOST, 0))
            port = free.getsockname()[1]
            with pytest.raises(LinkUnavailable, match=r"localhost:[0-9]+: nobody listens there"):
                await connect_tcp("localhost", port, timeout_s=WAIT_S)

    @pytest.mark.parametrize("host", ["name.invalid", "a..b", "x" * 70 + ".invalid"])
    async def test_the_host_is_unknown(self, host: str) -> None:
        with pytest.raises(LinkUnavailable, match="unknown host"):
            await connect_tcp(host, 8307, timeout_s=WAIT_S)

    async def test_the_peer_is_too_slow(self) -> None:
        """A listener whose queue is full answers no further caller."""
        with socket.socket() as full:
            full.bind((HOST, 0))
            full.listen(0)
            address = full.getsockname()
            waiting = [socket.socket() for _ in range(8)]
            for sock in waiting:
                sock.setblocking(False)
                sock.connect_ex(address)
            with pytest.raises(LinkUnavailable, match=r"no connection within 0.05 s"):
                await connect_tcp(HOST, address[1], timeout_s=0.05)
            for sock in waiting:
                sock.close()

    async def test_connecting_can_be_cancelled(self) -> None:
        connecting = asyncio.create_task(connect_tcp("name.invalid", 8307, timeout_s=WAIT_S))
        await turns(2)
        connecting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await connecting

    async def test_the_port_is_in_use(self) -> None:
        async with serving() as port:
            with pytest.raises(
                LinkUnavailable, match=f"cannot listen on {HOST}:{port}: the port is already in use"
            ) as caught:
                await TcpListener(HOST, port, echo).start()
        assert "choose another port" in caught.value.remedy

    @pytest.mark.parametrize(
        ("host", "words"),
        [
            pytest.param("name.invalid", "unknown host", id="unknown"),
            pytest.param("192.0.2.1", "does not have that address", id="not ours"),
        ],
    )
    async def test_one_cannot_listen_elsewhere(self, host: str, words: str) -> None:
        with pytest.raises(LinkUnavailable, match=words):
            await TcpListener(host, 0, echo).start()

    async def test_a_listener_starts_once(self) -> None:
        listener = TcpListener(HOST, 0, echo)
        await listener.start()
        with pytest.raises(LocalProtocolError, match="started once"):
            await listener.start()
        await listener.close()

    async def test_a_name_with_several_addresses_has_one_port_on_all_of_them(self) -> None:
        listener = TcpListener("localhost", 0, echo)
        host, port = await listener.start()
        assert host == "localhost"
        stream = await connect_tcp("localhost", port, timeout_s=WAIT_S)
        await stream.send(b"x")
        assert await stream.receive() == b"x"
        await stream.close()
        await listener.close()

    async def test_a_socket_connected_to_itself_is_not_taken_for_a_peer(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Linux connects a socket to itself when a free port is called from that very port."""
        loop = asyncio.get_running_loop()
        real = loop.create_connection

        async def from_the_same_port(factory: object, host: str, port: int, **options: object) -> object:
            return await real(factory, host, port, local_addr=(host, port))  # type: ignore[call-overload]  # a stand-in

        with socket.socket() as free:
            free.bind((HOST, 0))
            port = free.getsockname()[1]
        monkeypatch.setattr(loop, "create_connection", from_the_same_port)
        with pytest.raises(LinkUnavailable, match="nobody listens there"):
            await connect_tcp(HOST, port, timeout_s=WAIT_S)


class TestTls:
    async def test_a_conversation_is_encrypted(self, tls: tuple[TlsOptions, TlsOptions]) -> None:
        data = bytes(range(256)) * 4096
        async with pair(tls) as (caller, called), asyncio.TaskGroup() as group:
            group.create_task(caller.send(data))
            assert await read_exactly(called, len(data)) == data
            assert caller._transport.get_extra_info("ssl_object").version() in {"TLSv1.2", "TLSv1.3"}  # type: ignore[attr-defined]  # what was negotiated

    async def test_a_reader_that_sleeps_at_first_gets_everything_later(
        self, tls: tuple[TlsOptions, TlsOptions]
    ) -> None:
        data = bytes(range(256)) * 8192
        async with pair(tls) as (caller, called), asyncio.TaskGroup() as group:
            group.create_task(caller.send(data))
            await turns(300)
            assert await read_exactly(called, len(data)) == data

    async def test_both_ends_can_hang_up(self, tls: tuple[TlsOptions, TlsOptions]) -> None:
        async with pair(tls) as (caller, called):
            await called.send(b"bye")
            await called.close()
            assert await caller.receive() == b"bye"
            with pytest.raises(StreamEnded):
                await caller.receive()

    async def test_a_certificate_of_somebody_else_is_refused(
        self, tls: tuple[TlsOptions, TlsOptions], tmp_path: Path
    ) -> None:
        trustme.CA().cert_pem.write_to_path(str(tmp_path / "other.pem"))
        async with serving(tls=tls[0]) as port:
            with pytest.raises(LinkUnavailable, match="its TLS certificate is not accepted: ") as caught:
                await connect_tcp(HOST, port, timeout_s=WAIT_S, tls=TlsOptions(cafile=str(tmp_path / "other.pem")))
            assert "cafile" in caught.value.remedy
            await self.works(port, tls[1])

    async def test_a_certificate_of_another_host_is_refused_unless_told_otherwise(
        self, authority: trustme.CA, tls: tuple[TlsOptions, TlsOptions], tmp_path: Path
    ) -> None:
        authority.issue_cert("elsewhere.example").private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "e.pem"))
        async with serving(tls=TlsOptions(certfile=str(tmp_path / "e.pem"))) as port:
            with pytest.raises(LinkUnavailable, match="not accepted"):
                await connect_tcp(HOST, port, timeout_s=WAIT_S, tls=tls[1])
            await self.works(port, TlsOptions(cafile=tls[1].cafile, check_hostname=False))
            await self.works(port, TlsOptions(insecure=True))

    async def test_a_plain_caller_on_a_tls_port_is_hung_up_and_the_port_goes_on(
        self, tls: tuple[TlsOptions, TlsOptions], caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO, "zahlwerk")
        async with serving(tls=tls[0]) as port:
            plain = await connect_tcp(HOST, port, timeout_s=WAIT_S)
            await plain.send(b'{"StatusRequest": {}}\n')
            with pytest.raises(StreamEnded):
                await read_exactly(plain, 1000)
            await plain.close()
            await self.works(port, tls[1])
        assert [record.levelno for record in caplog.records if "listener.tls_failed" in record.getMessage()] == [
            logging.INFO
        ]

    async def test_a_tls_caller_on_a_plain_port_is_told_so(self, tls: tuple[TlsOptions, TlsOptions]) -> None:
        async with serving() as port:
            with pytest.raises(LinkUnavailable, match=r"no TLS connection: |the peer broke off"):
                await connect_tcp(HOST, port, timeout_s=WAIT_S, tls=tls[1])

    async def test_a_peer_that_hangs_up_in_the_handshake_is_unavailable(
        self, tls: tuple[TlsOptions, TlsOptions]
    ) -> None:
        async def rude(stream: ByteStream) -> None:
            await stream.receive()

        async with serving(rude) as port:
            with pytest.raises(LinkUnavailable, match=r"the peer (broke off|cut)"):
                await connect_tcp(HOST, port, timeout_s=WAIT_S, tls=tls[1])

    async def test_silent_callers_take_places_but_cannot_keep_the_listener_from_closing(
        self, tls: tuple[TlsOptions, TlsOptions]
    ) -> None:
        listener = TcpListener(HOST, 0, echo, tls=tls[0], connections_max=3)
        _, port = await listener.start()
        silent = [await connect_tcp(HOST, port, timeout_s=WAIT_S) for _ in range(5)]
        with pytest.raises(StreamEnded):
            await silent[4].receive()
        assert listener.connections == 3
        await listener.close()
        for stream in silent:
            await stream.close()

    async def test_a_listener_that_asks_for_certificates_serves_only_those_who_have_one(
        self, authority: trustme.CA, tls: tuple[TlsOptions, TlsOptions], tmp_path: Path
    ) -> None:
        authority.issue_cert("till.example").private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "till.pem"))
        async with serving(tls=TlsOptions(certfile=tls[0].certfile, cafile=tls[1].cafile)) as port:
            await self.works(port, TlsOptions(cafile=tls[1].cafile, certfile=str(tmp_path / "till.pem")))
            with pytest.raises((LinkUnavailable, StreamEnded)):
                await self.works(port, tls[1])

    @staticmethod
    async def works(port: int, options: TlsOptions) -> None:
        stream = await connect_tcp(HOST, port, timeout_s=WAIT_S, tls=options)
        try:
            await stream.send(b"x")
            assert await stream.receive() == b"x"
        finally:
            await stream.close()
