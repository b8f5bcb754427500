"""What a worker does beside answering: small tasks again and again, in one thread, started after the fork."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

import structlog

from service.core.errors import BrokerError

Task = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Regularly:
    """A task and how often it runs.

    Attributes:
        name: For the log.
        every: From the end of one run to the start of the next, at the least.
        task: What to do; it handles what it can.
    """

    name: str
    every: timedelta
    task: Task


class Background:
    """Runs tasks one after another until the process ends."""

    def __init__(self, tasks: tuple[Regularly, ...]) -> None:
        self._tasks = tasks
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the thread; it never keeps the process from ending."""
        name = ", ".join(regularly.name for regularly in self._tasks)
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def stop(self, patience: timedelta) -> None:
        """Begin no task any more, and wait that long at most for the one that is running."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(patience.total_seconds())

    def _run(self) -> None:
        due = dict.fromkeys(range(len(self._tasks)), 0.0)
        while not self._stopping.is_set():
            for number, regularly in enumerate(self._tasks):
                if due[number] <= time.monotonic():
                    self.run_once(regularly)
                    due[number] = time.monotonic() + regularly.every.total_seconds()
            self._stopping.wait(max(min(due.values()) - time.monotonic(), 0.05))

    def run_once(self, regularly: Regularly) -> None:
        """Run a task; whatever it did not handle is logged, and the others go on."""
        try:
            regularly.task()
        except BrokerError as error:
            structlog.get_logger().warning(
                "task_deferred", task=regularly.name, reason=error.reason
            )
        except Exception as error:  # noqa: BLE001 — a defect in one task must not end the others
            structlog.get_logger().error("task_failed", task=regularly.name, exc_info=error)
