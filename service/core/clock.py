"""Time is a parameter. Nobody in ``core`` asks for the time; everybody is given a clock."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

Clock = Callable[[], datetime]
"""Returns the present moment, aware, in UTC."""

Pause = Callable[[timedelta], None]
"""Lets some time go by."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def to_millis(moment: datetime) -> int:
    """Return milliseconds since 1970, rounded down."""
    return (moment - _EPOCH) // _MILLISECOND


def from_millis(millis: int) -> datetime:
    """Return the moment that ``to_millis`` was given, to the millisecond."""
    return _EPOCH + timedelta(milliseconds=millis)


def rfc3339(moment: datetime) -> str:
    """Return the moment as RFC 3339 in UTC with milliseconds, such as ``2026-11-23T01:30:00.123Z``."""
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
