"""TCP, plain or with TLS.

Source: RFC 9293 (TCP), RFC 8446 (TLS 1.3), RFC 8305 (trying several addresses).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
from collections.abc import Callable
from typing import Final

from zahlwerk.errors import LinkUnavailable, LocalProtocolError
from zahlwerk.transport._inbox import Inbox
from zahlwerk.transport._sockets import BACKLOG, address_text, bind, tune, unavailable
from zahlwerk.transport.stream import (
    BUFFER_BYTES_MAX,
    CHUNK_BYTES_MAX,
    CLOSE_S,
    CONNECTIONS_MAX,
    ByteStream,
    Handler,
    Listener,
    StreamEnded,
)
from zahlwerk.transport.tls import HANDSHAKE_S, TlsOptions

__all__ = ["TcpListener", "connect_tcp"]

_log: Final = logging.getLogger("zahlwerk.transport")
_NEXT_ADDRESS_S: Final = 0.25
"""A host's next address is tried after this pause. Source: RFC 8305, 8."""


async def connect_tcp(host: str, port: int, *, timeout_s: float, tls: TlsOptions | None = None) -> ByteStream:
    """A connection to a host.

    Args:
        timeout_s: for name, connection and TLS handshake together.
        tls: given, the connection is encrypted and the peer's certificate checked.

    Raises:
        LinkUnavailable: refused, unknown, unreachable, too slow, or TLS failed; the message says which.
        ConfigurationError: a TLS file is missing or wrong.
    """
    where = address_text((host, port))
    context = tls.client_context() if tls is not None else None
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(timeout_s):
            _, stream = await loop.create_connection(
                _TcpStream,
                host,
                port,
                ssl=context,
                server_hostname=host if context is not None else None,
                happy_eyeballs_delay=_NEXT_ADDRESS_S,
            )
    except (OSError, UnicodeError, ssl.CertificateError) as exc:
        raise unavailable(exc, where, timeout_s=timeout_s) from exc
    if stream.local == stream.peer:
        # A free port of this machine can be connected to itself, which looks like a peer that echoes.
        await stream.close()
        raise LinkUnavailable(f"{where}: nobody listens there")
    return stream


class TcpListener(Listener):
    """Listens on a TCP port, with TLS if `tls` is given.

    Args:
        host: the address to listen on; a name stands for all its addresses, empty for every address.
        port: 0 for any free one.
    """

    def __init__(
        self,
        host: str,
        port: int,
        handler: Handler,
        *,
        connections_max: int = CONNECTIONS_MAX,
        tls: TlsOptions | None = None,
    ) -> None:
        super().__init__(handler, connections_max=connections_max)
        self._host = host
        self._port = port
        self._tls = tls
        self._context: ssl.SSLContext | None = None
        self._servers: list[asyncio.Server] = []
        self._started = False

    async def start(self) -> tuple[str, int]:
        if self._started:
            raise LocalProtocolError("a listener is started once")
        self._started = True
        self._context = self._tls.server_context() if self._tls is not None else None
        sockets = await bind(self._host, self._port)
        port: int = sockets[0].getsockname()[1]
        loop = asyncio.get_running_loop()
        for sock in sockets:
            self._servers.append(await loop.create_server(self._accept, sock=sock, backlog=BACKLOG))
        return self._host or sockets[0].getsockname()[0], port

    async def close(self) -> None:
        for server in self._servers:
            server.close()
        await self._end_all()

    def _accept(self) -> asyncio.Protocol:
        return _TcpStream(self._on_connected)

    def _on_connected(self, stream: _TcpStream) -> None:
        if not self._admits(stream.peer):
            stream.hang_up("too many connections")
            return
        context = self._context
        if context is None:

            async def ready() -> ByteStream | None:
                return stream
        else:
            # The handshake must not be mistaken for payload, so nothing is read before it starts.
            stream.hold()

            async def ready() -> ByteStream | None:
                return await _encrypted(stream, context)

        self._spawn(ready)


async def _encrypted(stream: _TcpStream, context: ssl.SSLContext) -> ByteStream | None:
    try:
        await stream.start_tls(context)
    except (OSError, StreamEnded) as exc:
        reason = getattr(exc, "reason", None) or type(exc).__name__
        _log.info("listener.tls_failed peer=%s reason=%s", stream.peer, reason)
        stream.abort()
        return None
    except BaseException:
        stream.abort()
        raise
    return stream


class _TcpStream(asyncio.Protocol, ByteStream):
    """A stream that is its own asyncio protocol: what arrives goes into a bounded inbox, which holds up the socket."""

    def __init__(self, on_connected: Callable[[_TcpStream], None] | None = None) -> None:
        self.local = self.peer = "?"
        self._on_connected = on_connected
        self._inbox = Inbox(
            chunk_bytes_max=CHUNK_BYTES_MAX, full_bytes=BUFFER_BYTES_MAX, merge=True, on_room=self._resume
        )
        self._transport: asyncio.Transport | None = None
        self._paused = False
        self._writable = asyncio.Event()
        self._writable.set()
        self._lost = asyncio.Event()
        self._sending = asyncio.Lock()
        self._sent = False

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.set_write_buffer_limits(high=BUFFER_BYTES_MAX)
        tune(transport.get_extra_info("socket"))
        self.local = address_text(transport.get_extra_info("sockname"))
        self.peer = address_text(transport.get_extra_info("peername"))
        if self._on_connected is not None:
            self._on_connected(self)

    def data_received(self, data: bytes) -> None:
        self._inbox.put(data)
        if self._inbox.full and not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()

    def eof_received(self) -> bool:
        self._inbox.end("the peer closed the connection")
        # The peer may only have finished sending, and still wait for our last words. TLS has no such state.
        return self._transport is not None and self._transport.get_extra_info("sslcontext") is None

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self._inbox.end(_reason(exc))
        self._lost.set()
        self._writable.set()

    # What a listener calls before the handler runs.

    def hold(self) -> None:
        """Read nothing until `start_tls`."""
        assert self._transport is not None
        self._transport.pause_reading()

    async def start_tls(self, context: ssl.SSLContext) -> None:
        """Server side of the TLS handshake. Raises OSError (ssl.SSLError, time-out, reset) or StreamEnded."""
        assert self._transport is not None
        plain, self._transport = self._transport, None
        try:
            transport = await asyncio.get_running_loop().start_tls(
                plain, self, context, server_side=True, ssl_handshake_timeout=HANDSHAKE_S
            )
        except BaseException:
            self._transport = plain
            raise
        if transport is None or self._lost.is_set():
            self._transport = plain
            raise StreamEnded("the peer closed the connection", request_sent=False)
        transport.set_write_buffer_limits(high=BUFFER_BYTES_MAX)
        self._transport = transport
        self.data_received(b"")

    def hang_up(self, reason: str) -> None:
        """Close without waiting."""
        self._inbox.end(reason, drop=True)
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Cut the connection now."""
        self._inbox.end("the connection was cut on this side", drop=True)
        if self._transport is not None:
            self._transport.abort()

    # What the owner calls.

    async def receive(self) -> bytes:
        data = await self._inbox.take()
        if data is None:
            raise self._ended()
        return data

    async def send(self, data: bytes) -> None:
        async with self._sending:
            # A large message goes in pieces, so that our own buffer stays small.
            for start in range(0, len(data), CHUNK_BYTES_MAX):
                if self._transport is None or self._transport.is_closing() or self._lost.is_set():
                    raise self._ended()
                self._sent = True
                self._transport.write(data[start : start + CHUNK_BYTES_MAX])
                await self._writable.wait()
            if self._lost.is_set():
                raise self._ended()

    async def close(self) -> None:
        self._inbox.end("the connection was closed on this side", drop=True)
        if self._transport is None or self._lost.is_set():
            return
        self._transport.close()
        try:
            async with asyncio.timeout(CLOSE_S):
                await self._lost.wait()
        except TimeoutError:
            _log.debug("stream.cut peer=%s", self.peer)
        finally:
            self._transport.abort()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_S):
                await self._lost.wait()

    def _ended(self) -> StreamEnded:
        return StreamEnded(self._inbox.ended or "the connection is closing", request_sent=self._sent)

    def _resume(self) -> None:
        if self._paused and self._transport is not None:
            self._paused = False
            self._transport.resume_reading()


def _reason(exc: Exception | None) -> str:
    if exc is None:
        return "the connection was closed"
    if isinstance(exc, ConnectionResetError | BrokenPipeError):
        return "the peer cut the connection"
    if isinstance(exc, TimeoutError):
        return "the peer stopped answering"
    if isinstance(exc, ssl.SSLError):
        return f"TLS error: {str(exc.reason or 'unknown').replace('_', ' ').lower()}"
    return f"the connection failed: {getattr(exc, 'strerror', None) or type(exc).__name__}"
