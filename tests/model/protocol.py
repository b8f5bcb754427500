"""The protocol of issuing as a small machine of explicit states: what each actor can do next, one atomic step at a time.

Actors: two workers that register or rotate one store, a cleaner (maintenance, or an operator who removes the store), the upstream, and
misfortune: anybody dies at any step, the lease ends at any time, any reply is lost, the upstream carries a request out late or never.

* A step of Redis is one Lua script: ``begin``, ``settle``, ``replace``, ``remove``, and forgetting intents.
* Every change of status goes through ``lifecycle``; an event that the table does not know raises ``KeyError``.
* Time is left out, but for one assumption: nobody takes an attempt for over while its request may still be carried out.

``Defences`` are what makes the protocol right; each can be taken away, to see that it is needed.
"""

from collections.abc import Iterator

from tests.model.cleaning import Cleaning
from tests.model.states import Cleaner, Defences, State, Worker
from tests.model.working import Working


class Protocol:
    """Gives the next states of a state."""

    def __init__(self, defences: Defences) -> None:
        self._working = Working(defences)
        self.cleaning = Cleaning(defences)

    def steps(self, state: State) -> Iterator[State]:
        """Yield every state that may come next."""
        for number, worker in enumerate(state.workers):
            for changed, moved in self._working.steps(state, worker):
                yield _with_worker(changed, number, moved)
            if worker.at != "idle":
                yield _with_worker(state, number, Worker())
        yield from self.cleaning.steps(state)
        if state.cleaner.at != "idle":
            yield state._replace(cleaner=Cleaner())
        if state.lease:
            yield state._replace(lease=0)
        for attempt in state.late:
            waits = state._replace(late=state.late - {attempt})
            yield waits
            yield waits._replace(alive=state.alive | {attempt})


def _with_worker(state: State, number: int, worker: Worker) -> State:
    first, second = state.workers
    return state._replace(workers=(worker, second) if number == 0 else (first, worker))
