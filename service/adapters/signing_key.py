"""The key that signs the heads of the audit trail: an Ed25519 private key in a PEM file (PKCS #8), as ``openssl genpkey`` makes it too."""

import stat
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)


class SigningKeyError(Exception):
    """The file does not hold such a key. The text never holds its content."""


def read_signing_key(path: str) -> Ed25519PrivateKey:
    """Return the private key of a file.

    Raises:
        SigningKeyError: It cannot be read, can be read by everybody, or holds something else.
    """
    try:
        if Path(path).stat().st_mode & (stat.S_IROTH | stat.S_IWOTH):
            raise SigningKeyError("it can be read or written by everybody (chmod o=)")
        key = load_pem_private_key(Path(path).read_bytes(), None)
    except OSError:
        raise SigningKeyError("it cannot be read") from None
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise SigningKeyError("it is not a private key in PEM, without a passphrase") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise SigningKeyError("it is not an Ed25519 key")
    return key


def read_public_key(path: str) -> Ed25519PublicKey:
    """Return the public key of a file.

    Raises:
        SigningKeyError: It cannot be read, or holds something else.
    """
    try:
        key = load_pem_public_key(Path(path).read_bytes())
    except OSError:
        raise SigningKeyError("it cannot be read") from None
    except (ValueError, UnsupportedAlgorithm):
        raise SigningKeyError("it is not a public key in PEM") from None
    if not isinstance(key, Ed25519PublicKey):
        raise SigningKeyError("it is not an Ed25519 key")
    return key


def new_signing_key() -> tuple[bytes, bytes]:
    """Return a fresh private key and its public key, in PEM."""
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return private, public
