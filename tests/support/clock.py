"""A clock that stands still until a test moves it."""

from datetime import UTC, datetime, timedelta

START = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


class ManualClock:
    """Fulfils ``Clock``, and ``Pause`` by moving on."""

    def __init__(self, now: datetime = START) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def move(self, span: timedelta) -> None:
        """Let time go by."""
        self.now += span
