"""Socket addresses, and the words for each way in which a connection cannot be made."""

from __future__ import annotations

import errno
import socket
import ssl

import pytest

from zahlwerk.transport._sockets import address_text, unavailable, unavailable_port


@pytest.mark.parametrize(
    ("address", "text"),
    [
        (("127.0.0.1", 8307), "127.0.0.1:8307"),
        (("::1", 8307, 0, 0), "[::1]:8307"),
        (("terminal.local", 80), "terminal.local:80"),
        ("", "?"),
        (None, "?"),
    ],
)
def test_an_address_reads_as_host_and_port(address: object, text: str) -> None:
    assert address_text(address) == text


@pytest.mark.parametrize(
    ("exc", "text"),
    [
        pytest.param(ConnectionRefusedError(errno.ECONNREFUSED, "x"), "nobody listens there", id="refused"),
        pytest.param(OSError(errno.EHOSTUNREACH, "x"), "the host cannot be reached", id="host unreachable"),
        pytest.param(OSError(errno.ENETUNREACH, "x"), "the network cannot be reached", id="network unreachable"),
        pytest.param(OSError(errno.EMFILE, "x"), "too many open files on this machine", id="no descriptors"),
        pytest.param(OSError(errno.EILSEQ, "Strange Thing"), "strange thing", id="something rare"),
        pytest.param(TimeoutError(), "no connection within 3 s", id="our own time-out"),
        pytest.param(TimeoutError(errno.ETIMEDOUT, "x"), "no answer in time", id="the system's time-out"),
        pytest.param(ConnectionResetError(), "the peer broke off the handshake", id="end in the handshake"),
        pytest.param(ConnectionResetError(errno.ECONNRESET, "x"), "the peer cut the connection at once", id="reset"),
        pytest.param(socket.gaierror(socket.EAI_NONAME, "x"), "unknown host", id="unknown"),
        pytest.param(UnicodeError("label too long"), "unknown host", id="an impossible name"),
        pytest.param(
            OSError("Multiple exceptions: [Errno 111] Connect call failed, [Errno 111] Connect call failed"),
            "nobody listens there",
            id="several addresses",
        ),
        pytest.param(ssl.SSLError(1, "x"), "no TLS connection: handshake failed", id="TLS"),
    ],
)
def test_each_failure_to_connect_has_one_clear_sentence(exc: BaseException, text: str) -> None:
    assert str(unavailable(exc, "host:1", timeout_s=3.0)) == f"host:1: {text}"


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (errno.EADDRINUSE, "the port is already in use"),
        (errno.EACCES, "this user may not open the port"),
        (errno.EADDRNOTAVAIL, "this machine does not have that address"),
        (errno.EMFILE, "too many open files on this machine"),
    ],
)
def test_each_failure_to_listen_has_one_clear_sentence(number: int, text: str) -> None:
    assert str(unavailable_port(OSError(number, "x"), "host:1")) == f"cannot listen on host:1: {text}"
