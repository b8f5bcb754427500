"""Requests per minute and store, in fixed windows, announced in the real API's odd headers (§3)."""

from __future__ import annotations

from dataclasses import dataclass

WINDOW_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Taken:
    """What one request found when it took its place in the window."""

    limit: int
    admitted: bool
    remaining: int
    resets_after_seconds: float

    def headers(self) -> list[tuple[str, str]]:
        """Write the window as the documentation shows it, units and odd window length included."""
        return [
            ("X-Requests-Allocated", f"{self.limit} times/60 s"),
            ("X-Requests-Window-Length", "0 times"),
            ("X-Requests-Remaining", f"{self.remaining} times"),
            ("X-Request-Window-Resets-After", f"{self.resets_after_seconds} s"),
        ]


class RateWindows:
    """The windows that are open.

    NOTE: it takes no lock; whoever holds the state's lock calls it.
    """

    def __init__(self) -> None:
        #: (store hash, what is limited) → (start of the window, requests in it)
        self._windows: dict[tuple[str, str], tuple[float, int]] = {}

    def take(self, store_hash: str, what: str, limit: int, now: float) -> Taken:
        """Count one request; a refused one does not count."""
        start, count = self._windows.get((store_hash, what), (now, 0))
        if now >= start + WINDOW_SECONDS:
            start, count = now, 0
        admitted = count < limit
        count += admitted
        self._windows[store_hash, what] = (start, count)
        return Taken(limit, admitted, max(0, limit - count), start + WINDOW_SECONDS - now)
