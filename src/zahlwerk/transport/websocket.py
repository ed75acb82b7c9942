"""WebSocket as a byte stream, on the library `websockets`.

Text and binary messages count as bytes alike; what is sent goes out as one binary message per `send`. No compression
(payment messages are short, and it costs memory per connection) and no subprotocol.
Source: RFC 6455.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from http import HTTPStatus
from types import ModuleType
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from zahlwerk.errors import ConfigurationError, InvalidRequest, LinkUnavailable, LocalProtocolError
from zahlwerk.transport._sockets import BACKLOG, address_text, bind, tune, unavailable
from zahlwerk.transport.stream import (
    CHUNK_BYTES_MAX,
    CLOSE_S,
    CONNECTIONS_MAX,
    HANDLERS_S,
    ByteStream,
    Handler,
    Listener,
    StreamEnded,
)
from zahlwerk.transport.tls import HANDSHAKE_S, TlsOptions

if TYPE_CHECKING:
    from websockets.asyncio.connection import Connection
    from websockets.asyncio.server import Server, ServerConnection
    from websockets.exceptions import ConnectionClosed
    from websockets.http11 import Request, Response

__all__ = ["MESSAGE_BYTES_MAX", "WebSocketListener", "WebSocketStream", "connect_websocket"]

MESSAGE_BYTES_MAX: Final = 2 * 1024 * 1024
"""The longest message that is accepted, unless told otherwise. LIMIT: a hundred receipts with pictures."""
PING_S: Final = 20.0
"""A ping goes out this often, and must be answered as fast; else the connection counts as dead."""
_MESSAGES_QUEUED: Final = 2
_HANDSHAKES_MAX: Final = 64
"""Connections beyond `connections_max` that may be shaking hands, so that silent ones cannot pile up."""
_GREETING: Final = (
    "This port speaks WebSocket, for cash registers and payment terminals. A web browser has nothing to see here.\n"
    "Point your register software at this address with ws:// (or wss:// if it is encrypted).\n"
)

_log: Final = logging.getLogger("zahlwerk.transport")


async def connect_websocket(
    url: str,
    *,
    timeout_s: float,
    tls: TlsOptions | None = None,
    message_bytes_max: int = MESSAGE_BYTES_MAX,
    ping_s: float | None = PING_S,
) -> WebSocketStream:
    """A connection to a WebSocket server. Goes straight there, whatever proxy the environment names.

    Args:
        url: `ws://host:port/path` or `wss://...`.
        timeout_s: for name, connection, TLS and WebSocket handshake together.
        tls: certificates and checks for `wss`; without it the system's authorities decide.
        ping_s: how often the peer must prove that it is alive; None for never.

    Raises:
        LinkUnavailable: refused, unknown, unreachable, too slow, TLS failed, or the peer speaks no WebSocket.
        ConfigurationError: not such an address, a TLS file is wrong, or `websockets` is not installed.
    """
    _library()
    from websockets.asyncio.client import connect
    from websockets.exceptions import InvalidHandshake, InvalidStatus, InvalidURI

    parts, where = _split(url)
    if parts == "ws" and tls is not None:
        raise ConfigurationError(f"{where}: TLS settings for an address without TLS", remedy="write wss:// for ws://")
    context = (tls or TlsOptions()).client_context() if parts == "wss" else None
    try:
        async with asyncio.timeout(timeout_s):
            connection = await connect(
                url,
                ssl=context,
                proxy=None,
                compression=None,
                user_agent_header="zahlwerk",
                open_timeout=None,
                close_timeout=CLOSE_S,
                ping_interval=ping_s,
                ping_timeout=ping_s,
                max_size=message_bytes_max,
                max_queue=_MESSAGES_QUEUED,
                logger=_quiet_logger(),
            )
    except InvalidURI as exc:
        raise ConfigurationError(f"not a WebSocket address: {where}", remedy="write ws://host:port") from exc
    except InvalidStatus as exc:
        raise LinkUnavailable(
            f"{where}: answered HTTP {exc.response.status_code} instead of opening a WebSocket",
            remedy="check port and path",
        ) from exc
    except (InvalidHandshake, EOFError) as exc:
        raise LinkUnavailable(f"{where}: does not speak WebSocket", remedy="check port and path") from exc
    except (OSError, UnicodeError) as exc:
        raise unavailable(exc, where, timeout_s=timeout_s) from exc
    return WebSocketStream(connection, message_bytes_max=message_bytes_max)


class WebSocketStream(ByteStream):
    """A WebSocket. Made by `connect_websocket` and `WebSocketListener`.

    Each `send` is one binary message. `receive` never joins two messages; one longer than `CHUNK_BYTES_MAX` comes in
    pieces. Protocols to which the borders of messages matter use `receive_message`.
    """

    def __init__(self, connection: Connection, *, message_bytes_max: int) -> None:
        self._connection = connection
        self._message_bytes_max = message_bytes_max
        self._rest = b""
        self._closed = False
        self._receiving = False
        self._sent = False
        self._done: asyncio.Future[None] | None = None
        tune(connection.transport.get_extra_info("socket"))
        self.local = address_text(connection.local_address)
        self.peer = address_text(connection.remote_address)

    async def receive(self) -> bytes:
        data = self._rest or await self.receive_message()
        if self._closed:
            raise self._over()
        self._rest = data[CHUNK_BYTES_MAX:]
        return data[:CHUNK_BYTES_MAX]

    async def receive_message(self) -> bytes:
        """One whole message, at most `message_bytes_max` bytes; empty ones are skipped. Cancelling it loses nothing.

        Raises:
            StreamEnded, LocalProtocolError: as `receive` does.
        """
        from websockets.exceptions import ConnectionClosed

        if self._receiving:
            raise LocalProtocolError("two tasks receive from one stream; it has one owner")
        if self._closed:
            raise self._over()
        self._receiving = True
        try:
            while True:
                message = await self._connection.recv(decode=False)
                if message:
                    return bytes(message)
        except ConnectionClosed as exc:
            raise self._over(exc) from exc
        finally:
            self._receiving = False

    async def send(self, data: bytes) -> None:
        """Send one binary message; nothing at all for no bytes. Otherwise as `ByteStream.send`.

        Raises:
            InvalidRequest: longer than `message_bytes_max`.
        """
        from websockets.exceptions import ConnectionClosed

        if len(data) > self._message_bytes_max:
            raise InvalidRequest(f"a message of {len(data)} bytes; at most {self._message_bytes_max} can be sent")
        if self._closed:
            raise self._over()
        if not data:
            return
        try:
            await self._connection.send(data)
        except ConnectionClosed as exc:
            raise self._over(exc) from exc
        finally:
            self._sent = True

    async def close(self) -> None:
        self._closed = True
        self._rest = b""
        if self._done is not None:
            await asyncio.wait([self._done])
            return
        self._done = asyncio.get_running_loop().create_future()
        try:
            # The library's own bound covers the closing handshake, not a peer that takes no bytes at all.
            with contextlib.suppress(Exception):
                async with asyncio.timeout(CLOSE_S):
                    await self._connection.close()
        finally:
            self._connection.transport.abort()
            self._done.set_result(None)

    def _over(self, exc: ConnectionClosed | None = None) -> StreamEnded:
        if self._closed:
            return StreamEnded("the connection was closed on this side", request_sent=self._sent)
        return StreamEnded(_reason(exc), request_sent=self._sent)


class WebSocketListener(Listener):
    """Listens for WebSockets, encrypted if `tls` is given. Everything else gets a short answer in plain HTTP.

    Args:
        host: the address to listen on; a name stands for all its addresses, empty for every address.
        port: 0 for any free one.
        message_bytes_max: a longer message ends its connection (close code 1009).
        origins: web pages that may connect, such as `https://till.example`; None in it stands for programs that are no
            browser. Without the list everybody may.
    """

    def __init__(
        self,
        host: str,
        port: int,
        handler: Handler,
        *,
        connections_max: int = CONNECTIONS_MAX,
        tls: TlsOptions | None = None,
        message_bytes_max: int = MESSAGE_BYTES_MAX,
        ping_s: float | None = PING_S,
        origins: Sequence[str | None] | None = None,
        handshake_s: float = HANDSHAKE_S,
    ) -> None:
        super().__init__(handler, connections_max=connections_max)
        self._host = host
        self._port = port
        self._tls = tls
        self._message_bytes_max = message_bytes_max
        self._ping_s = ping_s
        self._origins = origins
        self._handshake_s = handshake_s
        self._servers: list[Server] = []
        self._started = False
        self._raw: set[ServerConnection] = set()

    async def start(self) -> tuple[str, int]:
        _library()
        from websockets.asyncio.server import serve
        from websockets.typing import Origin

        if self._started:
            raise LocalProtocolError("a listener is started once")
        self._started = True
        context = self._tls.server_context() if self._tls is not None else None
        sockets = await bind(self._host, self._port)
        port: int = sockets[0].getsockname()[1]
        origins = None if self._origins is None else [None if name is None else Origin(name) for name in self._origins]
        for sock in sockets:
            server = await serve(
                self._on_connection,
                sock=sock,
                backlog=BACKLOG,
                origins=origins,
                compression=None,
                server_header=None,
                process_request=self._on_request,
                open_timeout=self._handshake_s,
                close_timeout=CLOSE_S,
                ping_interval=self._ping_s,
                ping_timeout=self._ping_s,
                max_size=self._message_bytes_max,
                max_queue=_MESSAGES_QUEUED,
                logger=_quiet_logger(),
                create_connection=_limited(self._raw, self._connections_max + _HANDSHAKES_MAX),
                ssl=context,
                ssl_handshake_timeout=self._handshake_s if context is not None else None,
            )
            self._servers.append(server)
        return self._host or sockets[0].getsockname()[0], port

    async def close(self) -> None:
        for server in self._servers:
            # Not its connections: each handler's stream is closed below, and bounded.
            server.close(close_connections=False)
        await self._end_all()
        for connection in list(self._raw):
            # What is left is still shaking hands.
            connection.transport.abort()
        waits = [asyncio.ensure_future(server.wait_closed()) for server in self._servers]
        if waits:
            _, late = await asyncio.wait(waits, timeout=HANDLERS_S)
            for wait in late:
                wait.cancel()

    def _on_request(self, connection: ServerConnection, request: Request) -> Response | None:
        if "websocket" not in request.headers.get("Upgrade", "").lower():
            response = connection.respond(HTTPStatus.UPGRADE_REQUIRED, _GREETING)
            response.headers["Upgrade"] = "websocket"
            return response
        if not self._admits(address_text(connection.remote_address)):
            return connection.respond(HTTPStatus.SERVICE_UNAVAILABLE, "Too many connections; try again later.\n")
        return None

    async def _on_connection(self, connection: ServerConnection) -> None:
        stream = WebSocketStream(connection, message_bytes_max=self._message_bytes_max)
        task = asyncio.current_task()
        assert task is not None
        # Several may have been admitted while the last place was free.
        if not self._admits(stream.peer):
            await stream.close()
            return
        self._tasks[task] = stream
        try:
            await self._handle(stream)
        finally:
            self._tasks.pop(task, None)


def _limited(made: set[ServerConnection], count_max: int) -> type[ServerConnection]:
    """The library's connection, kept in `made` while it lives, and cut at once beyond `count_max`."""
    from websockets.asyncio.server import ServerConnection

    class LimitedConnection(ServerConnection):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            super().connection_made(transport)
            made.add(self)
            if len(made) > count_max:
                self.transport.abort()

        def connection_lost(self, exc: Exception | None) -> None:
            made.discard(self)
            super().connection_lost(exc)

    return LimitedConnection


def _library() -> ModuleType:
    try:
        import websockets
    except ImportError as exc:
        raise ConfigurationError(
            "WebSockets need the library websockets", remedy="install it: pip install 'zahlwerk[websocket]'"
        ) from exc
    return websockets


def _split(url: str) -> tuple[str, str]:
    """Scheme, and `host:port` for messages: an address may hold a password."""
    try:
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "wss" else 80)
        if parts.scheme not in {"ws", "wss"} or not parts.hostname:
            raise ValueError("scheme or host")
    except ValueError as exc:
        raise ConfigurationError("not a WebSocket address", remedy="write ws://host:port or wss://host:port") from exc
    return parts.scheme, address_text((parts.hostname, port))


def _reason(exc: ConnectionClosed | None) -> str:
    """Why a connection ended. Source: RFC 6455, 7.4.1 (close codes)."""
    received, sent = (exc.rcvd, exc.sent) if exc is not None else (None, None)
    if exc is not None and sent is not None and (received is None or exc.rcvd_then_sent is False):
        return f"the connection was closed on this side ({sent.code} {sent.reason or _CODES.get(sent.code, '')})"
    if received is not None:
        word = _CODES.get(received.code, "")
        return f"the peer closed the connection ({received.code}{' ' + word if word else ''})"
    return "the peer cut the connection"


_CODES: Final = {
    1000: "done",
    1001: "going away",
    1002: "protocol error",
    1003: "unsupported data",
    1005: "no code",
    1007: "bad text",
    1008: "refused",
    1009: "message too long",
    1011: "internal error",
    1012: "restart",
    1013: "try again later",
}


def _quiet_logger() -> logging.Logger:
    """A logger for the library that shows warnings at most: at debug level it would write whole messages."""
    logger = logging.Logger("zahlwerk.transport.websocket", logging.WARNING)
    logger.parent = _log
    logger.addFilter(_brief)
    return logger


def _brief(record: logging.LogRecord) -> bool:
    """A failure is one line without quotations; a failed handshake is mere information, for anybody can cause it."""
    if record.exc_info and record.exc_info[0] is not None:
        if record.msg == "opening handshake failed":
            record.levelno, record.levelname = logging.INFO, "INFO"
        record.msg, record.args = f"websocket.library {record.msg} error={record.exc_info[0].__name__}", ()
        record.exc_info = None
    return _log.isEnabledFor(record.levelno)
