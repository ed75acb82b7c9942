"""WebSockets over real sockets; the peers are the `websockets` library itself, and raw TCP for the rude ones."""

from __future__ import annotations

import asyncio
import logging
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
import trustme
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed, InvalidStatus

from zahlwerk.errors import ConfigurationError, InvalidRequest, LinkUnavailable, LocalProtocolError, MoneyMoved
from zahlwerk.transport.stream import CHUNK_BYTES_MAX, ByteStream, Handler, StreamEnded
from zahlwerk.transport.tcp import TcpListener
from zahlwerk.transport.tls import TlsOptions
from zahlwerk.transport.websocket import WebSocketListener, WebSocketStream, _quiet_logger, connect_websocket

HOST = "127.0.0.1"
WAIT_S = 20.0


async def echo(stream: ByteStream) -> None:
    while True:
        await stream.send(await stream.receive())


@asynccontextmanager
async def serving(handler: Handler = echo, **options: object) -> AsyncIterator[str]:
    listener = WebSocketListener(HOST, 0, handler, **options)  # type: ignore[arg-type]  # each test passes its own options
    _, port = await listener.start()
    try:
        yield f"ws://{HOST}:{port}/"
    finally:
        await listener.close()


async def turns(count: int = 20) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def raw(url: str, request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection(HOST, int(url.rpartition(":")[2].rstrip("/")))
    writer.write(request)
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer


class TestConversation:
    async def test_bytes_come_back_and_the_addresses_are_those_of_the_sockets(self) -> None:
        async with serving() as url, await connect_websocket(url, timeout_s=WAIT_S) as stream:
            await stream.send(b"\x00\xff hello")
            assert await stream.receive() == b"\x00\xff hello"
            assert f"ws://{stream.peer}/" == url

    async def test_messages_keep_their_borders_and_long_ones_come_in_chunks(self) -> None:
        async with serving() as url:
            stream = await connect_websocket(url, timeout_s=WAIT_S)
            await stream.send(b"one")
            await stream.send(b"two")
            assert [await stream.receive(), await stream.receive()] == [b"one", b"two"]
            await stream.send(b"x" * (CHUNK_BYTES_MAX + 3))
            assert len(await stream.receive()) == CHUNK_BYTES_MAX
            assert await stream.receive() == b"xxx"
            await stream.close()

    async def test_whole_messages_can_be_had_too(self) -> None:
        async def answer(stream: ByteStream) -> None:
            assert isinstance(stream, WebSocketStream)
            await stream.send(str(len(await stream.receive_message())).encode())

        async with serving(answer) as url, await connect_websocket(url, timeout_s=WAIT_S) as stream:
            await stream.send(b"x" * 200_000)
            assert await stream.receive() == b"200000"

    async def test_text_and_binary_and_fragments_are_bytes_alike_and_the_answer_is_binary(self) -> None:
        async with serving() as url, connect(url) as peer:
            await peer.send("Grüezi")
            assert await peer.recv() == "Grüezi".encode()
            await peer.send([b"in ", b"two ", b"parts"])
            assert await peer.recv() == b"in two parts"
            await peer.send(b"")
            await peer.send(b"after nothing")
            assert await peer.recv() == b"after nothing"

    async def test_neither_compression_nor_a_subprotocol_is_agreed(self) -> None:
        async with serving() as url, connect(url, subprotocols=None) as peer:
            assert peer.response is not None
            assert "Sec-WebSocket-Extensions" not in peer.response.headers
            assert peer.subprotocol is None

    async def test_sending_nothing_sends_nothing(self) -> None:
        async with serving() as url, await connect_websocket(url, timeout_s=WAIT_S) as stream:
            await stream.send(b"")
            await stream.send(b"x")
            assert await stream.receive() == b"x"

    async def test_an_encrypted_conversation(self, tmp_path: object) -> None:
        authority = trustme.CA()
        certificate = authority.issue_cert(HOST)
        with certificate.private_key_and_cert_chain_pem.tempfile() as server, authority.cert_pem.tempfile() as ca:
            async with serving(tls=TlsOptions(certfile=server)) as url:
                secure = url.replace("ws:", "wss:")
                async with await connect_websocket(secure, timeout_s=WAIT_S, tls=TlsOptions(cafile=ca)) as stream:
                    await stream.send(b"secret")
                    assert await stream.receive() == b"secret"
                with pytest.raises(LinkUnavailable, match="its TLS certificate is not accepted"):
                    await connect_websocket(secure, timeout_s=WAIT_S)
                with pytest.raises(LinkUnavailable):
                    await connect_websocket(url, timeout_s=WAIT_S)


class TestEnding:
    @pytest.mark.parametrize(
        ("code", "words"),
        [(1000, "1000 done"), (1001, "1001 going away"), (1008, "1008 refused"), (4321, r"\(4321\)")],
    )
    async def test_a_close_code_of_the_peer_is_told_after_its_last_words(self, code: int, words: str) -> None:
        async def leave(connection: ServerConnection) -> None:
            await connection.send("last words")
            await connection.close(code, "4111 1111 1111 1111 must not be repeated")

        async with serve(leave, HOST, 0) as server:
            port = server.sockets[0].getsockname()[1]
            stream = await connect_websocket(f"ws://{HOST}:{port}", timeout_s=WAIT_S)
            assert await stream.receive() == b"last words"
            with pytest.raises(StreamEnded, match=f"the peer closed the connection .*{words}") as caught:
                await stream.receive()
            assert caught.value.money_moved is MoneyMoved.NO
            assert "4111" not in str(caught.value)
            with pytest.raises(StreamEnded):
                await stream.send(b"x")
            await stream.close()

    async def test_a_cut_line_is_told(self) -> None:
        async def vanish(connection: ServerConnection) -> None:
            connection.transport.abort()

        async with serve(vanish, HOST, 0) as server:
            port = server.sockets[0].getsockname()[1]
            stream = await connect_websocket(f"ws://{HOST}:{port}", timeout_s=WAIT_S)
            with pytest.raises(StreamEnded, match="the peer cut the connection"):
                await stream.receive()
            await stream.close()

    async def test_closing_ends_a_waiting_receive_and_is_idempotent(self) -> None:
        async with serving() as url:
            stream = await connect_websocket(url, timeout_s=WAIT_S)
            receiving = asyncio.create_task(stream.receive())
            await turns()
            await asyncio.gather(stream.close(), stream.close())
            await stream.close()
            for again in (receiving, stream.receive(), stream.send(b"x")):
                with pytest.raises(StreamEnded, match="closed on this side"):
                    await again

    async def test_a_cancelled_receive_loses_nothing(self) -> None:
        async with serving() as url, await connect_websocket(url, timeout_s=WAIT_S) as stream:
            receiving = asyncio.create_task(stream.receive())
            await turns()
            receiving.cancel()
            await asyncio.wait([receiving])
            await stream.send(b"still here")
            assert await stream.receive() == b"still here"

    async def test_two_receivers_are_refused(self) -> None:
        async with serving() as url, await connect_websocket(url, timeout_s=WAIT_S) as stream:
            first = asyncio.create_task(stream.receive())
            await turns()
            with pytest.raises(LocalProtocolError, match="one owner"):
                await stream.receive()
            first.cancel()
            await asyncio.wait([first])

    async def test_a_peer_that_takes_nothing_makes_the_sender_wait_and_closing_does_not_hang(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("zahlwerk.transport.websocket.CLOSE_S", 0.0)
        arrived = asyncio.Event()
        over = asyncio.Event()

        async def stuck(stream: ByteStream) -> None:
            arrived.set()
            await over.wait()

        async with serving(stuck) as url:
            stream = await connect_websocket(url, timeout_s=WAIT_S)
            await arrived.wait()

            async def flood() -> None:
                while True:
                    await stream.send(b"x" * 1_000_000)

            flooding = asyncio.create_task(flood())
            await turns(500)
            assert not flooding.done()
            assert stream._connection.transport.get_write_buffer_size() < 2_000_000
            await stream.close()
            with pytest.raises(StreamEnded):
                await flooding
            over.set()

    async def test_closing_the_listener_says_goodbye_to_everybody_even_to_those_still_shaking_hands(self) -> None:
        listener = WebSocketListener(HOST, 0, echo)
        _, port = await listener.start()
        stream = await connect_websocket(f"ws://{HOST}:{port}", timeout_s=WAIT_S)
        with socket.create_connection((HOST, port)):
            await stream.send(b"x")
            await stream.receive()
            await listener.close()
            await listener.close()
        with pytest.raises(StreamEnded):
            await stream.receive()
        await stream.close()
        with pytest.raises(LinkUnavailable, match="nobody listens there"):
            await connect_websocket(f"ws://{HOST}:{port}", timeout_s=WAIT_S)


class TestHostile:
    async def test_an_oversized_message_ends_only_its_own_connection(self) -> None:
        async with serving(message_bytes_max=1000) as url, connect(url) as sound, connect(url) as greedy:
            await greedy.send(b"x" * 1001)
            with pytest.raises(ConnectionClosed) as caught:
                await greedy.recv()
            assert caught.value.rcvd is not None
            assert caught.value.rcvd.code == 1009
            await sound.send(b"x" * 1000)
            assert await sound.recv() == b"x" * 1000

    async def test_an_oversized_answer_ends_the_connection_with_a_reason(self) -> None:
        async def boast(connection: ServerConnection) -> None:
            await connection.send(b"x" * 5000)
            await connection.wait_closed()

        async with serve(boast, HOST, 0) as server:
            port = server.sockets[0].getsockname()[1]
            stream = await connect_websocket(f"ws://{HOST}:{port}", timeout_s=WAIT_S, message_bytes_max=1000)
            with pytest.raises(StreamEnded, match=r"closed on this side \(1009"):
                await stream.receive()
            await stream.close()

    async def test_we_send_nothing_that_is_too_long(self) -> None:
        async with serving() as url:
            stream = await connect_websocket(url, timeout_s=WAIT_S, message_bytes_max=10)
            with pytest.raises(InvalidRequest, match="11 bytes; at most 10"):
                await stream.send(b"x" * 11)
            await stream.close()

    async def test_a_browser_gets_a_friendly_answer(self) -> None:
        async with serving() as url:
            answer = await raw(url, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 426 Upgrade Required\r\n")
        assert b"Upgrade: websocket" in answer
        assert b"This port speaks WebSocket" in answer
        assert b"websockets/" not in answer

    @pytest.mark.parametrize(
        "request_",
        [
            pytest.param(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi", id="a post"),
            pytest.param(b'{"StatusRequest": {}}\n\r\n\r\n', id="a register that speaks plain TCP"),
            pytest.param(b"\x16\x03\x01\x00\x05hello\r\n", id="TLS"),
            pytest.param(b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 5000, id="headers without end"),
            pytest.param(b"x" * 100_000, id="a line without end"),
        ],
    )
    async def test_anything_else_is_hung_up_and_the_port_goes_on(
        self, request_: bytes, caplog: pytest.LogCaptureFixture
    ) -> None:
        async with serving() as url:
            with suppress(ConnectionError):
                assert not (await raw(url, request_)).startswith(b"HTTP/1.1 101")
            async with connect(url) as peer:
                await peer.send(b"x")
                assert await peer.recv() == b"x"
        assert [record for record in caplog.records if record.exc_info] == []

    async def test_one_connection_too_many_is_refused_politely_and_places_become_free_again(self) -> None:
        async with serving(connections_max=1) as url:
            first = await connect_websocket(url, timeout_s=WAIT_S)
            await first.send(b"x")
            await first.receive()
            with pytest.raises(LinkUnavailable, match="answered HTTP 503"):
                await connect_websocket(url, timeout_s=WAIT_S)
            await first.close()
            await turns(50)
            async with await connect_websocket(url, timeout_s=WAIT_S) as again:
                await again.send(b"y")
                assert await again.receive() == b"y"

    async def test_silent_callers_cannot_pile_up(self) -> None:
        listener = WebSocketListener(HOST, 0, echo, connections_max=1)
        _, port = await listener.start()
        silent = [await asyncio.open_connection(HOST, port) for _ in range(100)]
        assert await silent[-1][0].read() == b""
        assert len(listener._raw) <= 65
        await listener.close()
        for _, writer in silent:
            writer.close()

    async def test_a_handshake_that_takes_too_long_is_cut(self) -> None:
        async with serving(handshake_s=0.01) as url:
            assert b"101" not in await raw(url, b"GET / HTTP/1.1\r\n")

    async def test_only_the_listed_web_pages_may_connect(self) -> None:
        async with serving(origins=["https://till.example", None]) as url:
            async with connect(url, origin="https://till.example") as peer:  # type: ignore[arg-type]  # a NewType of str
                await peer.send(b"x")
                assert await peer.recv() == b"x"
            with pytest.raises(InvalidStatus):
                await connect(url, origin="https://evil.example")  # type: ignore[arg-type]  # a NewType of str
            await (await connect_websocket(url, timeout_s=WAIT_S)).close()

    async def test_payload_stays_out_of_the_log_even_at_debug_level(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.DEBUG)
        async with serving() as url, await connect_websocket(url, timeout_s=WAIT_S) as stream:
            await stream.send(b"4111111111111111")
            assert await stream.receive() == b"4111111111111111"
        assert "4111111111111111" not in caplog.text

    async def test_a_failing_handler_is_logged_and_costs_one_connection(self, caplog: pytest.LogCaptureFixture) -> None:
        async def fragile(stream: ByteStream) -> None:
            raise RuntimeError(f"cannot read {await stream.receive()!r}")

        async with serving(fragile) as url, await connect_websocket(url, timeout_s=WAIT_S) as stream:
            await stream.send(b"4111 1111 1111 1111")
            with pytest.raises(StreamEnded):
                await stream.receive()
        assert "listener.handler_failed" in caplog.text
        assert "1111 1111 1111" not in caplog.text


class TestLibraryLog:
    """Versions of the library differ in what they log about failed handshakes, so its logger is tried directly."""

    @pytest.mark.parametrize(
        ("text", "level"),
        [("opening handshake failed", logging.INFO), ("connection handler failed", logging.ERROR)],
    )
    def test_a_failure_is_one_line_without_quotations(
        self, text: str, level: int, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO, "zahlwerk")
        try:
            raise ValueError("4111 1111 1111 1111")
        except ValueError:
            _quiet_logger().error(text, exc_info=True)
        [record] = caplog.records
        assert (record.getMessage(), record.levelno) == (f"websocket.library {text} error=ValueError", level)
        assert "4111" not in caplog.text

    def test_neither_debug_nor_information_of_the_library_is_shown(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.DEBUG)
        _quiet_logger().info("< TEXT 'payload'")
        assert caplog.records == []


class TestUnavailable:
    async def test_nobody_listens(self) -> None:
        with socket.socket() as free:
            free.bind((HOST, 0))
            port = free.getsockname()[1]
            with pytest.raises(LinkUnavailable, match=f"^{HOST}:{port}: nobody listens there$"):
                await connect_websocket(f"ws://user:secret@{HOST}:{port}/x", timeout_s=WAIT_S)

    async def test_the_host_is_unknown(self) -> None:
        with pytest.raises(LinkUnavailable, match=r"name\.invalid:80: unknown host"):
            await connect_websocket("ws://name.invalid/", timeout_s=WAIT_S)

    async def test_the_peer_speaks_something_else(self) -> None:
        async def grumble(stream: ByteStream) -> None:
            await stream.receive()
            await stream.send(b'{"ErrorNotification": {}}\n')

        listener = TcpListener(HOST, 0, grumble)
        _, port = await listener.start()
        with pytest.raises(LinkUnavailable, match="does not speak WebSocket"):
            await connect_websocket(f"ws://{HOST}:{port}", timeout_s=WAIT_S)
        await listener.close()

    async def test_the_peer_never_answers_the_handshake(self) -> None:
        with socket.socket() as mute:
            mute.bind((HOST, 0))
            mute.listen()
            with pytest.raises(LinkUnavailable, match=r"no connection within 0\.05 s"):
                await connect_websocket(f"ws://{HOST}:{mute.getsockname()[1]}", timeout_s=0.05)

    @pytest.mark.parametrize("url", ["http://x/", "ws://", "x", "ws://host:99999/", "ws://[::1/", "ws://h/#fragment"])
    async def test_what_is_no_websocket_address_is_refused(self, url: str) -> None:
        with pytest.raises(ConfigurationError, match="not a WebSocket address"):
            await connect_websocket(url, timeout_s=WAIT_S)

    async def test_tls_settings_for_a_plain_address_are_refused(self) -> None:
        with pytest.raises(ConfigurationError, match="without TLS"):
            await connect_websocket("ws://h/", timeout_s=WAIT_S, tls=TlsOptions())

    async def test_the_port_is_in_use(self) -> None:
        async with serving() as url:
            port = int(url.rpartition(":")[2].rstrip("/"))
            with pytest.raises(LinkUnavailable, match="already in use"):
                await WebSocketListener(HOST, port, echo).start()

    async def test_a_listener_starts_once(self) -> None:
        async with WebSocketListener(HOST, 0, echo) as listener:
            with pytest.raises(LocalProtocolError, match="started once"):
                await listener.start()

    async def test_without_the_library_the_message_says_how_to_install_it(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "websockets", None)
        with pytest.raises(ConfigurationError, match="need the library websockets") as caught:
            await connect_websocket("ws://h/", timeout_s=WAIT_S)
        assert "pip install 'zahlwerk[websocket]'" in caught.value.remedy

    async def test_the_proxy_of_the_environment_is_not_asked(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("http_proxy", "https_proxy", "all_proxy"):
            monkeypatch.setenv(name, f"http://{HOST}:1")
        monkeypatch.setenv("no_proxy", "")
        async with serving() as url:
            await (await connect_websocket(url, timeout_s=WAIT_S)).close()
