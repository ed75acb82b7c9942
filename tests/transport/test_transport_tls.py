"""TLS settings: which files are needed, and what is said of bad ones. Conversations: test_transport_tcp."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
import trustme

from zahlwerk.errors import ConfigurationError
from zahlwerk.transport.tls import TlsOptions


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def tls(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> tuple[TlsOptions, TlsOptions]:
    """Settings of a listener and of a caller."""
    folder = tmp_path_factory.mktemp("tls")
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(str(folder / "server.pem"))
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    return TlsOptions(certfile=str(folder / "server.pem")), TlsOptions(cafile=str(folder / "ca.pem"))


class TestTlsFiles:
    @pytest.fixture
    def broken(self, tmp_path: Path) -> str:
        path = tmp_path / "broken.pem"
        path.write_text("this is no certificate")
        return str(path)

    def test_a_listener_needs_a_certificate(self) -> None:
        with pytest.raises(ConfigurationError, match="needs a certificate"):
            TlsOptions().server_context()

    def test_a_missing_file_is_named(self, tls: tuple[TlsOptions, TlsOptions]) -> None:
        for options, words in (
            (TlsOptions(certfile="nowhere.pem"), "the certificate file does not exist: nowhere.pem"),
            (TlsOptions(certfile=tls[0].certfile, keyfile="nokey.pem"), "the key file does not exist: nokey.pem"),
            (TlsOptions(certfile=tls[0].certfile, cafile="noca.pem"), "trusted authorities does not exist: noca.pem"),
        ):
            with pytest.raises(ConfigurationError, match=words):
                options.server_context()
        with pytest.raises(ConfigurationError, match=r"trusted authorities does not exist: noca\.pem"):
            TlsOptions(cafile="noca.pem").client_context()

    def test_a_file_that_is_not_what_it_should_be_is_named(
        self, broken: str, tls: tuple[TlsOptions, TlsOptions]
    ) -> None:
        with pytest.raises(ConfigurationError, match=r"cannot be used: .*broken\.pem"):
            TlsOptions(certfile=broken).server_context()
        with pytest.raises(ConfigurationError, match=r"cannot be used: .*broken\.pem"):
            TlsOptions(certfile=tls[0].certfile, cafile=broken).server_context()
        with pytest.raises(ConfigurationError, match=r"cannot be used: .*broken\.pem"):
            TlsOptions(cafile=broken).client_context()

    def test_a_key_of_another_certificate_is_refused(self, authority: trustme.CA, tmp_path: Path) -> None:
        authority.issue_cert("a.example").cert_chain_pems[0].write_to_path(str(tmp_path / "a.pem"))
        authority.issue_cert("b.example").private_key_pem.write_to_path(str(tmp_path / "b.key"))
        with pytest.raises(ConfigurationError, match="certificate and key cannot be used"):
            TlsOptions(certfile=str(tmp_path / "a.pem"), keyfile=str(tmp_path / "b.key")).server_context()

    def test_an_encrypted_key_is_refused_instead_of_asking_on_the_screen(
        self, authority: trustme.CA, tmp_path: Path
    ) -> None:
        from cryptography.hazmat.primitives import serialization

        issued = authority.issue_cert("a.example")
        key = serialization.load_pem_private_key(issued.private_key_pem.bytes(), None)
        locked = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
        (tmp_path / "locked.pem").write_bytes(locked + issued.cert_chain_pems[0].bytes())
        with pytest.raises(ConfigurationError, match="the private key is encrypted"):
            TlsOptions(certfile=str(tmp_path / "locked.pem")).server_context()

    def test_nothing_older_than_tls_1_2_is_spoken(self, tls: tuple[TlsOptions, TlsOptions]) -> None:
        for context in (tls[0].server_context(), tls[1].client_context()):
            assert context.minimum_version == ssl.TLSVersion.TLSv1_2

    def test_certificates_are_checked_unless_told_otherwise(self) -> None:
        assert TlsOptions().client_context().verify_mode == ssl.CERT_REQUIRED
        assert TlsOptions(insecure=True).client_context().verify_mode == ssl.CERT_NONE
