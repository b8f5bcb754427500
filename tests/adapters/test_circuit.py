"""The circuit breaker: nobody waits for a host that is away, and one trial at a time finds out when it is back."""

from datetime import timedelta

import pytest

from service.adapters.circuit import FAILURES, Circuit
from service.core.errors import UpstreamUnreachableError


class Seconds:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def _refused(circuit: Circuit) -> float | None:
    """Return how long a request is told to wait; None if it is let through."""
    try:
        circuit.admit()
    except UpstreamUnreachableError as error:
        wait = error.retry_after or timedelta(0)
        return wait.total_seconds()
    return None


def _opened(clock: Seconds) -> Circuit:
    circuit = Circuit(clock)
    for _ in range(FAILURES):
        circuit.admit()
        circuit.silent()
    return circuit


def test_a_few_failures_open_nothing() -> None:
    """And an answer in between begins the count anew."""
    circuit = Circuit(Seconds())

    for _ in range(3):
        for _ in range(FAILURES - 1):
            circuit.silent()
        circuit.answered()

    assert _refused(circuit) is None


def test_after_several_failures_in_a_row_everybody_is_told_at_once() -> None:
    """With the time that is left."""
    clock = Seconds()
    circuit = _opened(clock)
    clock.now += 0.4

    assert _refused(circuit) == pytest.approx(0.6)
    assert circuit.is_open


def test_opening_and_closing_are_told_once_each() -> None:
    """Neither a trial that fails nor an answer while it is closed is news."""
    clock, told = Seconds(), list[bool]()
    circuit = Circuit(clock, told.append)
    circuit.answered()
    for _ in range(FAILURES + 2):
        circuit.silent()
    opened = told.copy()

    circuit.answered()
    circuit.silent()
    circuit.answered()

    assert (opened, told) == ([True], [True, False])


def test_one_request_at_a_time_is_the_trial() -> None:
    """The others are not let through before it is known what came of it."""
    clock = Seconds()
    circuit = _opened(clock)
    clock.now += 1.1

    assert (_refused(circuit), _refused(circuit) is None) == (None, False)


def test_a_trial_that_is_answered_closes_the_circuit() -> None:
    """From then on everybody is let through, and a new failure is the first one."""
    clock = Seconds()
    circuit = _opened(clock)
    clock.now += 1.1
    circuit.admit()
    circuit.answered()
    circuit.silent()

    assert [_refused(circuit) for _ in range(5)] == [None] * 5


def test_each_trial_that_fails_doubles_the_wait_up_to_half_a_minute() -> None:
    """A host that is away for long is asked now and then."""
    clock = Seconds()
    circuit = _opened(clock)
    waits = []
    for _ in range(7):
        clock.now += 60
        circuit.admit()
        circuit.silent()
        waits.append(_refused(circuit))

    assert waits == [2, 4, 8, 16, 30, 30, 30]


def test_a_trial_of_which_nothing_is_heard_is_followed_by_another() -> None:
    """Its thread may be gone; the circuit does not stay open for ever."""
    clock = Seconds()
    circuit = _opened(clock)
    clock.now += timedelta(seconds=1.1).total_seconds()
    circuit.admit()
    clock.now += 1.1

    assert _refused(circuit) is None
