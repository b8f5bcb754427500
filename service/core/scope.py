"""Request scopes: which upstream requests a reference may make.

A scope entry is ``METHOD /path``. A path is made of whole segments: a literal, ``*`` (exactly one segment), and ``**`` as the
last one (any number of segments, none included: ``/companies/**`` also matches ``/companies``). The method is literal, or ``*``.
"""

import re
from dataclasses import dataclass
from functools import lru_cache

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
_ENTRY = re.compile(
    r"(\*|GET|HEAD|POST|PUT|PATCH|DELETE) (/(?:[A-Za-z0-9._~!$&'()+,=:@%-]+|\*\*?)(?:/(?:[A-Za-z0-9._~!$&'()+,=:@%-]+|\*\*?))*)",
    re.ASCII,
)
_ANY_TAIL = "**"
_ONE = "*"


@dataclass(frozen=True, slots=True)
class ScopeEntry:
    """One pattern: a method and the segments of a path.

    Attributes:
        method: A method's name, or ``*``.
        segments: Literals and ``*``; without the final ``**``.
        open_ended: True when the pattern ended in ``/**``.
    """

    method: str
    segments: tuple[str, ...]
    open_ended: bool

    def matches(self, method: str, path_segments: tuple[str, ...]) -> bool:
        """Tell whether a request (its path split at ``/``, without the empty first part) is within this entry."""
        if self.method not in (_ONE, method):
            return False
        return self._covers_segments(path_segments, open_ended=False)

    def covers(self, narrower: "ScopeEntry") -> bool:
        """Tell whether every request within ``narrower`` is also within this entry."""
        if self.method not in (_ONE, narrower.method):
            return False
        return self._covers_segments(narrower.segments, open_ended=narrower.open_ended)

    def _covers_segments(self, other: tuple[str, ...], *, open_ended: bool) -> bool:
        if open_ended and not self.open_ended:
            return False
        if len(other) < len(self.segments) or (
            len(other) > len(self.segments) and not self.open_ended
        ):
            return False
        return all(
            mine == theirs or (mine == _ONE and theirs != "")
            for mine, theirs in zip(self.segments, other, strict=False)
        )


@lru_cache(maxsize=4096)
def parse_scope_entry(text: str) -> ScopeEntry:
    """Return the pattern that ``text`` writes.

    Raises:
        ValueError: It is not one; the message names the rule and not the text.
    """
    match = _ENTRY.fullmatch(text)
    if match is None:
        raise ValueError("a request pattern is 'METHOD /path', with '*' for one whole segment")
    segments = tuple(match[2][1:].split("/"))
    open_ended = segments[-1] == _ANY_TAIL
    if open_ended:
        segments = segments[:-1]
    if _ANY_TAIL in segments:
        raise ValueError("'**' may stand only at the end of a request pattern")
    if any(segment in (".", "..") for segment in segments):
        raise ValueError("a request pattern has no dot segments")
    return ScopeEntry(match[1], segments, open_ended)


def checked_scope_entry(text: str) -> str:
    """Return a pattern as it is written, if it is one.

    Raises:
        ValueError: It is not one.
    """
    parse_scope_entry(text)
    return text


def is_covered(asked: tuple[str, ...], allowed: tuple[str, ...]) -> bool:
    """Tell whether each asked pattern lies within one of the allowed patterns."""
    wide = [parse_scope_entry(text) for text in allowed]
    return all(
        any(entry.covers(narrow) for entry in wide) for narrow in map(parse_scope_entry, asked)
    )
