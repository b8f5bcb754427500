"""A store's record: everything the broker knows of a store, sealed where secret, signed as a whole.

In storage it is one line of text: ``1 status generation`` and the signed JSON body, separated by spaces. Status and generation
stand in front so that a Lua script can read them; they are repeated in the body, and must agree with it.

Source: DESIGN §5, §10.
"""

import base64
import json
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

from service.core.clock import from_millis, to_millis
from service.core.errors import IntegrityError
from service.core.keyring import Keyring
from service.core.sealing import Context, open_sealed, seal
from service.core.secret import Secret
from service.core.signed import Place, sign, verify

StoredStatus = Literal["pending", "active", "rejected", "needs_credential", "quarantined"]
Status = Literal[
    "pending", "issuing", "active", "rejected", "uncertain", "needs_credential", "quarantined"
]
_MOST_REFUSALS = 16
TokenStyle = Literal["auth_token", "x_auth_token"]


@dataclass(frozen=True, slots=True)
class StoredToken:
    """A token at rest.

    Attributes:
        style: Which headers carry it.
        generation: Which of the store's tokens it is.
        name: The name it has upstream; empty for an imported one.
        sealed: The token, sealed for this store and generation.
        issued_at: When the broker got it.
    """

    style: TokenStyle
    generation: int
    name: str
    sealed: bytes
    issued_at: datetime


@dataclass(frozen=True, slots=True)
class Refusal:
    """A credential that the upstream refused.

    Attributes:
        key_id: Of the key that the fingerprint was made with.
        fingerprint: HMAC of the credential, hexadecimal: it is recognised, never recovered.
        reason: Which refusal.
    """

    key_id: str
    fingerprint: str
    reason: str


@dataclass(frozen=True, slots=True)
class StoreRecord:
    """What is stored of a store. ``issuing`` and ``uncertain`` are not stored: they follow from lease and intents."""

    store_hash: str
    created_at: datetime
    status: StoredStatus = "pending"
    reason: str = ""
    generation: int = 0
    token: StoredToken | None = None
    previous: StoredToken | None = None
    retired: tuple[StoredToken, ...] = ()
    credential: bytes | None = None
    refusals: tuple[Refusal, ...] = ()

    @property
    def deletable(self) -> tuple[StoredToken, ...]:
        """The tokens that can and must be deleted upstream in the end: those that the broker had made, the newest first."""
        held = (self.token, self.previous, *self.retired)
        return tuple(token for token in held if token is not None and token.name)

    def with_refusal(self, refusal: Refusal) -> "StoreRecord":
        """Return the record with one more refused credential, the oldest forgotten when there are many."""
        return replace(self, refusals=(*self.refusals, refusal)[-_MOST_REFUSALS:])

    def with_token(self, token: StoredToken, credential: bytes | None) -> "StoreRecord":
        """Return the record after ``token`` became the active one.

        What was active is now the previous one. What was previous is retired: it stays known until it was deleted upstream.
        """
        fallen = (self.previous,) if self.previous and self.previous.name else ()
        return replace(
            self,
            status="active",
            reason="",
            generation=token.generation,
            token=token,
            previous=self.token,
            retired=(*fallen, *self.retired),
            credential=credential,
            refusals=(),
        )

    def encode(self, keyring: Keyring, instance: str) -> bytes:
        """Return the signed line."""
        body = json.dumps(_to_json(self), separators=(",", ":"), sort_keys=True).encode("ascii")
        signed = sign(keyring, Place(instance, "store", self.store_hash), body)
        return b"1 %b %d %b" % (self.status.encode(), self.generation, signed)


def decode_record(keyring: Keyring, instance: str, store_hash: str, line: bytes) -> StoreRecord:
    """Return the record of a signed line.

    Raises:
        IntegrityError: It is not what was stored for this store.
    """
    unreadable = IntegrityError("A store's record is not readable.", reason="malformed")
    fields = line.split(b" ", 3)
    if len(fields) < 4 or fields[0] != b"1":  # noqa: PLR2004 — the four fields of the format
        raise unreadable
    record = _from_json(
        json.loads(verify(keyring, Place(instance, "store", store_hash), fields[3]))
    )
    front = (record.status.encode(), str(record.generation).encode())
    if front != (fields[1], fields[2]) or record.store_hash != store_hash:
        raise unreadable
    return record


def seal_token(
    keyring: Keyring, instance: str, store_hash: str, generation: int, token: Secret
) -> bytes:
    """Seal a token for its store and generation."""
    context = Context(instance, "token", store_hash, generation)
    return seal(keyring, token.reveal().encode("ascii"), context)


def open_token(keyring: Keyring, instance: str, store_hash: str, token: StoredToken) -> Secret:
    """Open a stored token.

    Raises:
        IntegrityError: It was altered, or belongs to another store or generation.
    """
    context = Context(instance, "token", store_hash, token.generation)
    return Secret(open_sealed(keyring, token.sealed, context).decode("ascii"))


def token_headers(style: TokenStyle, store_hash: str, token: Secret) -> dict[str, Secret]:
    """Return the headers that carry a token upstream. Exactly one style: both together misbehave (upstream.md §2.1)."""
    if style == "auth_token":
        return {"authToken": token}
    return {"X-Auth-Token": token, "X-Store-Hash": Secret(store_hash)}


def _token_to_json(token: StoredToken | None) -> dict[str, Any] | None:
    if token is None:
        return None
    return {
        "style": token.style,
        "generation": token.generation,
        "name": token.name,
        "sealed": base64.b64encode(token.sealed).decode("ascii"),
        "issued_at": to_millis(token.issued_at),
    }


def _token_from_json(fields: dict[str, Any] | None) -> StoredToken | None:
    if fields is None:
        return None
    return StoredToken(
        style=fields["style"],
        generation=fields["generation"],
        name=fields["name"],
        sealed=base64.b64decode(fields["sealed"]),
        issued_at=from_millis(fields["issued_at"]),
    )


def _to_json(record: StoreRecord) -> dict[str, Any]:
    return {
        "store_hash": record.store_hash,
        "created_at": to_millis(record.created_at),
        "status": record.status,
        "reason": record.reason,
        "generation": record.generation,
        "token": _token_to_json(record.token),
        "previous": _token_to_json(record.previous),
        "retired": [_token_to_json(token) for token in record.retired],
        "credential": base64.b64encode(record.credential).decode("ascii")
        if record.credential
        else None,
        "refusals": [[r.key_id, r.fingerprint, r.reason] for r in record.refusals],
    }


def _from_json(fields: dict[str, Any]) -> StoreRecord:
    return StoreRecord(
        store_hash=fields["store_hash"],
        created_at=from_millis(fields["created_at"]),
        status=fields["status"],
        reason=fields["reason"],
        generation=fields["generation"],
        token=_token_from_json(fields["token"]),
        previous=_token_from_json(fields["previous"]),
        retired=tuple(token for row in fields["retired"] if (token := _token_from_json(row))),
        credential=base64.b64decode(fields["credential"]) if fields["credential"] else None,
        refusals=tuple(Refusal(*row) for row in fields["refusals"]),
    )
