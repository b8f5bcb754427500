"""A store as it is shown; never a secret."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from service.core.keyring import Keyring
from service.core.lifecycle import Status, shown
from service.core.lock import Lock, lock_of
from service.core.orphans import read_intent
from service.core.records import StoredToken, StoreRecord, TokenStyle
from service.core.store_ports import StoreView


@dataclass(frozen=True, slots=True)
class PreviousToken:
    """The token before the active one, as it is shown.

    Attributes:
        generation: Which of the store's tokens it is.
        token_style: Which headers carry it.
        until: When it will be deleted; until then a rollback brings it back.
    """

    generation: int
    token_style: TokenStyle
    until: datetime | None


@dataclass(frozen=True, slots=True)
class OpenAttempt:
    """An attempt to get a token whose outcome is not known.

    Attributes:
        attempt: Its id.
        token_name: The name that its token has upstream, if there is one.
        started_at: When.
    """

    attempt: str
    token_name: str
    started_at: datetime


@dataclass(frozen=True, slots=True)
class StoreDocument:
    """A store as it is shown; never a secret."""

    store_hash: str
    status: Status
    reason: str
    token_style: TokenStyle | None
    generation: int
    deprecated: bool
    retained: bool
    issued_at: datetime | None
    expires_at: datetime | None
    last_used_at: datetime | None
    live_references: int
    previous: PreviousToken | None
    attempts: tuple[OpenAttempt, ...]
    lock: Lock | None


def store_document(
    keyring: Keyring, instance: str, record: StoreRecord, view: StoreView
) -> StoreDocument:
    """Return the document of a store's record and of what is around it."""
    token = record.token
    status = shown(record.status, leased=view.lease_left is not None, unsettled=bool(view.attempts))
    return StoreDocument(
        store_hash=record.store_hash,
        status=status,
        reason=record.reason or ("interrupted" if status == "uncertain" else ""),
        token_style=token.style if token else None,
        generation=token.generation if token else 0,
        deprecated=token is not None and token.style == "auth_token",
        retained=record.credential is not None,
        issued_at=token.issued_at if token else None,
        expires_at=token.expires_at if token else None,
        last_used_at=view.last_used_at,
        live_references=view.live_references,
        previous=_previous(record.previous, record.previous_until),
        attempts=tuple(_attempts(keyring, instance, record.store_hash, view)),
        lock=lock_of(view),
    )


def _previous(token: StoredToken | None, until: datetime | None) -> PreviousToken | None:
    return PreviousToken(token.generation, token.style, until) if token else None


def _attempts(
    keyring: Keyring, instance: str, store_hash: str, view: StoreView
) -> Iterable[OpenAttempt]:
    for attempt in view.attempts:
        intent = read_intent(keyring, instance, store_hash, attempt)
        if intent is not None:
            yield OpenAttempt(attempt.attempt_id, intent.name, intent.started_at)
