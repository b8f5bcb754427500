"""What the upstream announces in its answers: that something is deprecated, and when it ends.

``Deprecation`` is a moment (``@1688169599``), in older drafts a date or ``true``; ``Sunset`` is a date. The latest announcement is kept,
told in the log when it changes, and exposed as a metric.

Source: RFC 9745; RFC 8594; upstream.md §4.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Literal

import structlog

Kind = Literal["deprecation", "sunset"]
Observe = Callable[[Kind, float], None]
"""Told the kind and the moment, in seconds since 1970."""

_MOMENT = re.compile(r"@([0-9]{1,11})", re.ASCII)
_SINCE_EVER = datetime.fromtimestamp(1, UTC)


class Deprecations:
    """Watches the headers of answers."""

    def __init__(self, observe: Observe) -> None:
        self._observe = observe
        self._known: dict[Kind, datetime] = {}

    def note(self, kind: Kind, value: str) -> None:
        """Note a header's value; one that cannot be read is no announcement."""
        moment = _moment(value.strip())
        if moment is None or self._known.get(kind) == moment:
            return
        self._known[kind] = moment
        self._observe(kind, moment.timestamp())
        structlog.get_logger().warning("upstream_announces", kind=kind, at=moment.isoformat())


def _moment(value: str) -> datetime | None:
    if value.lower() in ("true", "?1"):
        return _SINCE_EVER
    match = _MOMENT.fullmatch(value)
    try:
        if match:
            return datetime.fromtimestamp(int(match[1]), UTC)
        return parsedate_to_datetime(value).astimezone(UTC)
    except (ValueError, OverflowError):  # such as a date beyond the last year
        return None
