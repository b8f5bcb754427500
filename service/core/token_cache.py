"""Opened tokens, for speed: in memory only, bounded, and keyed by the exact stored bytes.

Because the whole signed record is the key, a record that was altered, rotated or rolled to another generation is simply another key:
it is verified and opened from the start.
"""

from collections import OrderedDict
from collections.abc import Callable

from service.core.records import TokenStyle
from service.core.secret import Secret

Opened = tuple[TokenStyle, Secret]


class TokenCache:
    """The most recently used opened tokens. Safe under threads: each step is one atomic operation of the dict."""

    def __init__(self, size: int = 1024) -> None:
        self._size = size
        self._opened: OrderedDict[bytes, Opened] = OrderedDict()

    def get(self, line: bytes, open_line: Callable[[bytes], Opened]) -> Opened:
        """Return the opened token of a stored record, opening it if it is not at hand.

        Raises:
            BrokerError: Whatever ``open_line`` raises; failures are not remembered.
        """
        opened = self._opened.get(line)
        if opened is None:
            opened = open_line(line)
            self._opened[line] = opened
            while len(self._opened) > self._size:
                self._opened.popitem(last=False)
        return opened
