"""Calls to other systems, watched: how each ended and how long it took."""

import time
from collections.abc import Callable
from types import TracebackType
from typing import Protocol, Self

from service.core.errors import BrokerError

OK = "ok"
DEFECT = "defect"
Headers = tuple[tuple[str, str], ...]
Observe = Callable[[str, str, float], None]
"""Told the operation, its outcome (``ok`` or a reason) and the seconds that it took."""


class Call(Protocol):
    """One call, for the length of a ``with`` block.

    Attributes:
        outcome: How it ended, where that is more than that nothing was raised.
        headers: What the other side has to be told of the trace that the call belongs to.
    """

    outcome: str
    headers: Headers

    def __enter__(self) -> Self:
        """Begin."""
        ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End; nothing is swallowed."""
        ...


CallWatch = Callable[[str], Call]
"""Returns the call of an operation."""


class TimedCall:
    """A call that is counted. Fulfils ``Call``."""

    __slots__ = ("_began", "_observe", "_operation", "headers", "outcome")

    def __init__(self, operation: str, observe: Observe) -> None:
        self.outcome = OK
        self.headers: Headers = ()
        self._operation = operation
        self._observe = observe
        self._began = 0.0

    def __enter__(self) -> Self:
        self._began = time.monotonic()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None:
            self.outcome = error.reason if isinstance(error, BrokerError) else DEFECT
        self._observe(self._operation, self.outcome, time.monotonic() - self._began)


def timed(observe: Observe) -> CallWatch:
    """Return what watches calls by counting them."""
    return lambda operation: TimedCall(operation, observe)


def unwatched(operation: str) -> Call:
    """Return a call that nobody is told of."""
    return TimedCall(operation, _nobody)


def _nobody(_operation: str, _outcome: str, _seconds: float) -> None:
    """Do nothing."""
