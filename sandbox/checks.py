"""What values a switch takes: each check says so in words, for people, and refuses all others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_SECONDS = 3600
FAILURE_FIELDS = {"status", "count", "path"}


class InvalidValueError(Exception):
    """The switch does not take this value."""


@dataclass(frozen=True, slots=True)
class Check:
    """The values of one switch."""

    allowed: str
    holds: Callable[[Any], bool]

    def accept(self, value: Any) -> None:
        """Let a value pass.

        Raises:
            InvalidValueError: If it is none of those allowed.
        """
        if not self.holds(value):
            raise InvalidValueError


def _is_whole(value: Any, least: int = 0) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _is_seconds(value: Any) -> bool:
    return (
        isinstance(value, (int, float))
        and not isinstance(value, bool)
        and 0 <= value <= MAX_SECONDS
    )


def one_of(*values: str | int) -> Check:
    """Take one of these."""
    return Check(
        ", ".join(f"`{value}`" for value in values),
        lambda value: not isinstance(value, bool) and value in values,
    )


def yes_or_no() -> Check:
    """Take a boolean."""
    return Check("`true`, `false`", lambda value: isinstance(value, bool))


def count(least: int = 0) -> Check:
    """Take a whole number."""
    return Check(f"whole number from {least}", lambda value: _is_whole(value, least))


def amount() -> Check:
    """Take seconds."""
    return Check("seconds", _is_seconds)


def seconds_or_range() -> Check:
    """Take seconds, or two of which a random time between is chosen each time."""

    def is_range(value: Any) -> bool:
        return (
            isinstance(value, list)
            and len(value) == len(("least", "most"))
            and all(map(_is_seconds, value))
            and value[0] <= value[1]
        )

    return Check("seconds or `[least, most]`", lambda value: _is_seconds(value) or is_range(value))


def text() -> Check:
    """Take a string that can stand in a header."""
    return Check("text", lambda value: isinstance(value, str) and value.isprintable())


def header_map() -> Check:
    """Take header names and values."""

    def holds(value: Any) -> bool:
        return isinstance(value, dict) and all(
            isinstance(item, str) and item.isascii() and item.isprintable()
            for pair in value.items()
            for item in pair
        )

    return Check("`{name: value}`", holds)


def failures() -> Check:
    """Take null or a plan of failures."""

    def holds(value: Any) -> bool:
        if value is None:
            return True
        return (
            isinstance(value, dict)
            and set(value) <= FAILURE_FIELDS
            and _is_whole(value.get("status"), 400)
            and _is_whole(value.get("count"), 1)
            and isinstance(value.get("path", "/"), str)
        )

    return Check("`null` or `{status, count, path?}`", holds)
