"""Opened tokens, for speed: in memory only, bounded, and keyed by the store and the exact stored bytes.

Because the whole signed record is the key, a record that was altered, rotated or rolled to another generation is simply another key:
it is verified and opened from the start.
"""

from collections import OrderedDict
from collections.abc import Callable

from service.core.records import ActiveToken


class TokenCache:
    """The opened tokens of late, the oldest out first. Safe under threads: each step is one atomic operation of the dict."""

    def __init__(self, size: int = 1024) -> None:
        self._size = size
        self._opened: OrderedDict[tuple[str, bytes], ActiveToken] = OrderedDict()

    def get(
        self, store_hash: str, line: bytes, open_line: Callable[[], ActiveToken]
    ) -> ActiveToken:
        """Return the opened token of a stored record, opening it if it is not at hand.

        Args:
            store_hash: Whose record it has to be; a record is good only for the store that it was verified for.
            line: The stored record.
            open_line: Verifies and opens it.

        Raises:
            BrokerError: Whatever ``open_line`` raises; failures are not remembered.
        """
        opened = self._opened.get((store_hash, line))
        if opened is None:
            opened = self._opened[store_hash, line] = open_line()
            while len(self._opened) > self._size:
                self._opened.popitem(last=False)
        return opened
