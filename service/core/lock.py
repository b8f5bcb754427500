"""A lock: an operator's word that a store, or every store, is not to be used until somebody takes it off.

A locked store is refused whatever would use its token or give it one: minting, redeeming, the proxy, registering, rotating, rolling back,
repair and maintenance. What takes access away stays possible (revoking, removing), and so does looking.

What is stored is a note for people: who, when, why. That there is one is what counts, so a note that cannot be read locks all the same.
It is not signed: whoever can write Redis could as well delete it (SECURITY.md), and who locked what is in the audit trail.
"""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from service.core.clock import from_millis, to_millis
from service.core.errors import StoreLockedError
from service.core.store_ports import StoreView
from service.core.strict_json import BadJsonError, parse_json

LockScope = Literal["store", "all"]
_DETAILS = {
    "store_locked": "An operator has locked the store.",
    "all_locked": "An operator has locked all stores.",
}
LOCKED = tuple(_DETAILS)
"""The verdicts of a lock; the reasons in the audit trail."""


@dataclass(frozen=True, slots=True)
class Lock:
    """A lock that is on.

    Attributes:
        scope: The one store, or all.
        by: Whose word it is; empty if the note cannot be read.
        reason: Why, in that person's words.
        since: When it was put on; None if the note cannot be read.
    """

    scope: LockScope
    by: str
    reason: str
    since: datetime | None


def write_note(by: str, reason: str, now: datetime) -> bytes:
    """Return the note that is stored."""
    return json.dumps({"by": by, "reason": reason, "since": to_millis(now)}).encode("ascii")


def read_note(scope: LockScope, note: bytes) -> Lock:
    """Return a stored note's lock, whatever has become of the note."""
    try:
        fields: dict[str, Any] = parse_json(note)
        by, reason = _one_line(fields["by"]), _one_line(fields["reason"])
        return Lock(scope, by, reason, from_millis(fields["since"]))
    except (BadJsonError, TypeError, KeyError, OverflowError):
        return Lock(scope, "", "", None)


def _one_line(text: object) -> str:
    """Return a text that can be shown on a terminal; whoever writes Redis may have put anything there."""
    if not isinstance(text, str) or not text.isprintable():
        raise TypeError("not one line of text")
    return text


def lock_of(view: StoreView) -> Lock | None:
    """Return what locks a store, the lock of all before its own; None if nothing does."""
    if view.all_lock is not None:
        return read_note("all", view.all_lock)
    return None if view.store_lock is None else read_note("store", view.store_lock)


def locked_error(reason: str) -> StoreLockedError:
    """Return the error of a verdict of ``LOCKED``."""
    return StoreLockedError(_DETAILS[reason], reason=reason)


def refuse_locked(view: StoreView) -> None:
    """Refuse a store that is locked.

    Raises:
        StoreLockedError: It is.
    """
    lock = lock_of(view)
    if lock is not None:
        raise locked_error(f"{lock.scope}_locked")
