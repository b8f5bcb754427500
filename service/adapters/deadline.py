"""Total deadlines for network calls.

A socket timeout bounds one read; a peer that sends one byte a second keeps every read within it and the call open for ever. Here one
thread per process watches all calls and shuts down the socket of any that is over its time, which ends whatever read or write it is
in (security.md §0, finding 11; F54).
"""

import heapq
import itertools
import socket
import threading
import time
from dataclasses import dataclass, field


@dataclass(slots=True)
class Deadline:
    """One call's time limit. ``missed`` is True once its socket was shut down for being late."""

    at: float
    sock: socket.socket | None = None
    missed: bool = False
    done: bool = False

    def left(self) -> float:
        """Return the seconds that are left; never less than a millisecond, so that it can be a socket timeout."""
        return max(self.at - time.monotonic(), 0.001)

    def finish(self) -> None:
        """End the watch."""
        self.done = True
        self.sock = None


@dataclass(slots=True)
class Watch:
    """Watches deadlines; its thread starts with the first one, so that nothing runs before a worker is forked."""

    _heap: list[tuple[float, int, Deadline]] = field(default_factory=list)
    _numbers: "itertools.count[int]" = field(default_factory=itertools.count)
    _changed: threading.Condition = field(default_factory=threading.Condition)
    _thread: threading.Thread | None = None

    def start(self, seconds: float) -> Deadline:
        """Return a deadline that many seconds from now; give it the call's socket as soon as there is one."""
        deadline = Deadline(time.monotonic() + seconds)
        with self._changed:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="deadlines", daemon=True)
                self._thread.start()
            heapq.heappush(self._heap, (deadline.at, next(self._numbers), deadline))
            if self._heap[0][2] is deadline:
                self._changed.notify()
        return deadline

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
                    _expire(heapq.heappop(self._heap)[2])


def _expire(deadline: Deadline) -> None:
    if deadline.done:
        return
    deadline.missed = True
    sock = deadline.sock
    if sock is None:
        return
    try:
        # Of the plain socket class on purpose: SSLSocket.shutdown would drop its TLS state under the thread that is reading.
        socket.socket.shutdown(sock, socket.SHUT_RDWR)
    except OSError:
        # Closed in the same moment by its own thread, which is as good.
        return
