"""The span of a request, for whoever collects traces. Without one, nothing is made."""

from collections.abc import Callable
from types import TracebackType
from typing import Protocol, Self

from service.core.trace_context import TraceContext


class RequestSpan(Protocol):
    """The time from a request's arrival to its answer's headers, as a block.

    Attributes:
        trace_id: Of the trace that it belongs to; empty if to none of ours.
    """

    @property
    def trace_id(self) -> str:
        """See above."""
        ...

    def answered(self, request_id: str, status: int, problem: str) -> None:
        """Note what came of the request."""
        ...

    def __enter__(self) -> Self:
        """Begin."""
        ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End."""
        ...


Trace = Callable[[str, str, TraceContext], RequestSpan]
"""Returns the span of a request, by its operation, its method, and the trace that the caller named."""


class NoSpan:
    """Fulfils ``RequestSpan`` and does nothing."""

    trace_id = ""

    def answered(self, request_id: str, status: int, problem: str) -> None:
        """See ``RequestSpan.answered``."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Do nothing."""


_NO_SPAN = NoSpan()


def untraced(_operation: str, _method: str, _trace: TraceContext) -> RequestSpan:
    """Return a span that nobody collects."""
    return _NO_SPAN
