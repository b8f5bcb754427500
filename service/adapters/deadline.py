"""Total deadlines for network calls.

A socket timeout bounds one read; a peer that sends one byte a second keeps every read within it and the call open for ever. Here one
thread per process watches all calls and shuts down the socket of any that is over its time, which ends whatever read or write it is
in (security.md §0, finding 11; F54). The same ends a call that nobody waits for any more, because its caller has gone.
"""

import contextlib
import heapq
import itertools
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

_LOOK_EVERY_SECONDS = 1.0


@dataclass(slots=True)
class Deadline:
    """One call's time limit.

    Attributes:
        at: On the monotonic clock.
        abandoned: Asked now and then whether nobody waits for the call any more; None for a call of our own.
        sock: Its connection, once there is one.
        missed: Whether it was shut down, for being late or abandoned.
        done: Whether it has ended.
    """

    at: float
    abandoned: Callable[[], bool] | None = None
    sock: socket.socket | None = None
    missed: bool = False
    done: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def left(self) -> float:
        """Return the seconds that are left; never less than a millisecond, so that it can be a socket timeout."""
        return max(self.at - time.monotonic(), 0.001)

    def is_over(self, now: float) -> bool:
        """Tell whether the time is up, or nobody waits any more."""
        return now >= self.at or (self.abandoned is not None and self.abandoned())

    def finish(self) -> None:
        """End the watch; from then on the socket is somebody else's and is not touched."""
        with self._lock:
            self.done = True
            self.sock = None

    def expire(self) -> None:
        """Shut the socket down, unless the watch has ended."""
        with self._lock:
            if self.done:
                return
            self.missed = True
            # Of the plain socket class on purpose: SSLSocket.shutdown would drop its TLS state under the thread that is reading.
            # An error means that it is closed, which is as good.
            if self.sock is not None:
                with contextlib.suppress(OSError):
                    socket.socket.shutdown(self.sock, socket.SHUT_RDWR)


@dataclass(slots=True)
class Watch:
    """Watches deadlines; its thread starts with the first one, so that nothing runs before a worker is forked."""

    _heap: list[tuple[float, int, Deadline]] = field(default_factory=list)
    _numbers: "itertools.count[int]" = field(default_factory=itertools.count)
    _changed: threading.Condition = field(default_factory=threading.Condition)
    _thread: threading.Thread | None = None

    def start(self, seconds: float, abandoned: Callable[[], bool] | None = None) -> Deadline:
        """Return a deadline that many seconds from now; give it the call's socket as soon as there is one."""
        deadline = Deadline(time.monotonic() + seconds, abandoned)
        with self._changed:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="deadlines", daemon=True)
                self._thread.start()
            self._push(deadline)
            if self._heap[0][2] is deadline:
                self._changed.notify()
        return deadline

    def _push(self, deadline: Deadline) -> None:
        """Note when the deadline is to be looked at next."""
        at = deadline.at
        if deadline.abandoned is not None:
            at = min(at, time.monotonic() + _LOOK_EVERY_SECONDS)
        heapq.heappush(self._heap, (at, next(self._numbers), deadline))

    def _run(self) -> None:
        while True:
            with self._changed:
                while self._heap and self._heap[0][2].done:
                    heapq.heappop(self._heap)
                now = time.monotonic()
                if not self._heap:
                    self._changed.wait()
                elif self._heap[0][0] > now:
                    self._changed.wait(self._heap[0][0] - now)
                else:
                    deadline = heapq.heappop(self._heap)[2]
                    if deadline.is_over(now):
                        deadline.expire()
                    else:
                        self._push(deadline)
