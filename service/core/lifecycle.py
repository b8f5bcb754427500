"""A store's life: every state, every event, and where each event leads. Code, documentation and tests read this one table.

``issuing`` and ``uncertain`` are never written down: they follow from the lease and from attempts that are not settled, so that a crash
cannot leave them behind, nor take them away. ``removed`` is the absence of a record.

Source: DESIGN §5.
"""

from collections.abc import Mapping
from enum import Enum
from typing import Literal, get_args

StoredStatus = Literal["pending", "active", "rejected", "needs_credential", "quarantined"]
Status = Literal[
    "pending", "issuing", "active", "rejected", "uncertain", "needs_credential", "quarantined"
]
State = Status | Literal["removed"]
STATUSES: tuple[Status, ...] = get_args(Status)


class Event(Enum):
    """What happens to a store; the value says it in words."""

    BEGUN = "a replica begins to get a token: the lease is taken, the intent written"
    COMMITTED = "the token is sealed and written"
    REFUSED = "the upstream refused the credential"
    FAILED = "nothing came of it, and the upstream certainly did nothing"
    UNKNOWN = "what the upstream did is not known, or the replica is gone"
    FOREIGN = "the upstream answered with another store's token"
    SETTLED = "every token of earlier attempts was found and deleted, or cannot come any more"
    DIED = "the upstream rejects the token itself, and nothing at hand can replace it"
    ROLLED_BACK = "the previous token is the active one again"
    CLOSED = "removal has begun: the token is not used any more"
    ALTERED = "the stored record fails its integrity check"
    REMOVED = "the token was deleted upstream and the record is gone"


def _to(state: State, *statuses: Status) -> dict[Status, State]:
    return dict.fromkeys(statuses, state)


_AT_REST: tuple[Status, ...] = ("pending", "active", "rejected", "uncertain", "needs_credential")


# A store that is active stays active whatever becomes of an attempt to get it another token: the one it has still works.
LIFE: Mapping[Event, Mapping[Status, State]] = {
    Event.BEGUN: _to("issuing", "pending", "rejected", "uncertain", "needs_credential")
    | _to("active", "active"),
    Event.COMMITTED: _to("active", "issuing", "active"),
    Event.REFUSED: _to("rejected", "issuing") | _to("active", "active"),
    Event.FAILED: _to("pending", "issuing") | _to("active", "active"),
    Event.UNKNOWN: _to("uncertain", "issuing") | _to("active", "active"),
    Event.FOREIGN: _to("quarantined", "issuing") | _to("active", "active"),
    Event.SETTLED: {status: status for status in _AT_REST} | _to("pending", "uncertain"),
    Event.DIED: _to("needs_credential", "active"),
    Event.ROLLED_BACK: _to("active", *_AT_REST),
    Event.CLOSED: _to("needs_credential", *_AT_REST),
    Event.ALTERED: _to("quarantined", *STATUSES),
    Event.REMOVED: _to("removed", "needs_credential", "quarantined"),
}


def after(status: Status, event: Event) -> State:
    """Return the state that an event leads to.

    Raises:
        KeyError: The event cannot happen in that state, which would be a defect.
    """
    return LIFE[event][status]


def shown(stored: StoredStatus, *, leased: bool, unsettled: bool) -> Status:
    """Return the status of a store.

    Args:
        stored: What its record says.
        leased: Somebody is getting a token for it at this moment.
        unsettled: There is an attempt whose outcome is unknown.
    """
    if stored in ("active", "quarantined"):
        return stored
    if leased:
        return "issuing"
    # A refusal or a new credential does not undo an earlier attempt whose outcome is unknown, but it is what matters now.
    if stored == "pending" and unsettled:
        return "uncertain"
    return stored


def stored_after_attempt(stored: StoredStatus, event: Event) -> StoredStatus:
    """Return what to write down when an attempt to get a token ends."""
    state = after(shown(stored, leased=True, unsettled=True), event)
    return "pending" if state == "uncertain" else state  # type: ignore[return-value]  # the table's ends of attempts are stored states


def life_as_markdown() -> str:
    """Return the table for people: one row for each event, one column for each state."""
    lines = [
        f"| Event | {' | '.join(STATUSES)} |",
        f"|---|{'---|' * len(STATUSES)}",
    ]
    for event, row in LIFE.items():
        cells = (row.get(status, "") for status in STATUSES)
        lines.append(f"| {event.value} | {' | '.join(cells)} |")
    return "\n".join(lines)
