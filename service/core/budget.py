"""The upstream's own limits: what has a smaller one, and what its answers say of them.

A store has 150 requests a minute for everybody who calls B2B Edition on its behalf, and two endpoints have 15. The headers are odd strings
with units; a 429 is about a limit on requests at the same time, and not about these, when it says that some remain.

Source: upstream.md §3; DESIGN §9; ADR 21.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import timedelta

from service.core.allowance import Allowance
from service.core.upstream_answers import bounded_wait, seconds_of

PER_MINUTE = 150
ENDPOINT_PER_MINUTE = 15
MINUTE = timedelta(minutes=1)
_ENDPOINTS = {("POST", "attachments"): "attachments", ("GET", "hierarchy"): "hierarchy"}
_VERSION = re.compile(r"v[0-9.]+", re.ASCII)
_NUMBER = re.compile(r"\s*([0-9]{1,9}(?:\.[0-9]{1,30})?)", re.ASCII)
_TOO_MANY_REQUESTS = 429


@dataclass(frozen=True, slots=True)
class Said:
    """What the upstream said: so much is left, for so long."""

    left: int
    span: timedelta


def endpoint_of(method: str, segments: tuple[str, ...]) -> str:
    """Return the name of the endpoint's own limit; empty if it has none.

    Args:
        method: Of the request; ``HEAD`` counts as the ``GET`` that it stands for.
        segments: Of the normalised path.
    """
    method = "GET" if method == "HEAD" else method
    match [segment.lower() for segment in segments if segment]:
        case ["api", version, "io", "companies", _, last] if _VERSION.fullmatch(version):
            return _ENDPOINTS.get((method, last), "")
    return ""


def said_less(status: int, headers: Iterable[tuple[str, str]], allowance: Allowance) -> Said | None:
    """Return what an answer says, if that is less than was thought; None otherwise."""
    named = {name.lower(): value for name, value in headers}
    remaining = _number(named.get("x-requests-remaining"))
    resets = _number(named.get("x-request-window-resets-after"))
    span = MINUTE if resets is None else min(timedelta(seconds=resets), MINUTE)
    if status == _TOO_MANY_REQUESTS and not remaining:
        if "retry-after" in named or resets is None:
            span = bounded_wait(seconds_of(named.get("retry-after"), named.get("date")))
        return Said(0, span)
    if remaining is None or int(remaining) >= allowance.left:
        return None
    return Said(int(remaining), span)


def told(said: Said, nearest: Allowance, allowance: Allowance) -> Allowance:
    """Return what is to be told to a caller after the upstream has said something.

    Args:
        said: What it was.
        nearest: What would have been told.
        allowance: The limit that it was said of.
    """
    if said.left >= nearest.open:
        return nearest
    return replace(allowance, left=said.left, open=said.left, wait=said.span)


def _number(text: str | None) -> float | None:
    match = _NUMBER.match(text or "")
    return float(match[1]) if match else None
