"""Certificates of any shape, good and bad: the authorities of trust domains, what is between, and the leaves."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tests.support.clock import START

DOMAIN = "prod.example"
IDENTITY = f"spiffe://{DOMAIN}/ns/commerce/sa/order-sync"
CLIENT, SERVER = ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH
_HOUR = dt.timedelta(hours=1)
Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey
_USAGES = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)


def uri(*texts: str) -> tuple[x509.GeneralName, ...]:
    """Return URI names."""
    return tuple(x509.UniformResourceIdentifier(text) for text in texts)


@dataclass(frozen=True, slots=True)
class Shape:
    """What a certificate says.

    Attributes:
        names: Its alternative names; None for no such extension.
        usages: What its key is for, by the names of RFC 5280; None for no such extension.
        extended: What its key is for beside that; None for no such extension.
        authority: Whether it may sign others; None for no such extension.
        subject: Pairs; an empty one makes the alternative names critical, as RFC 5280 asks for.
        begins: When its life begins, relative to the clock of the tests.
        life: How long from that clock on it lives; below zero for one that has expired.
        path_length: How many authorities may follow.
        key: None for a fresh one.
        more: Further extensions.
    """

    names: tuple[x509.GeneralName, ...] | None = uri(IDENTITY)
    usages: tuple[str, ...] | None = ("digital_signature",)
    extended: tuple[x509.ObjectIdentifier, ...] | None = (SERVER, CLIENT)
    authority: bool | None = False
    subject: tuple[tuple[x509.ObjectIdentifier, str], ...] = ()
    begins: dt.timedelta = dt.timedelta(minutes=-1)
    life: dt.timedelta = dt.timedelta(hours=1)
    path_length: int | None = None
    key: Key | None = field(default=None, repr=False)
    more: tuple[tuple[x509.ExtensionType, bool], ...] = ()


def root(common_name: str = "root", **changes: object) -> Shape:
    """Return the shape of an authority of a trust domain."""
    usual: dict[str, object] = {
        "names": None,
        "usages": ("key_cert_sign", "crl_sign"),
        "extended": None,
        "authority": True,
        "subject": ((NameOID.COMMON_NAME, common_name),),
        "life": dt.timedelta(days=365),
    }
    return Shape(**(usual | changes))  # type: ignore[arg-type]  # each caller names fields of the shape


@dataclass(frozen=True, slots=True)
class Svid:
    """A certificate with its key."""

    certificate: x509.Certificate
    key: Key

    @property
    def der(self) -> bytes:
        """The certificate, as TLS sends it."""
        return self.certificate.public_bytes(serialization.Encoding.DER)

    @property
    def pem(self) -> bytes:
        """The certificate, as files hold it."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def write(self, folder: Path, name: str, *between: "Svid") -> tuple[Path, Path]:
        """Write the chain and the key, and return where."""
        chain, key = folder / f"{name}.crt", folder / f"{name}.key"
        chain.write_bytes(b"".join(svid.pem for svid in (self, *between)))
        key.write_bytes(
            self.key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return chain, key


def make(shape: Shape, by: Svid | None = None, now: dt.datetime = START) -> Svid:
    """Return a certificate of this shape, signed by another or by itself."""
    key = shape.key or ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(*pair) for pair in shape.subject])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(by.certificate.subject if by else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + (shape.begins if shape.life > shape.begins else shape.life - _HOUR))
        .not_valid_after(now + shape.life)
    )
    for extension, critical in (*_extensions(shape, key, by), *shape.more):
        builder = builder.add_extension(extension, critical=critical)
    signer = by.key if by else key
    digest = None if isinstance(signer, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return Svid(builder.sign(signer, digest), key)


def _extensions(
    shape: Shape, key: Key, by: Svid | None
) -> Sequence[tuple[x509.ExtensionType, bool]]:
    found: list[tuple[x509.ExtensionType, bool]] = [
        (x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
    ]
    if by is not None:
        signer = by.key.public_key()
        found.append((x509.AuthorityKeyIdentifier.from_issuer_public_key(signer), False))
    if shape.authority is not None:
        found.append((x509.BasicConstraints(shape.authority, shape.path_length), True))
    if shape.usages is not None:
        usages = {name: name in shape.usages for name in _USAGES}
        found.append((x509.KeyUsage(**usages), True))
    if shape.extended is not None:
        found.append((x509.ExtendedKeyUsage(shape.extended), False))
    if shape.names is not None:
        found.append((x509.SubjectAlternativeName(shape.names), not shape.subject))
    return found
