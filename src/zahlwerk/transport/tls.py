"""TLS settings of a link, from files and switches to a context of the standard library.

TLS 1.2 or later on both sides. Source: RFC 9325, 3.1.1.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from zahlwerk.errors import ConfigurationError

__all__ = ["HANDSHAKE_S", "TlsOptions"]

HANDSHAKE_S: Final = 10.0
"""A TLS handshake that takes longer has failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsOptions:
    """Certificates and checks of one side of a link."""

    certfile: str | None = None
    """Our own certificate with its chain, PEM. A server needs one."""
    keyfile: str | None = None
    """Its private key, PEM, not encrypted; None if it stands in `certfile`."""
    cafile: str | None = None
    """Whom we trust, PEM. Client: None for the system's authorities. Server: given, each client must show a
    certificate signed by one of these."""
    insecure: bool = False
    """Client: accept any certificate. For a test bench, never for money."""
    check_hostname: bool = True
    """Client: the certificate must name the host. False for terminals addressed by a changing IP address, which
    `cafile` then identifies alone."""

    def client_context(self) -> ssl.SSLContext:
        """A context for connecting.

        Raises:
            ConfigurationError: a file is missing or is not what it should be.
        """
        try:
            context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=self.cafile)
        except (OSError, ValueError) as exc:
            raise _bad_file("the file of trusted authorities", self.cafile, exc) from exc
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.check_hostname = self.check_hostname and not self.insecure
        context.verify_mode = ssl.CERT_NONE if self.insecure else ssl.CERT_REQUIRED
        if self.certfile is not None:
            self._load_certificate(context, self.certfile)
        return context

    def server_context(self) -> ssl.SSLContext:
        """A context for listening.

        Raises:
            ConfigurationError: there is no certificate, or a file is missing or is not what it should be.
        """
        if self.certfile is None:
            raise ConfigurationError("a TLS listener needs a certificate", remedy="give certfile, and keyfile if apart")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        self._load_certificate(context, self.certfile)
        if self.cafile is not None:
            try:
                context.load_verify_locations(self.cafile)
            except (OSError, ValueError) as exc:
                raise _bad_file("the file of trusted authorities", self.cafile, exc) from exc
            context.verify_mode = ssl.CERT_REQUIRED
        return context

    def _load_certificate(self, context: ssl.SSLContext, certfile: str) -> None:
        for what, name in (("the certificate file", certfile), ("the key file", self.keyfile)):
            if name is not None and not Path(name).is_file():
                raise _bad_file(what, name, FileNotFoundError(name))
        try:
            # Without a password function OpenSSL would ask on the terminal and wait for ever.
            context.load_cert_chain(certfile, self.keyfile, password=_no_password)
        except (OSError, ValueError) as exc:
            raise _bad_file("certificate and key", self.keyfile or certfile, exc) from exc


def _no_password() -> str:
    raise ConfigurationError(
        "the private key is encrypted", remedy="give a key file without a password, readable by this user only"
    )


def _bad_file(what: str, name: str | None, exc: Exception) -> ConfigurationError:
    if isinstance(exc, FileNotFoundError):
        return ConfigurationError(f"{what} does not exist: {name}", remedy="correct the path")
    if isinstance(exc, PermissionError):
        return ConfigurationError(f"{what} may not be read: {name}", remedy="give this user the right to read it")
    return ConfigurationError(
        f"{what} cannot be used: {name}", remedy="it must be PEM, and the key must belong to the certificate"
    )
