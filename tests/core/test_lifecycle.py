"""A store's life as one table: every event in every status, and a store's status from record, lease and intents."""

from itertools import product
from typing import get_args

import pytest

from service.core.lifecycle import (
    LIFE,
    STATUSES,
    Event,
    State,
    Status,
    StoredStatus,
    after,
    life_as_markdown,
    shown,
    stored_after_attempt,
)

REST: tuple[Status, ...] = ("pending", "active", "rejected", "uncertain", "needs_credential")
# What the issue says in words, written down a second time: event, from, to.
EXPECTED: dict[Event, dict[Status, State]] = {
    Event.BEGUN: {
        "pending": "issuing",
        "rejected": "issuing",
        "uncertain": "issuing",
        "needs_credential": "issuing",
        "active": "active",
    },
    Event.COMMITTED: {"issuing": "active", "active": "active"},
    Event.REFUSED: {"issuing": "rejected", "active": "active"},
    Event.FAILED: {"issuing": "pending", "active": "active"},
    Event.UNKNOWN: {"issuing": "uncertain", "active": "active"},
    Event.FOREIGN: {"issuing": "quarantined", "active": "active"},
    Event.SETTLED: {
        "pending": "pending",
        "active": "active",
        "rejected": "rejected",
        "uncertain": "pending",
        "needs_credential": "needs_credential",
    },
    Event.DIED: {"active": "needs_credential"},
    Event.ROLLED_BACK: dict.fromkeys(REST, "active"),
    Event.CLOSED: dict.fromkeys(REST, "needs_credential"),
    Event.ALTERED: dict.fromkeys(STATUSES, "quarantined"),
    Event.REMOVED: {"needs_credential": "removed", "quarantined": "removed"},
}


@pytest.mark.parametrize(("event", "status"), list(product(Event, STATUSES)))
def test_every_event_leads_where_the_table_says_or_cannot_happen(
    event: Event, status: Status
) -> None:
    """A way that nobody thought of is a defect and not a guess."""
    expected = EXPECTED[event].get(status)

    if expected is None:
        with pytest.raises(KeyError):
            after(status, event)
    else:
        assert after(status, event) == expected


def test_a_working_token_outlives_whatever_becomes_of_an_attempt() -> None:
    """A store is never worse off for having tried."""
    ends = [Event.COMMITTED, Event.REFUSED, Event.FAILED, Event.UNKNOWN, Event.FOREIGN]

    assert {after("active", event) for event in ends} == {"active"}


def test_every_status_can_be_reached_and_left() -> None:
    """A quarantined store can only be removed; there is no other dead end."""
    reached = {state for row in LIFE.values() for state in row.values()}
    left = {
        status
        for row in LIFE.values()
        for status, state in row.items()
        if state not in (status, "quarantined")
    }

    assert reached == {*STATUSES, "removed"}
    assert left == set(STATUSES)


@pytest.mark.parametrize(
    ("stored", "event", "expected"),
    [
        ("pending", Event.UNKNOWN, "pending"),
        ("pending", Event.FAILED, "pending"),
        ("pending", Event.REFUSED, "rejected"),
        ("rejected", Event.FAILED, "pending"),
        ("needs_credential", Event.REFUSED, "rejected"),
        ("needs_credential", Event.COMMITTED, "active"),
        ("pending", Event.FOREIGN, "quarantined"),
        ("active", Event.REFUSED, "active"),
    ],
)
def test_what_is_written_down_after_an_attempt_is_a_stored_status(
    stored: StoredStatus, event: Event, expected: StoredStatus
) -> None:
    """``issuing`` and ``uncertain`` never are: a crash could leave them behind."""
    assert stored_after_attempt(stored, event) == expected
    assert expected in get_args(StoredStatus)


def test_the_table_for_people_has_every_event_and_every_status() -> None:
    """Documentation shows it as it is."""
    head, rule, *rows = life_as_markdown().splitlines()
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]

    assert [cell.strip() for cell in head.strip("|").split("|")] == ["Event", *STATUSES]
    assert rule.count("---") == 1 + len(STATUSES)
    assert [row[0] for row in cells] == [event.value for event in Event]
    for event, row in zip(Event, cells, strict=True):
        shown_states = {s: c for s, c in zip(STATUSES, row[1:], strict=True) if c}
        assert shown_states == EXPECTED[event]


@pytest.mark.parametrize(
    ("stored", "leased", "unsettled", "expected"),
    [
        ("pending", False, False, "pending"),
        ("pending", False, True, "uncertain"),
        ("pending", True, False, "issuing"),
        ("pending", True, True, "issuing"),
        ("rejected", False, False, "rejected"),
        ("rejected", False, True, "rejected"),
        ("rejected", True, False, "issuing"),
        ("rejected", True, True, "issuing"),
        ("needs_credential", False, False, "needs_credential"),
        ("needs_credential", False, True, "needs_credential"),
        ("needs_credential", True, True, "issuing"),
        ("active", False, False, "active"),
        ("active", False, True, "active"),
        ("active", True, False, "active"),
        ("active", True, True, "active"),
        ("quarantined", False, False, "quarantined"),
        ("quarantined", False, True, "quarantined"),
        ("quarantined", True, True, "quarantined"),
    ],
)
def test_the_status_of_a_store_follows_from_record_lease_and_intents(
    stored: StoredStatus, *, leased: bool, unsettled: bool, expected: Status
) -> None:
    """``issuing`` and ``uncertain`` are stored nowhere; a working token and a quarantine outrank both."""
    assert shown(stored, leased=leased, unsettled=unsettled) == expected
