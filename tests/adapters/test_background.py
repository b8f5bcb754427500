"""Background tasks: run again and again until they are stopped, whatever one of them does."""

import threading
from datetime import timedelta

import pytest

from sandbox.demo.processes import wait_until
from service.adapters.background import Background, Regularly
from service.core.errors import StorageError

OFTEN = timedelta(milliseconds=1)
LONG = timedelta(seconds=5)


@pytest.mark.parametrize("error", [StorageError("away", reason="away"), ValueError("a defect")])
def test_a_task_that_fails_keeps_neither_itself_nor_others_from_running(error: Exception) -> None:
    """It is logged, and they go on."""
    runs = [0, 0]

    def fail() -> None:
        runs[0] += 1
        raise error

    def count() -> None:
        runs[1] += 1

    background = Background((Regularly("fails", OFTEN, fail), Regularly("counts", OFTEN, count)))
    background.start()
    wait_until("both ran again", lambda: min(runs) > 1)
    background.stop(LONG)


def test_nothing_runs_after_the_stop() -> None:
    """So that the last thing that a process signs is its end."""
    begun, release = threading.Event(), threading.Event()
    runs = 0

    def task() -> None:
        nonlocal runs
        runs += 1
        begun.set()
        release.wait(5)

    background = Background((Regularly("task", OFTEN, task),))
    background.start()
    begun.wait(5)
    threading.Timer(0.05, release.set).start()

    background.stop(LONG)

    assert runs == 1
    assert background._thread is not None
    assert not background._thread.is_alive()


def test_a_stop_does_not_wait_for_a_task_that_hangs() -> None:
    """It waits as long as it is told."""
    begun, release = threading.Event(), threading.Event()

    def hang() -> None:
        begun.set()
        release.wait(5)

    background = Background((Regularly("hangs", OFTEN, hang),))
    background.start()
    begun.wait(5)

    background.stop(timedelta(milliseconds=20))

    assert background._thread is not None
    assert background._thread.is_alive()
    release.set()
    background._thread.join(5)


def test_what_was_never_started_can_be_stopped() -> None:
    """A process may end before it has begun."""
    Background(()).stop(OFTEN)
