"""What a worker does: register or rotate the store, from the lease to the commit (``core/issuing``)."""

from collections.abc import Iterator

from service.core.lifecycle import Event, after, shown, stored_after_attempt
from tests.model.states import NO_TOKEN, Defences, Record, State, Worker, forget, held

MOST_ATTEMPTS = 2
_ENDS = {"refused": Event.REFUSED, "failed": Event.FAILED, "unknown": Event.UNKNOWN}


class Working:
    """Gives the next steps of a worker."""

    def __init__(self, defences: Defences) -> None:
        self._with = defences

    def steps(self, state: State, worker: Worker) -> Iterator[tuple[State, Worker]]:
        """Yield what a worker may do next, and what becomes of it."""
        match worker.at:
            case "idle" if not state.lease and state.attempts < MOST_ATTEMPTS:
                # It reads first, but begins only if the record is still as it was.
                yield self._begin(state)
            case "begun":
                yield from self._ask(state, worker)
            case "got":
                yield state, worker._replace(at="unknown")  # the new token does not work yet
                done, changed = self._settle(state, worker, Event.COMMITTED)
                yield changed, worker  # the reply is lost, and the script runs again
                yield changed, Worker() if done else worker._replace(at="overtaken")
            case "called off" | "refused" | "failed" | "unknown":
                event = _ENDS.get(worker.at)
                yield self._settle(state, worker, event)[1], Worker()
            case "overtaken":
                # ``settled`` names only the last attempt, so that this one may have been committed all the same.
                holds = state.record and worker.attempt in held(state.record)
                is_own = holds and self._with.own_commit_is_recognised
                yield state, Worker() if is_own else worker._replace(at="stale")
            case "stale":
                yield from self._delete_own(state, worker)
            case "deleted":
                yield forget(state, frozenset({worker.attempt})), Worker()

    def _begin(self, state: State) -> tuple[State, Worker]:
        record = state.record or Record()
        after(shown(record.status, leased=False, unsettled=bool(state.intents)), Event.BEGUN)
        attempt, fence = state.attempts + 1, state.fence + 1
        begun = state._replace(record=record, lease=fence, fence=fence, attempts=attempt)
        if self._with.intent_before_the_call:
            begun = begun._replace(intents=state.intents | {(attempt, fence)})
        return begun, Worker("begun", record, fence, attempt)

    def _ask(self, state: State, worker: Worker) -> Iterator[tuple[State, Worker]]:
        made = state._replace(alive=state.alive | {worker.attempt})
        yield state, worker._replace(at="called off")
        yield made, worker._replace(at="got")
        yield made, worker._replace(at="unknown")
        late = state._replace(late=state.late | {worker.attempt})
        yield late, worker._replace(at="unknown")
        yield state, worker._replace(at="refused")
        yield state, worker._replace(at="failed")

    def _settle(self, state: State, worker: Worker, event: Event | None) -> tuple[bool, State]:
        """Do what settle.lua does: write if the attempt is current, drop the intent if told to, release the lease."""
        assert worker.seen is not None
        line = _ended(worker.seen, worker.attempt, event) if event else None
        done = line is None or state.settled_by == worker.attempt
        is_current = not self._with.fence_is_checked or state.fence == worker.fence
        is_as_seen = not self._with.record_is_compared or state.record == worker.seen
        if not done and is_current and is_as_seen:
            state, done = state._replace(record=line, settled_by=worker.attempt), True
        keeps = event is Event.UNKNOWN and self._with.unknown_outcome_keeps_the_intent
        if done and not keeps:
            state = forget(state, frozenset({worker.attempt}))
        if state.lease == worker.fence:
            state = state._replace(lease=0)
        return done, state

    def _delete_own(self, state: State, worker: Worker) -> Iterator[tuple[State, Worker]]:
        if not self._with.loser_deletes_its_token:
            yield state, worker._replace(at="deleted")
        elif worker.attempt in state.alive:
            gone = state._replace(alive=state.alive - {worker.attempt})
            yield gone, worker._replace(at="deleted")
        else:  # somebody else has deleted it, so that it opens nothing any more; its intent stays
            yield state, Worker()


def _ended(seen: Record, attempt: int, event: Event) -> Record:
    """Return the record after an attempt."""
    if event is not Event.COMMITTED:
        return seen._replace(status=stored_after_attempt(seen.status, event))
    status = stored_after_attempt(seen.status, event)
    before = frozenset({seen.token} - {NO_TOKEN})
    return Record(status, attempt, seen.retired | before)
