"""A store's record: everything the broker knows of a store, sealed where secret, signed as a whole.

In storage it is one line of text: ``1 status generation`` and the signed JSON body, separated by spaces. Status and generation
stand in front so that a Lua script can read them; they are repeated in the body, and must agree with it. ``previous_until`` and a token's
``expires_at`` are left out of the body where there is none.

Source: DESIGN §5, §10.
"""

import base64
import json
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

from service.core.clock import from_millis, to_millis
from service.core.errors import IntegrityError, StoreNotActiveError
from service.core.keyring import Keyring
from service.core.lifecycle import StoredStatus
from service.core.sealing import Context, open_sealed, seal
from service.core.secret import Secret
from service.core.signed import Place, sign, verify

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
        expires_at: When it ends by itself, if it says so.
    """

    style: TokenStyle
    generation: int
    name: str
    sealed: bytes
    issued_at: datetime
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """A credential that the upstream refused.

    Attributes:
        key_id: Of the key that the fingerprint was made with.
        fingerprint: HMAC of the credential, hexadecimal: it is recognised, never recovered.
        reason: Which refusal.
        mac_key: The key of the fingerprint itself, sealed for the store, once another key of the ring has taken over. The credential
            is not there to be fingerprinted again, and the old key has to go.
    """

    key_id: str
    fingerprint: str
    reason: str
    mac_key: bytes | None = None


@dataclass(frozen=True, slots=True)
class StoreRecord:
    """What is stored of a store. ``issuing`` and ``uncertain`` are not stored: they follow from lease and intents.

    Attributes:
        store_hash: Which store.
        created_at: When it was registered.
        status: See ``lifecycle``.
        reason: Why it is not active.
        generation: Of the newest token that it ever had; after a rollback the active one has a lower one.
        token: The active one.
        previous: The one before it, alive upstream for a rollback.
        previous_until: When ``previous`` is to be deleted.
        retired: Tokens that are to be deleted upstream.
        credential: The retained password, sealed.
        refusals: Credentials that the upstream refused.
    """

    store_hash: str
    created_at: datetime
    status: StoredStatus = "pending"
    reason: str = ""
    generation: int = 0
    token: StoredToken | None = None
    previous: StoredToken | None = None
    previous_until: datetime | None = None
    retired: tuple[StoredToken, ...] = ()
    credential: bytes | None = None
    refusals: tuple[Refusal, ...] = ()

    @property
    def deletable(self) -> tuple[StoredToken, ...]:
        """The tokens that can and must be deleted upstream in the end: those that the broker had made, the newest first."""
        return (*_deletable(self.token), *_deletable(self.previous), *self.retired)

    def with_refusal(self, refusal: Refusal) -> "StoreRecord":
        """Return the record with one more refused credential, the oldest forgotten when there are many."""
        return replace(self, refusals=(*self.refusals, refusal)[-_MOST_REFUSALS:])

    def with_token(
        self, token: StoredToken, credential: bytes | None, previous_until: datetime | None
    ) -> "StoreRecord":
        """Return the record after ``token`` became the active one.

        What was active is now the previous one. What was previous is retired: it stays known until it was deleted upstream.

        Args:
            token: The new one.
            credential: The retained password, sealed.
            previous_until: How long the one before is kept; None to retire it at once, because it works no more.
        """
        fallen = _deletable(self.previous)
        if previous_until is None:
            fallen = (*_deletable(self.token), *fallen)
        return replace(
            self,
            status="active",
            reason="",
            generation=token.generation,
            token=token,
            previous=self.token if previous_until else None,
            previous_until=previous_until if self.token else None,
            retired=(*fallen, *self.retired),
            credential=credential,
        )

    def rolled_back(self, previous_until: datetime | None) -> "StoreRecord":
        """Return the record after the previous token became the active one again, and the active one the previous."""
        back = replace(
            self,
            status="active",
            reason="",
            token=self.previous,
            previous=self.token,
            previous_until=previous_until,
        )
        return back if previous_until else back.without_previous()

    def without_previous(self) -> "StoreRecord":
        """Return the record after its previous token was retired."""
        retired = (*_deletable(self.previous), *self.retired)
        return replace(self, previous=None, previous_until=None, retired=retired)

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


def unverified_record(line: bytes) -> tuple[bytes, StoreRecord]:
    """Return the signed part of a line, and what it says; nothing of it is verified.

    Raises:
        IntegrityError: ``malformed``.
    """
    try:
        signed = line.split(b" ", 3)[3]
        return signed, _from_json(json.loads(signed.split(b" ", 2)[2]))
    except (LookupError, TypeError, ValueError, OverflowError, RecursionError):
        raise IntegrityError("A store's record is not readable.", reason="malformed") from None


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


@dataclass(frozen=True, slots=True)
class ActiveToken:
    """An opened token, in memory only.

    Attributes:
        style: Which headers carry it.
        generation: Which of the store's tokens it is.
        secret: The token.
        others: The store's other tokens that are alive, which no answer may show either.
    """

    style: TokenStyle
    generation: int
    secret: Secret
    others: tuple[Secret, ...] = ()


def active_token(keyring: Keyring, instance: str, store_hash: str, line: bytes) -> ActiveToken:
    """Return the active token of a stored record, opened.

    Raises:
        IntegrityError: The record or the token was altered.
        StoreNotActiveError: There is none.
    """
    record = decode_record(keyring, instance, store_hash, line)
    if record.status != "active" or record.token is None:
        raise StoreNotActiveError("The store has no usable token.", reason=record.status)
    opened = open_token(keyring, instance, store_hash, record.token)
    others = (open_token(keyring, instance, store_hash, t) for t in (record.previous,) if t)
    return ActiveToken(record.token.style, record.token.generation, opened, tuple(others))


def token_headers(style: TokenStyle, store_hash: str, token: Secret) -> dict[str, Secret]:
    """Return the headers that carry a token upstream. Exactly one style: both together misbehave (upstream.md §2.1)."""
    if style == "auth_token":
        return {"authToken": token}
    return {"X-Auth-Token": token, "X-Store-Hash": Secret(store_hash)}


def _deletable(token: StoredToken | None) -> tuple[StoredToken, ...]:
    return (token,) if token and token.name else ()


def _token_to_json(token: StoredToken | None) -> dict[str, Any] | None:
    if token is None:
        return None
    fields: dict[str, Any] = {
        "style": token.style,
        "generation": token.generation,
        "name": token.name,
        "sealed": base64.b64encode(token.sealed).decode("ascii"),
        "issued_at": to_millis(token.issued_at),
    }
    if token.expires_at:
        fields["expires_at"] = to_millis(token.expires_at)
    return fields


def _token_from_json(fields: dict[str, Any] | None) -> StoredToken | None:
    if fields is None:
        return None
    return StoredToken(
        style=fields["style"],
        generation=fields["generation"],
        name=fields["name"],
        sealed=base64.b64decode(fields["sealed"]),
        issued_at=from_millis(fields["issued_at"]),
        expires_at=from_millis(fields["expires_at"]) if "expires_at" in fields else None,
    )


def _refusal_to_json(refusal: Refusal) -> list[str]:
    row = [refusal.key_id, refusal.fingerprint, refusal.reason]
    return row if refusal.mac_key is None else [*row, base64.b64encode(refusal.mac_key).decode()]


def _refusal_from_json(key_id: str, fingerprint: str, reason: str, mac_key: str = "") -> Refusal:
    return Refusal(key_id, fingerprint, reason, base64.b64decode(mac_key) if mac_key else None)


def _to_json(record: StoreRecord) -> dict[str, Any]:
    fields: dict[str, Any] = {
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
        "refusals": [_refusal_to_json(refusal) for refusal in record.refusals],
    }
    if record.previous_until:
        fields["previous_until"] = to_millis(record.previous_until)
    return fields


def _from_json(fields: dict[str, Any]) -> StoreRecord:
    return StoreRecord(
        store_hash=fields["store_hash"],
        created_at=from_millis(fields["created_at"]),
        status=fields["status"],
        reason=fields["reason"],
        generation=fields["generation"],
        token=_token_from_json(fields["token"]),
        previous=_token_from_json(fields["previous"]),
        previous_until=from_millis(fields["previous_until"])
        if "previous_until" in fields
        else None,
        retired=tuple(token for row in fields["retired"] if (token := _token_from_json(row))),
        credential=base64.b64decode(fields["credential"]) if fields["credential"] else None,
        refusals=tuple(_refusal_from_json(*row) for row in fields["refusals"]),
    )
