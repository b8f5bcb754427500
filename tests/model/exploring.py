"""Every state that the protocol can get into, and what must be true in each."""

from collections import deque
from dataclasses import dataclass

from tests.model.protocol import Protocol
from tests.model.states import FIRST, Defences, Record, State, Worker, attempts_of

STARTS = (
    State(record=None, alive=frozenset()),
    State(record=Record("active", FIRST), alive=frozenset({FIRST})),
)
_MOST_PASSES = 20


@dataclass(frozen=True, slots=True)
class Explored:
    """What an exploration found.

    Attributes:
        states: How many there are, or were seen until something was wrong.
        wrong: What is wrong; empty for nothing.
        trace: How it came to that, the start first.
    """

    states: int
    wrong: str = ""
    trace: tuple[State, ...] = ()


def explore(defences: Defences) -> Explored:
    """Visit every state, the nearest first, until something is wrong."""
    protocol = Protocol(defences)
    came_from: dict[State, State | None] = dict.fromkeys(map(_normal, STARTS))
    waiting = deque(came_from)
    while waiting:
        state = waiting.popleft()
        try:
            wrong = _wrong(protocol, state)
            following = [_normal(step) for step in protocol.steps(state)]
        except KeyError as error:
            wrong = f"the table of states does not know {error}"
        if wrong:
            return Explored(len(came_from), wrong, _trace(came_from, state))
        for step in following:
            if step not in came_from:
                came_from[step] = state
                waiting.append(step)
    return Explored(len(came_from))


def _normal(state: State) -> State:
    """Return the same state with the two workers, which are alike, in one order, and with the lowest fences that say the same."""
    fences = {0, state.fence, state.lease, *(fence for _, fence in state.intents)}
    fences |= {worker.fence for worker in state.workers}
    rank = {fence: number for number, fence in enumerate(sorted(fences))}
    first, second = sorted(
        (worker._replace(fence=rank[worker.fence]) for worker in state.workers), key=_attempt
    )
    return state._replace(
        workers=(first, second),
        fence=rank[state.fence],
        lease=rank[state.lease],
        intents=frozenset((attempt, rank[fence]) for attempt, fence in state.intents),
    )


def _attempt(worker: Worker) -> int:
    return worker.attempt


def _wrong(protocol: Protocol, state: State) -> str:
    record = state.record
    if record and record.status == "active" and record.token not in state.alive:
        return "the stored token was deleted"
    known = attempts_of(state) | (record.retired | {record.token} if record else set())
    if not (state.alive | state.late) <= known:
        return "a token that nobody knows of"
    at_rest = not state.late and all(worker.at == "idle" for worker in state.workers)
    if at_rest and record and record.status == "active" and state.cleaner.at == "idle":
        return _wrong_in_the_end(protocol, state._replace(lease=0))
    return ""


def _wrong_in_the_end(protocol: Protocol, state: State) -> str:
    """Let maintenance work undisturbed, and see whether one token is left, the stored one."""
    for _ in range(_MOST_PASSES):
        following = next(protocol.cleaning.steps(state), state)
        if following.cleaner.removes:
            break  # nothing is left to be cleaned, so that only a removal could come next
        state = following
    assert state.record is not None
    if state.intents or state.alive != {state.record.token}:
        return f"not one token in the end: {sorted(state.alive)}, {len(state.intents)} intents"
    return ""


def _trace(came_from: dict[State, State | None], state: State) -> tuple[State, ...]:
    states = [state]
    while (before := came_from[states[-1]]) is not None:
        states.append(before)
    return tuple(reversed(states))
