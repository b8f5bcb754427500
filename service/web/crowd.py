"""A bulkhead: those who wait for one store's token cannot take all threads of a process, so other stores go on.

Source: security.md §3.3 F04.
"""

import contextlib
import threading
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta

from service.core.errors import StoreBusyError

_SOON = timedelta(seconds=1)
_SHARE = 4


class Crowd:
    """Counts who is in a request about a store's token."""

    def __init__(self, threads: int) -> None:
        """Take the number of threads of this process; a quarter of them may be about one store."""
        self._most = max(1, threads // _SHARE)
        self._inside: Counter[str] = Counter()
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def place(self, store_hash: str) -> Iterator[None]:
        """Take a place for a block.

        Raises:
            StoreBusyError: All places for this store are taken.
        """
        with self._lock:
            if self._inside[store_hash] >= self._most:
                raise StoreBusyError(
                    "Many requests are about this store's token.",
                    reason="store_crowded",
                    retry_after=_SOON,
                )
            self._inside[store_hash] += 1
        try:
            yield
        finally:
            with self._lock:
                self._inside[store_hash] -= 1
                if not self._inside[store_hash]:
                    del self._inside[store_hash]
