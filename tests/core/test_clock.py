"""Time: milliseconds and RFC 3339."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core.clock import from_millis, rfc3339, to_millis


@given(millis=st.integers(0, 4_102_444_800_000))
def test_milliseconds_survive_the_way_there_and_back(millis: int) -> None:
    """A stored moment is read as the one that was stored."""
    assert to_millis(from_millis(millis)) == millis


def test_microseconds_are_rounded_down() -> None:
    """No moment moves into the future by being stored."""
    moment = datetime(2026, 11, 23, 1, 30, 0, 999_999, tzinfo=UTC)

    assert from_millis(to_millis(moment)) == moment - timedelta(microseconds=999)


@pytest.mark.parametrize(
    ("microseconds", "text"),
    [(0, "2026-11-23T01:30:00.000Z"), (123_999, "2026-11-23T01:30:00.123Z")],
)
def test_rfc3339_is_written_in_utc_with_milliseconds(microseconds: int, text: str) -> None:
    """Always the same width, so that lines sort."""
    assert rfc3339(datetime(2026, 11, 23, 1, 30, 0, microseconds, tzinfo=UTC)) == text
