"""A circuit breaker: when a host has not answered several times in a row, nobody has to wait for it for a while.

Closed, everybody is let through. After ``FAILURES`` failures in a row it is open for a second, and for twice as long after each trial that
fails, up to half a minute; whoever comes is told at once. Then one request is let through as a trial: if the host answers, the circuit
is closed. Only silence counts, not being able to connect and running out of time; whatever the host answers, it is there, and an answer
that breaks off says neither.

Source: DESIGN §9; security.md §3.3 F21, F53.
"""

import threading
import time
from collections.abc import Callable
from datetime import timedelta

from service.core.errors import UpstreamUnreachableError

FAILURES = 5
SHORTEST = timedelta(seconds=1)
LONGEST = timedelta(seconds=30)


class Circuit:
    """The circuit of one host."""

    def __init__(
        self,
        monotonic: Callable[[], float] = time.monotonic,
        tell: Callable[[bool], None] | None = None,
    ) -> None:
        """Take the clock, and whom to tell that the circuit has opened or closed."""
        self._monotonic = monotonic
        self._tell = tell
        self._lock = threading.Lock()
        self._failures = 0
        self._open_for = SHORTEST
        self._open_until = 0.0

    @property
    def is_open(self) -> bool:
        """Whether the host counts as away."""
        return self._failures >= FAILURES

    def admit(self) -> None:
        """Let a request through.

        Raises:
            UpstreamUnreachableError: Not now; the host has been silent.
        """
        with self._lock:
            if not self.is_open:
                return
            left = self._open_until - self._monotonic()
            if left > 0:
                raise UpstreamUnreachableError(
                    "The upstream has not answered for a while.",
                    reason="circuit_open",
                    retry_after=timedelta(seconds=left),
                )
            # This one is the trial; the others wait for what comes of it.
            self._open_until = self._monotonic() + self._open_for.total_seconds()

    def answered(self) -> None:
        """Note that the host has answered."""
        if self._failures:
            with self._lock:
                was_open = self.is_open
                self._failures = 0
                self._open_for = SHORTEST
                if was_open and self._tell is not None:
                    self._tell(False)  # noqa: FBT003 — it is closed

    def silent(self) -> None:
        """Note that the host has not answered."""
        with self._lock:
            self._failures += 1
            if self._failures == FAILURES:
                self._open_until = self._monotonic() + self._open_for.total_seconds()
                if self._tell is not None:
                    self._tell(True)  # noqa: FBT003 — it is open
            elif self._failures > FAILURES:
                self._open_for = min(2 * self._open_for, LONGEST)
                self._open_until = self._monotonic() + self._open_for.total_seconds()
