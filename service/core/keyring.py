"""The keyring: 32-byte keys by id. The primary seals, all open.

Each use of a key goes through its own derived key (HKDF-SHA256 with a purpose label), so that a value made for one purpose is
worthless for another.

Source: DESIGN §10; RFC 5869 (HKDF); RFC 2104 (HMAC).
"""

import hashlib
import hmac
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from service.core.errors import IntegrityError

KEY_BYTES = 32
KEY_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}", re.ASCII)

Purpose = Literal["grant", "store", "fingerprint", "audit", "cursor", "keys"]


class KeyringError(Exception):
    """A keyring that cannot be used, or not here. The text names files, key ids and the remedy, never what a file holds."""


class Key:
    """One key of the ring; it shows nothing but its id."""

    __slots__ = ("_derived", "_material", "key_id")

    def __init__(self, key_id: str, material: bytes) -> None:
        """Take a key.

        Args:
            key_id: Lower-case letters, digits, ``-`` and ``_``; at most 32.
            material: 32 random bytes.

        Raises:
            ValueError: The id or the length is wrong; the message shows neither.
        """
        if not KEY_ID.fullmatch(key_id):
            raise ValueError("a key id is 1 to 32 of a-z, 0-9, '-' and '_'")
        if len(material) != KEY_BYTES:
            raise ValueError("a key is 32 bytes")
        self.key_id = key_id
        self._material = material
        self._derived: dict[str, bytes] = {}

    def __repr__(self) -> str:
        return f"Key({self.key_id})"

    def mac(self, purpose: Purpose, message: bytes) -> bytes:
        """Return the HMAC-SHA256 of a message under the key derived for a purpose."""
        return mac(self.mac_key(purpose), message)

    def mac_key(self, purpose: Purpose) -> bytes:
        """Return the key derived for a purpose. It is as secret as what it protects, and leads to no other key."""
        key = self._derived.get(purpose)
        if key is None:
            key = self.derive(b"", f"b2b-broker/mac/v1/{purpose}".encode(), KEY_BYTES)
            self._derived[purpose] = key
        return key

    def derive(self, salt: bytes, info: bytes, length: int) -> bytes:
        """Return ``length`` bytes of HKDF-SHA256 over the key."""
        return HKDF(algorithm=SHA256(), length=length, salt=salt or None, info=info).derive(
            self._material
        )


class Keyring:
    """An immutable set of keys, one of them primary."""

    __slots__ = ("_keys", "primary")

    def __init__(self, keys: Mapping[str, Key], primary: str) -> None:
        """Make a ring.

        Raises:
            ValueError: The primary is not among the keys.
        """
        if primary not in keys:
            raise ValueError("the primary key is not in the keyring")
        self._keys = MappingProxyType(dict(keys))
        self.primary = self._keys[primary]

    def __repr__(self) -> str:
        return f"Keyring(primary={self.primary.key_id}, keys={sorted(self._keys)})"

    @property
    def key_ids(self) -> tuple[str, ...]:
        """All key ids, sorted."""
        return tuple(sorted(self._keys))

    def sealing_with(self, key_id: str) -> "Keyring":
        """Return a ring of the same keys with another primary.

        Raises:
            ValueError: It is not among the keys.
        """
        return Keyring(self._keys, key_id)

    def only(self, key_id: str) -> "Keyring":
        """Return a ring of one of the keys.

        Raises:
            IntegrityError: It is not in the ring; reason ``key_unavailable``.
        """
        return Keyring({key_id: self.key(key_id)}, key_id)

    def key(self, key_id: str) -> Key:
        """Return a key by id.

        Raises:
            IntegrityError: It is not in the ring; reason ``key_unavailable``.
        """
        found = self._keys.get(key_id)
        if found is None:
            raise IntegrityError(
                "A stored value needs a key that is not here.", reason="key_unavailable"
            )
        return found


def mac(key: bytes, message: bytes) -> bytes:
    """Return the HMAC-SHA256 of a message."""
    return hmac.digest(key, message, hashlib.sha256)
