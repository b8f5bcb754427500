"""A bulkhead: one caller's requests through the proxy cannot take all threads of a process, however slow they are.

Whoever has its share of the threads waits a moment for a place, so that a burst of quick requests goes through; behind slow ones, which
keep their places, it is refused then.

Source: security.md §3.3 F04, F54.
"""

import threading
from collections import Counter, defaultdict, deque
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
        # In order: where places change hands all the time, nobody may be passed over until its time is up.
        self._waiting: defaultdict[str, deque[threading.Event]] = defaultdict(deque)
        self._lock = threading.Lock()

    def enter(self, identity: str) -> Callable[[], None]:
        """Take a place, and return what gives it back; a second time it does nothing.

        Raises:
            RateLimitedError: All of this caller's places are taken, and stay so.
        """
        turn = None
        with self._lock:
            if self._inside[identity] < self._most:
                self._inside[identity] += 1
            else:
                turn = threading.Event()
                self._waiting[identity].append(turn)
        if turn is not None and not turn.wait(self._wait):
            self._give_up(identity, turn)
        place = ExitStack()
        place.callback(self._leave, identity)
        return place.close

    def _give_up(self, identity: str, turn: threading.Event) -> None:
        with self._lock:
            if turn.is_set():  # in this moment
                return
            self._waiting[identity].remove(turn)
            if not self._waiting[identity]:
                del self._waiting[identity]
        raise RateLimitedError(
            "Too many requests of this caller are under way.",
            reason="caller_crowded",
            retry_after=_SOON,
        )

    def _leave(self, identity: str) -> None:
        """Give a place to who has waited for it longest, or back."""
        with self._lock:
            waiting = self._waiting.get(identity)
            if waiting:
                waiting.popleft().set()
                if not waiting:
                    del self._waiting[identity]
                return
            self._inside[identity] -= 1
            if not self._inside[identity]:
                del self._inside[identity]
