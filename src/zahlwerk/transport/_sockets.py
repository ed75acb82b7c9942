"""Socket addresses, binding, and one clear sentence for each way in which a connection cannot be made."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import re
import socket
import ssl
import sys
from typing import Final

from zahlwerk.errors import LinkUnavailable

__all__ = ["address_text", "bind", "tune", "unavailable", "unavailable_port"]

BACKLOG: Final = 1024
"""Connections that may wait to be accepted. LIMIT: a rush of a thousand registers after a power cut."""
_KEEPALIVE: Final = (("TCP_KEEPIDLE", 10), ("TCP_KEEPINTVL", 3), ("TCP_KEEPCNT", 3))
_ERRNO: Final = re.compile(r"\[Errno (-?[0-9]+)\]")
_WORDS: Final = {
    errno.ECONNREFUSED: "nobody listens there",
    errno.EHOSTUNREACH: "the host cannot be reached",
    errno.ENETUNREACH: "the network cannot be reached",
    errno.ENETDOWN: "the network is down",
    errno.EHOSTDOWN: "the host is down",
    errno.ECONNRESET: "the peer cut the connection at once",
    errno.EPIPE: "the peer cut the connection at once",
    errno.ETIMEDOUT: "no answer in time",
    errno.EADDRNOTAVAIL: "this machine has no address to reach it from",
    errno.EMFILE: "too many open files on this machine",
    errno.ENFILE: "too many open files on this machine",
    errno.EACCES: "this machine does not allow it",
    errno.EPERM: "this machine does not allow it",
}
_BIND_WORDS: Final = {
    errno.EADDRINUSE: ("the port is already in use", "stop the other program, or choose another port"),
    errno.EACCES: ("this user may not open the port", "choose a port from 1024 up, or run with the right to open it"),
    errno.EADDRNOTAVAIL: ("this machine does not have that address", "listen on one of its own addresses"),
}


def address_text(sockname: object) -> str:
    """A socket address as `host:port`, IPv6 in brackets; `?` for what is not one."""
    if not isinstance(sockname, tuple) or len(sockname) < 2:
        return "?"
    host, port = str(sockname[0]), sockname[1]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def tune(sock: socket.socket | None) -> None:
    """No delay for small messages, and a dead peer is noticed within about twenty seconds."""
    if sock is None:
        return
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in _KEEPALIVE:
            if (option := getattr(socket, name, None)) is not None:
                sock.setsockopt(socket.IPPROTO_TCP, option, value)


def unavailable(exc: BaseException, where: str, *, timeout_s: float) -> LinkUnavailable:
    """Why no connection to `where` could be made."""
    if isinstance(exc, ssl.SSLCertVerificationError):
        return LinkUnavailable(
            f"{where}: its TLS certificate is not accepted: {exc.verify_message}",
            remedy="give the right cafile, and address the host by the name in its certificate",
        )
    if isinstance(exc, ssl.SSLError | ssl.CertificateError):
        reason = str(getattr(exc, "reason", None) or "handshake failed").replace("_", " ").lower()
        return LinkUnavailable(
            f"{where}: no TLS connection: {reason}", remedy="does the peer speak TLS on this port, 1.2 or later?"
        )
    if isinstance(exc, TimeoutError) and getattr(exc, "errno", None) is None:
        return LinkUnavailable(f"{where}: no connection within {timeout_s:g} s")
    if isinstance(exc, socket.gaierror | UnicodeError):
        return LinkUnavailable(f"{where}: unknown host", remedy="check the name, or use the IP address")
    return LinkUnavailable(f"{where}: {_words(exc)}")


def unavailable_port(exc: OSError, where: str) -> LinkUnavailable:
    """Why nobody can listen at `where`."""
    if isinstance(exc, socket.gaierror):
        return LinkUnavailable(f"cannot listen on {where}: unknown host", remedy="use one of this machine's addresses")
    words, remedy = _BIND_WORDS.get(exc.errno or 0, (_words(exc), "check address and port"))
    return LinkUnavailable(f"cannot listen on {where}: {words}", remedy=remedy)


async def bind(host: str, port: int) -> list[socket.socket]:
    """Sockets bound to every address of a host, all on one port; not yet listening. Empty host: all addresses.

    Raises:
        LinkUnavailable: the port is in use or not ours to open, the host is unknown or not this machine.
    """
    where = address_text((host or "*", port))
    try:
        found = await asyncio.get_running_loop().getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except (OSError, UnicodeError) as exc:
        raise unavailable_port(exc if isinstance(exc, OSError) else socket.gaierror(), where) from exc
    bound: list[socket.socket] = []
    failed: OSError | None = None
    for family, _, _, _, sockaddr in dict.fromkeys(found):
        # With port 0 the first address chooses and the others follow.
        number = bound[0].getsockname()[1] if bound and port == 0 else sockaddr[1]
        try:
            bound.append(_bound(family, (sockaddr[0], number, *sockaddr[2:])))
        except OSError as exc:
            failed = exc
            # A name may stand for an address family that this machine has switched off.
            if exc.errno in {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}:
                continue
            break
    if bound and (failed is None or failed.errno in {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}):
        return bound
    for sock in bound:
        sock.close()
    raise unavailable_port(failed or OSError(errno.EADDRNOTAVAIL, "no address"), where) from failed


def _bound(family: int, sockaddr: tuple[object, ...]) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        if sys.platform != "win32":
            # Windows takes this option as leave to share a port that somebody else uses.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(sockaddr)
        # Listening at once, for Linux reports some conflicts only here. Nothing is accepted before start.
        sock.listen(BACKLOG)
    except BaseException:
        sock.close()
        raise
    return sock


def _words(exc: BaseException) -> str:
    number = getattr(exc, "errno", None)
    if number is None:
        # Several addresses were tried: asyncio joins their errors into one text.
        numbers = [int(found) for found in _ERRNO.findall(str(exc))]
        number = next((found for found in numbers if found in _WORDS), None)
    if number in _WORDS:
        return _WORDS[number]
    if isinstance(exc, ConnectionError) and number is None:
        # asyncio's own words for an end, or a time-out, in the TLS handshake.
        return "the peer broke off the handshake"
    return (getattr(exc, "strerror", None) or type(exc).__name__).lower()
