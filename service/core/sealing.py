"""Sealing: authenticated encryption of what goes to storage, bound to the place where it belongs.

A sealed value, version 1::

    version (1) | key id length (1) | key id | salt (32) | nonce (12) | commitment (32) | AES-256-GCM ciphertext and tag

The encryption key and the commitment are 64 bytes of HKDF-SHA256 over the keyring key with the fresh salt. So the limit of 2^32
random nonces under one key never binds (NIST SP 800-38D §8.3), and a wrong key is told from an altered value before anything is
decrypted (AES-GCM by itself commits to no key). The associated data is the context, each field with its length before it, so
that no value can be moved to another store, kind, generation or installation, and no two contexts have the same bytes.

Source: DESIGN §10.
"""

import hmac
import secrets
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from service.core.errors import IntegrityError
from service.core.keyring import Keyring

_VERSION = 1
_SALT = 32
_NONCE = 12
_COMMITMENT = 32
_TAG = 16
_INFO = b"b2b-broker/seal/v1"


@dataclass(frozen=True, slots=True)
class Context:
    """Where a sealed value belongs.

    Attributes:
        instance: The installation.
        kind: What it is, such as ``token``.
        store_hash: Whose it is.
        generation: Of which generation.
    """

    instance: str
    kind: str
    store_hash: str
    generation: int

    def encode(self, key_id: str) -> bytes:
        """Return the associated data: the fields and the key id, each behind its length in two bytes."""
        fields = (self.instance, self.kind, self.store_hash, str(self.generation), key_id)
        return b"".join(
            len(field).to_bytes(2, "big") + field for field in (text.encode() for text in fields)
        )


def seal(keyring: Keyring, plaintext: bytes, context: Context) -> bytes:
    """Encrypt ``plaintext`` under the primary key for the place that ``context`` names."""
    key_id = keyring.primary.key_id
    salt, nonce = secrets.token_bytes(_SALT), secrets.token_bytes(_NONCE)
    derived = keyring.primary.derive(salt, _INFO, 32 + _COMMITMENT)
    ciphertext = AESGCM(derived[:32]).encrypt(nonce, plaintext, context.encode(key_id))
    header = bytes((_VERSION, len(key_id))) + key_id.encode()
    return header + salt + nonce + derived[32:] + ciphertext


def open_sealed(keyring: Keyring, sealed: bytes, context: Context) -> bytes:
    """Decrypt a value that was sealed for exactly this context.

    Raises:
        IntegrityError: ``malformed`` (not a sealed value), ``key_unavailable`` (the key is not in the ring), ``key_mismatch``
            (another key bears this id) or ``altered`` (changed, or sealed for another place; these look alike on purpose).
    """
    key_id, salt, nonce, commitment, ciphertext = _split(sealed)
    derived = keyring.key(key_id).derive(salt, _INFO, 32 + _COMMITMENT)
    if not hmac.compare_digest(derived[32:], commitment):
        raise IntegrityError("A sealed value needs another key.", reason="key_mismatch")
    try:
        return AESGCM(derived[:32]).decrypt(nonce, ciphertext, context.encode(key_id))
    except InvalidTag:
        raise IntegrityError("A sealed value was altered.", reason="altered") from None


def sealed_with(sealed: bytes) -> str:
    """Return the id of the key that a sealed value says it needs; nothing of it is verified.

    Raises:
        IntegrityError: ``malformed``.
    """
    return _split(sealed)[0]


def _split(sealed: bytes) -> tuple[str, bytes, bytes, bytes, bytes]:
    malformed = IntegrityError("A sealed value is not readable.", reason="malformed")
    if len(sealed) < 2 or sealed[0] != _VERSION:  # noqa: PLR2004 — the two header bytes
        raise malformed
    start = 2 + sealed[1]
    bounds = (start, start + _SALT, start + _SALT + _NONCE, start + _SALT + _NONCE + _COMMITMENT)
    if len(sealed) < bounds[3] + _TAG or not sealed[2:start].isascii():
        raise malformed
    return (
        sealed[2:start].decode("ascii"),
        sealed[bounds[0] : bounds[1]],
        sealed[bounds[1] : bounds[2]],
        sealed[bounds[2] : bounds[3]],
        sealed[bounds[3] :],
    )
