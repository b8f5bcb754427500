"""The key file that signs the heads: what is taken, and what is refused without showing any of it."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from service.adapters.signing_key import (
    SigningKeyError,
    new_signing_key,
    read_public_key,
    read_signing_key,
)

PEM, PKCS8 = Encoding.PEM, PrivateFormat.PKCS8
ELLIPTIC = ec.generate_private_key(ec.SECP256R1())


def _file(folder: Path, content: bytes, mode: int = 0o600) -> str:
    path = folder / "key.pem"
    path.write_bytes(content)
    path.chmod(mode)
    return str(path)


def test_a_new_key_signs_what_its_public_key_verifies(tmp_path: Path) -> None:
    """Both go through their files."""
    private, public = new_signing_key()

    signature = read_signing_key(_file(tmp_path, private)).sign(b"x")

    read_public_key(_file(tmp_path, public, 0o644)).verify(signature, b"x")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "not a private key"),
        (b"garbage", "not a private key"),
        (new_signing_key()[1], "not a private key"),
        (ELLIPTIC.private_bytes(PEM, PKCS8, NoEncryption()), "not an Ed25519 key"),
        (
            Ed25519PrivateKey.generate().private_bytes(PEM, PKCS8, BestAvailableEncryption(b"p")),
            "without a passphrase",
        ),
    ],
)
def test_another_file_is_refused(tmp_path: Path, content: bytes, says: str) -> None:
    """One sentence says why."""
    with pytest.raises(SigningKeyError, match=says):
        read_signing_key(_file(tmp_path, content))


def test_a_key_that_everybody_can_read_is_refused(tmp_path: Path) -> None:
    """Whoever reads it can write the trail anew."""
    with pytest.raises(SigningKeyError, match="everybody"):
        read_signing_key(_file(tmp_path, new_signing_key()[0], 0o644))


@pytest.mark.parametrize("read", [read_signing_key, read_public_key])
def test_a_file_that_is_not_there_is_refused(read: object) -> None:
    """As any other that cannot be read."""
    assert callable(read)
    with pytest.raises(SigningKeyError, match="cannot be read"):
        read("/nowhere/key.pem")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"garbage", "not a public key"),
        (new_signing_key()[0], "not a public key"),
        (
            ELLIPTIC.public_key().public_bytes(PEM, PublicFormat.SubjectPublicKeyInfo),
            "not an Ed25519 key",
        ),
    ],
)
def test_another_public_key_is_refused(tmp_path: Path, content: bytes, says: str) -> None:
    """The private one, for instance, which nobody should hand to an auditor."""
    with pytest.raises(SigningKeyError, match=says):
        read_public_key(_file(tmp_path, content))
