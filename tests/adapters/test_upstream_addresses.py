"""Whom the link talks to: a host that proves who it is, at an address that is global."""

import socket
import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from service.core.errors import UpstreamUnreachableError
from tests.adapters.calling import fetch, link_to
from tests.support.wire import answer, answering, scripted_server

DAY = timedelta(days=1)
HERE = x509.IPAddress(IPv4Address("127.0.0.1"))


class Authority:
    """A certificate authority with a key of its own."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.file = folder / f"{name}.pem"
        made = self._builder(self._name, self._key, DAY).add_extension(
            x509.BasicConstraints(ca=True, path_length=0), critical=True
        )
        usage = x509.KeyUsage(
            key_cert_sign=True,
            crl_sign=True,
            digital_signature=False,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            encipher_only=False,
            decipher_only=False,
        )
        signed = made.add_extension(usage, critical=True).sign(self._key, SHA256())
        self.file.write_bytes(signed.public_bytes(Encoding.PEM))

    def server(self, name: x509.GeneralName = HERE, ends: timedelta = DAY) -> ssl.SSLContext:
        """Return the TLS of a server that this authority vouches for."""
        key = ec.generate_private_key(ec.SECP256R1())
        made = self._builder(x509.Name([]), key, ends).add_extension(
            x509.SubjectAlternativeName([name]), critical=True
        )
        key_pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        chain = self._folder / "server.pem"
        chain.write_bytes(made.sign(self._key, SHA256()).public_bytes(Encoding.PEM) + key_pem)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(chain)
        return context

    def _builder(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, ends: timedelta
    ) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - 2 * DAY)
            .not_valid_after(now + ends)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()),
                critical=False,
            )
            .add_extension(
                x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False
            )
        )


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """The authority that the link is told to trust."""
    return Authority(tmp_path, "trusted")


def _fetch(tls: ssl.SSLContext, ca_file: Path | str) -> bytes:
    with (
        scripted_server(answering(answer(b"over TLS")), tls) as server,
        link_to(f"https://127.0.0.1:{server.port}", ca_file=str(ca_file)) as link,
    ):
        return fetch(link)


def test_a_host_that_proves_its_name_is_talked_to(authority: Authority) -> None:
    """The right authority, the right name, in time."""
    assert _fetch(authority.server(), authority.file) == b"over TLS"


@pytest.mark.parametrize("wrong", ["authority", "no authority", "name", "expired", "old TLS"])
def test_a_host_that_does_not_prove_its_name_gets_nothing(
    authority: Authority, tmp_path: Path, wrong: str
) -> None:
    """Not one byte of a request is sent, so nothing can have happened."""
    tls, ca_file = authority.server(), str(authority.file)
    match wrong:
        case "authority":
            ca_file = str(Authority(tmp_path, "another").file)
        case "no authority":
            ca_file = ""
        case "name":
            tls = authority.server(x509.DNSName("api-b2b.bigcommerce.com"))
        case "expired":
            tls = authority.server(ends=-DAY)
        case _:
            tls.set_ciphers("DEFAULT@SECLEVEL=0")
            with pytest.warns(DeprecationWarning, match="TLSv1_1"):
                tls.maximum_version = ssl.TLSVersion.TLSv1_1

    with pytest.raises(UpstreamUnreachableError) as caught:
        _fetch(tls, ca_file)

    assert not caught.value.processed


def test_a_host_that_does_not_speak_tls_is_unreachable(authority: Authority) -> None:
    """Plain HTTP is no answer to a handshake."""
    with (
        scripted_server(answering(answer(b"plain"))) as server,
        link_to(f"https://127.0.0.1:{server.port}", ca_file=str(authority.file)) as link,
        pytest.raises(UpstreamUnreachableError),
    ):
        fetch(link)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_an_address_that_is_not_global_is_refused_without_the_insecure_option(host: str) -> None:
    """A name that leads inside is not followed, and nobody there hears of it."""
    with scripted_server(answering(answer(b"inside"))) as server:
        with (
            link_to(f"http://{host}:{server.port}", insecure=False) as link,
            pytest.raises(UpstreamUnreachableError) as caught,
        ):
            fetch(link)

        assert server.connections == 0
    assert not caught.value.processed


@pytest.mark.parametrize(
    "host",
    ["10.0.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "[::1]", "[fd00::1]", "0.0.0.0"],  # noqa: S104 — an address to refuse
)
def test_private_addresses_of_every_kind_are_refused_at_once(host: str) -> None:
    """Cloud metadata, carrier-grade NAT and IPv6 included."""
    with (
        link_to(f"http://{host}:1", insecure=False) as link,
        pytest.raises(UpstreamUnreachableError),
    ):
        fetch(link)


def test_an_address_of_a_family_that_this_host_lacks_is_passed_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As IPv6 may be, while the name has both kinds; the kernel knows no family 44, and says what it says of IPv6 that is off."""
    with scripted_server(answering(answer(b"found"))) as server:
        here = ("127.0.0.1", server.port)
        found = [
            (44, socket.SOCK_STREAM, 0, "", here),
            (socket.AF_INET, socket.SOCK_STREAM, 0, "", here),
        ]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_options: found)
        with link_to(f"http://upstream.example:{server.port}") as link:
            assert fetch(link) == b"found"


def test_a_name_that_does_not_exist_is_unreachable() -> None:
    """RFC 6761 reserves ``.invalid``."""
    with link_to("http://upstream.invalid") as link, pytest.raises(UpstreamUnreachableError):
        fetch(link)


def test_the_base_url_is_the_one_that_was_set() -> None:
    """What callers are told."""
    with link_to("https://api-b2b.bigcommerce.com") as link:
        assert link.base_url == "https://api-b2b.bigcommerce.com"
