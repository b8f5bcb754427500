"""What a state of the model is made of, and the defences that can be taken away."""

from dataclasses import dataclass
from typing import NamedTuple

from service.core.lifecycle import StoredStatus

NO_TOKEN = -1
FIRST = 0
"""The token that a store may begin with."""


@dataclass(frozen=True, slots=True)
class Defences:
    """What the protocol does so that nothing is lost."""

    intent_before_the_call: bool = True
    fence_is_checked: bool = True
    record_is_compared: bool = True
    own_commit_is_recognised: bool = True
    abandoned_attempts_are_made_stale: bool = True
    running_attempt_is_spared: bool = True
    loser_deletes_its_token: bool = True
    unknown_outcome_keeps_the_intent: bool = True
    over_is_judged_before_listing: bool = True


class Record(NamedTuple):
    """A store's record; ``retired`` are to be deleted upstream."""

    status: StoredStatus = "pending"
    token: int = NO_TOKEN
    retired: frozenset[int] = frozenset()


class Worker(NamedTuple):
    """A request under way, and what it knows."""

    at: str = "idle"
    seen: Record | None = None
    fence: int = 0
    attempt: int = 0


class Cleaner(NamedTuple):
    """Whoever deletes upstream, and what it knows."""

    at: str = "idle"
    seen: Record = Record()
    removes: bool = False
    abandoned: frozenset[int] = frozenset()
    found: frozenset[int] = frozenset()
    settled: frozenset[int] = frozenset()


class State(NamedTuple):
    """Everything there is."""

    record: Record | None
    alive: frozenset[int]
    lease: int = 0
    fence: int = 0
    intents: frozenset[tuple[int, int]] = frozenset()
    settled_by: int = 0
    late: frozenset[int] = frozenset()
    attempts: int = 0
    workers: tuple[Worker, Worker] = (Worker(), Worker())
    cleaner: Cleaner = Cleaner()


def attempts_of(state: State) -> frozenset[int]:
    """Return the attempts that have an intent."""
    return frozenset(attempt for attempt, _ in state.intents)


def held(record: Record) -> frozenset[int]:
    """Return the tokens that a record holds."""
    return record.retired | {record.token}


def forget(state: State, attempts: frozenset[int]) -> State:
    """Drop the intents of attempts."""
    left = frozenset(intent for intent in state.intents if intent[0] not in attempts)
    return state._replace(intents=left)
