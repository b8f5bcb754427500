"""The grant: what a reference stands for, in canonical bytes under a MAC.

A stored reference is one line of text, so that one Lua script can read it and change its two mutable fields in place::

    1 | uses left (7) | last claim (16) | epochs | key id | MAC | grant as canonical JSON       (separated by single spaces)

``uses left`` is seven digits, ``-------`` for no limit, or ``revoked``. ``last claim`` is the nonce of the latest use, by which a
use whose answer was lost is recognised. ``epochs`` are those of all, the store, the minter and the audience when it was minted,
joined by dots. The MAC covers the grant and the accessor; the two mutable fields and the epochs are Redis's word, which is why
``uses left`` is checked against the grant's own ``max_uses`` (SECURITY.md says what that leaves open).

Source: DESIGN §6.
"""

import json
from dataclasses import dataclass
from datetime import datetime

from service.core.clock import from_millis, to_millis
from service.core.errors import IntegrityError
from service.core.keyring import Keyring
from service.core.policy import Access
from service.core.reference import Accessor
from service.core.signed import Place, sign, verify

USES_DIGITS = 7
UNLIMITED = "-" * USES_DIGITS
NO_CLAIM = "-" * 16
_FIELDS_BEFORE_SIGNED = 4
_encode = json.JSONEncoder(separators=(",", ":")).encode


@dataclass(frozen=True, slots=True)
class MaxRate:
    """A limit that the access file sets on requests through the proxy.

    Attributes:
        per_minute: How many, to one store.
        under: The name of the access file's grant; all references that were minted under it for one audience count together.
    """

    per_minute: int
    under: str


@dataclass(frozen=True, slots=True)
class Grant:
    """What a reference allows, to whom and until when.

    Attributes:
        store_hash: The one store that it is good for.
        audience: The identity that may use it.
        access: How.
        requests: Request scope entries; empty means all that the proxy forwards.
        max_uses: How often; None for no limit.
        minted_by: Whose it was to give.
        minted_at: When; milliseconds.
        expires_at: Until when; milliseconds.
        max_rate: How many requests a minute; None for no limit of its own, which is then left out of the bytes.
    """

    store_hash: str
    audience: str
    access: Access
    requests: tuple[str, ...]
    max_uses: int | None
    minted_by: str
    minted_at: datetime
    expires_at: datetime
    max_rate: MaxRate | None = None

    def encode(self) -> bytes:
        """Return the canonical bytes."""
        rate = self.max_rate
        return _encode(
            {
                "access": self.access,
                "audience": self.audience,
                "expires_at": to_millis(self.expires_at),
                **(
                    {"max_rate": {"per_minute": rate.per_minute, "under": rate.under}}
                    if rate
                    else {}
                ),
                "max_uses": self.max_uses,
                "minted_at": to_millis(self.minted_at),
                "minted_by": self.minted_by,
                "requests": self.requests,
                "store_hash": self.store_hash,
            }
        ).encode("ascii")

    @classmethod
    def decode(cls, body: bytes) -> "Grant":
        """Return the grant of canonical bytes whose MAC was verified."""
        fields = json.loads(body)
        rate = fields.get("max_rate")
        return cls(
            store_hash=fields["store_hash"],
            audience=fields["audience"],
            access=fields["access"],
            requests=tuple(fields["requests"]),
            max_uses=fields["max_uses"],
            minted_by=fields["minted_by"],
            minted_at=from_millis(fields["minted_at"]),
            expires_at=from_millis(fields["expires_at"]),
            max_rate=MaxRate(rate["per_minute"], rate["under"]) if rate else None,
        )


@dataclass(frozen=True, slots=True)
class StoredReference:
    """A stored reference that passed its checks.

    Attributes:
        grant: What it stands for.
        uses_left: None for no limit.
    """

    grant: Grant
    uses_left: int | None


def signed_grant(keyring: Keyring, instance: str, accessor: Accessor, grant: Grant) -> bytes:
    """Return the part of a stored reference that never changes: key id, MAC and grant."""
    return sign(keyring, Place(instance, "grant", accessor.text), grant.encode())


def uses_field(max_uses: int | None) -> str:
    """Return the ``uses left`` field of a fresh reference."""
    return UNLIMITED if max_uses is None else f"{max_uses:0{USES_DIGITS}d}"


def signed_part(stored: bytes) -> bytes:
    """Return the part of a stored reference that never changes; nothing of it is verified.

    Raises:
        IntegrityError: ``malformed``.
    """
    fields = stored.split(b" ", _FIELDS_BEFORE_SIGNED)
    if len(fields) <= _FIELDS_BEFORE_SIGNED or fields[0] != b"1":
        raise IntegrityError("A stored reference is not readable.", reason="malformed")
    return fields[_FIELDS_BEFORE_SIGNED]


def verified_reference(
    keyring: Keyring, instance: str, accessor: Accessor, stored: bytes
) -> StoredReference:
    """Return a stored reference after its MAC, its place and its counter were checked.

    Raises:
        IntegrityError: Any of these does not hold.
    """
    place = Place(instance, "grant", accessor.text)
    grant = Grant.decode(verify(keyring, place, signed_part(stored)))
    return StoredReference(grant, _uses_left(stored.split(b" ", 2)[1], grant))


def _uses_left(field: bytes, grant: Grant) -> int | None:
    if field == UNLIMITED.encode() and grant.max_uses is None:
        return None
    if field == b"revoked":
        return 0
    if grant.max_uses is None or not field.isdigit() or int(field) > grant.max_uses:
        raise IntegrityError("A reference's counter was altered.", reason="uses_altered")
    return int(field)
