"""References and accessors: how they are written, and what can be told from one without asking Redis.

A reference::

    cbr_ | partition tag (2) | 256 random bits, base62 (43) | CRC-32 of all before it, base62 (6)

Its accessor, which is its public name and the key of its record::

    cba_ | partition tag (2) | base62 of SHA-256(reference) (43)

Prefix and checksum let a secret scanner find a reference and let garbage be refused without touching Redis. The partition tag
leads to the Redis slot; nothing else about a reference is readable (DESIGN §4, §6).
"""

import hashlib
import re
import secrets
import zlib
from dataclasses import dataclass

from service.core.base62 import base62
from service.core.errors import ReferenceInvalidError
from service.core.secret import Secret

PARTITIONS = 64
"""A part of the stored format: a store's keys live in the partition that its hash falls into."""

_REFERENCE = re.compile(r"cbr_([0-9]{2})[0-9A-Za-z]{49}", re.ASCII)
_ACCESSOR = re.compile(r"cba_([0-9]{2})[0-9A-Za-z]{43}", re.ASCII)
_CHECKSUM_DIGITS = 6


@dataclass(frozen=True, slots=True)
class Accessor:
    """The public name of a reference.

    Attributes:
        text: As it is shown, ``cba_…``.
        partition: The two digits that lead to its slot.
    """

    text: str
    partition: str


def partition_of(store_hash: str) -> str:
    """Return the two-digit partition tag of a store."""
    return f"{hashlib.sha256(store_hash.encode()).digest()[0] % PARTITIONS:02d}"


def new_reference(store_hash: str) -> Secret:
    """Return a fresh reference for a store."""
    body = f"cbr_{partition_of(store_hash)}{base62(secrets.token_bytes(32), 43)}"
    return Secret(body + _checksum(body))


def accessor_of(reference: Secret) -> Accessor:
    """Return the accessor of a reference.

    Raises:
        ReferenceInvalidError: It is not a well-formed reference (shape, partition or checksum).
    """
    text = reference.reveal()
    match = _REFERENCE.fullmatch(text)
    if match is None or int(match[1]) >= PARTITIONS:
        raise ReferenceInvalidError(reason="malformed")
    body, checksum = text[:-_CHECKSUM_DIGITS], text[-_CHECKSUM_DIGITS:]
    # The checksum guards against typing errors, not attackers, so an ordinary comparison is right.
    if _checksum(body) != checksum:
        raise ReferenceInvalidError(reason="malformed")
    digest = hashlib.sha256(text.encode()).digest()
    return Accessor(f"cba_{match[1]}{base62(digest, 43)}", match[1])


def parse_accessor(text: str) -> Accessor | None:
    """Return the accessor that ``text`` is, or None."""
    match = _ACCESSOR.fullmatch(text)
    if match is None or int(match[1]) >= PARTITIONS:
        return None
    return Accessor(text, match[1])


def _checksum(body: str) -> str:
    return base62(zlib.crc32(body.encode()).to_bytes(4, "big"), _CHECKSUM_DIGITS)
