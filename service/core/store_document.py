"""A store as it is shown; never a secret."""

from dataclasses import dataclass
from datetime import datetime

from service.core.lifecycle import status_of
from service.core.ports import StoreView
from service.core.records import Status, StoreRecord, TokenStyle


@dataclass(frozen=True, slots=True)
class PreviousToken:
    """The token before the active one, as it is shown."""

    generation: int
    token_style: TokenStyle


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
    last_used_at: datetime | None
    live_references: int
    previous: PreviousToken | None


def store_document(record: StoreRecord, view: StoreView) -> StoreDocument:
    """Return the document of a store's record and of what is around it."""
    token, previous = record.token, record.previous
    return StoreDocument(
        store_hash=record.store_hash,
        status=status_of(record, leased=view.lease_left is not None, unsettled=bool(view.attempts)),
        reason=record.reason,
        token_style=token.style if token else None,
        generation=record.generation,
        deprecated=token is not None and token.style == "auth_token",
        retained=record.credential is not None,
        issued_at=token.issued_at if token else None,
        last_used_at=view.last_used_at,
        live_references=view.live_references,
        previous=PreviousToken(previous.generation, previous.style) if previous else None,
    )
