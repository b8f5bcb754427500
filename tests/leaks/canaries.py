"""Secrets that are searched for: each is unique, so that what is found tells where it came from."""

from collections import defaultdict

from tests.leaks.forms import PIECE, needles

_AROUND = 60
_WINDOW = 8
_STRIDE = PIECE - _WINDOW + 1
"""Every needle is at least a piece long, so it holds a whole window that begins at a multiple of this."""


class Canaries:
    """Knows secrets, and finds them in whatever form."""

    def __init__(self) -> None:
        self._windows: defaultdict[bytes, set[tuple[bytes, int, str]]] = defaultdict(set)

    def add(self, name: str, secret: str | bytes) -> None:
        """Search for one more secret, by a name that tells which."""
        for needle in needles(secret):
            for offset in range(_STRIDE):
                window = needle[offset : offset + _WINDOW]
                self._windows[window].add((needle, offset, name))

    def found_in(self, content: bytes) -> dict[str, bytes]:
        """Return the names of the secrets that some content holds a piece of, each with what is around it.

        There are thousands of needles and megabytes to search, so the content is looked at once: for windows that a needle begins with.
        """
        found = {}
        for start in range(0, len(content) - _WINDOW + 1, _STRIDE):
            for needle, offset, name in self._windows.get(content[start : start + _WINDOW], ()):
                begin = start - offset
                if begin >= 0 and content.startswith(needle, begin):
                    found[name] = content[max(0, begin - _AROUND) : begin + _AROUND]
        return found
