"""What maintenance does about what was left behind, and an operator who removes the store (``core/cleaning``, ``core/stores``)."""

from collections.abc import Iterator

from service.core.lifecycle import Event, after, shown
from tests.model.states import Cleaner, Defences, Record, State, forget, held


class Cleaning:
    """Gives the next steps of the cleaner."""

    def __init__(self, defences: Defences) -> None:
        self._with = defences

    def steps(self, state: State) -> Iterator[State]:
        """Yield what the cleaner may do next."""
        cleaner = state.cleaner
        match cleaner.at:
            case "idle":
                yield from self._looked_at(state)
            case "abandoning":
                yield self._abandon(state)
            case "listing":
                yield self._list(state)
            case "deleting":
                yield _with_one_deleted(state)
            case "forgetting":
                yield self._finish(state)
            case "deleting own":
                last = cleaner._replace(at="removing")
                yield state._replace(alive=state.alive - held(cleaner.seen), cleaner=last)
            case "removing":
                yield _removed(state)

    def _looked_at(self, state: State) -> Iterator[State]:
        record = state.record
        if record is None or state.lease:
            return
        if record.status == "active" and (state.intents or record.retired):
            yield state._replace(cleaner=Cleaner("abandoning", record))
        if record.status in ("active", "needs_credential"):
            yield self._closed(state, record)

    def _closed(self, state: State, record: Record) -> State:
        status = shown(record.status, leased=False, unsettled=bool(state.intents))
        state_after = after(status, Event.CLOSED)
        assert state_after == "needs_credential"
        closed = record._replace(status=state_after)
        cleaner = Cleaner("abandoning", closed, removes=True)
        return state._replace(record=closed, cleaner=cleaner)

    def _abandon(self, state: State) -> State:
        """Find out which attempts nobody is working on; from then on none of them can be committed."""
        newest = max((fence for _, fence in state.intents), default=0)
        makes_stale = self._with.abandoned_attempts_are_made_stale and not state.lease
        if makes_stale and state.fence == newest:
            state = state._replace(fence=newest + 1)
        spares = state.lease and self._with.running_attempt_is_spared
        abandoned = frozenset(a for a, fence in state.intents if not spares or fence < newest)
        kept = {state.cleaner.seen.token}
        return state._replace(
            cleaner=state.cleaner._replace(at="listing", abandoned=abandoned - kept)
        )

    def _list(self, state: State) -> State:
        cleaner = state.cleaner
        if not held(cleaner.seen) & state.alive:
            return state._replace(cleaner=Cleaner())  # no token of this store opens anything
        unwanted = cleaner.abandoned | (frozenset() if cleaner.removes else cleaner.seen.retired)
        found = unwanted & state.alive
        settled = (found & cleaner.abandoned) | self._over(state)
        cleaner = cleaner._replace(at="deleting", found=found, settled=settled)
        return state._replace(cleaner=cleaner)

    def _over(self, state: State) -> frozenset[int]:
        not_yet = state.late | {w.attempt for w in state.workers if w.at == "begun"}
        return state.cleaner.abandoned - not_yet

    def _finish(self, state: State) -> State:
        cleaner = state.cleaner
        settled = cleaner.settled
        if not self._with.over_is_judged_before_listing:
            settled |= self._over(state)
        state = forget(state, settled)
        if cleaner.removes:
            unsettled = cleaner.abandoned - settled
            left = Cleaner() if unsettled else cleaner._replace(at="deleting own")
            return state._replace(cleaner=left)
        if state.record == cleaner.seen and not state.lease:
            state = state._replace(record=cleaner.seen._replace(retired=frozenset()))
        return state._replace(cleaner=Cleaner())


def _with_one_deleted(state: State) -> State:
    cleaner = state.cleaner
    if not cleaner.found:
        return state._replace(cleaner=cleaner._replace(at="forgetting"))
    token = min(cleaner.found)
    left = cleaner._replace(found=cleaner.found - {token})
    return state._replace(alive=state.alive - {token}, cleaner=left)


def _removed(state: State) -> State:
    if state.record != state.cleaner.seen:
        return state._replace(cleaner=Cleaner())
    after(state.cleaner.seen.status, Event.REMOVED)
    return state._replace(record=None, fence=state.fence + 1, cleaner=Cleaner())
