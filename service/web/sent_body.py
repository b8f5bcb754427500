"""A body on its way out: how many bytes went, and whether all of them did."""

from collections.abc import Callable, Iterable

Tell = Callable[[int, bool], None]
"""Told once, at the end: how many bytes went, and whether the body was cut short."""


class SentBody:
    """Passes a body on to the server and counts it."""

    def __init__(self, body: Iterable[bytes], tell: Tell) -> None:
        self._body = body
        self._pieces = iter(body)
        self._tell: Tell | None = tell
        self._sent = 0
        self._begun = False

    def __iter__(self) -> "SentBody":
        return self

    def __next__(self) -> bytes:
        self._begun = True
        try:
            piece = next(self._pieces)
        except StopIteration:
            self._end(cut_short=False)
            raise
        except BaseException:
            self._end(cut_short=True)
            raise
        self._sent += len(piece)
        return piece

    def close(self) -> None:
        """End, wherever it is. A server that sends no body, as to HEAD, does not begin either."""
        close = getattr(self._body, "close", None)
        try:
            if close is not None:
                close()
        finally:
            self._end(cut_short=self._begun)

    def _end(self, *, cut_short: bool) -> None:
        tell, self._tell = self._tell, None
        if tell is not None:
            tell(self._sent, cut_short)
