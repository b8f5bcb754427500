"""A bulkhead: one caller's requests through the proxy cannot take all threads of a process, however slow they are.

Whoever has its share of the threads waits a moment for a place, so that a burst of quick requests goes through; behind slow ones, which
keep their places, it is refused then.

Source: security.md §3.3 F04, F54.
"""

import threading
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from datetime import timedelta

from service.core.errors import RateLimitedError

_WAIT = timedelta(milliseconds=250)
_SOON = timedelta(seconds=1)


class Bulkhead:
    """Counts the requests of each caller that are under way."""

    def __init__(self, threads: int, wait: timedelta = _WAIT) -> None:
        """Take the number of threads of this process; three quarters of them may be one caller's."""
        self._most = max(1, threads * 3 // 4)
        self._wait = wait.total_seconds()
        self._inside: Counter[str] = Counter()
        self._changed = threading.Condition()

    def enter(self, identity: str) -> Callable[[], None]:
        """Take a place, and return what gives it back; a second time it does nothing.

        Raises:
            RateLimitedError: All of this caller's places are taken, and stay so.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: self._inside[identity] < self._most, self._wait):
                raise RateLimitedError(
                    "Too many requests of this caller are under way.",
                    reason="caller_crowded",
                    retry_after=_SOON,
                )
            self._inside[identity] += 1
        place = ExitStack()
        place.callback(self._leave, identity)
        return place.close

    def _leave(self, identity: str) -> None:
        with self._changed:
            self._inside[identity] -= 1
            if not self._inside[identity]:
                del self._inside[identity]
            self._changed.notify_all()
