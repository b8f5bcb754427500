"""What is known of the request at hand, for its problem and its log line."""

import re
import secrets
import time
from dataclasses import dataclass, field

from werkzeug import Request

from service.core.trace_context import TraceContext, read_trace_context

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)


@dataclass(slots=True)
class Visit:
    """One request, as far as it got.

    Attributes:
        request_id: The caller's, or a fresh one.
        trace: The trace that the caller says it belongs to.
        proxied: Whether it is for the proxy, whose refusals say so.
        trace_id: Of the trace that it belongs to; empty if to none.
        caller: The proven identity; empty before it is proven.
        store_hash: What was decided about; empty if nothing was, or about no store.
        problem: The name of the problem that it is answered with; empty if with none.
        reason: The finer reason behind the problem.
        started: When it came in, on the monotonic clock.
    """

    request_id: str
    trace: TraceContext
    proxied: bool
    trace_id: str = ""
    caller: str = ""
    store_hash: str = ""
    problem: str = ""
    reason: str = ""
    started: float = field(default_factory=time.monotonic)

    def is_about(self, store_hash: str) -> None:
        """Note the store that a decision was about."""
        self.store_hash = store_hash


def begin_visit(request: Request) -> Visit:
    """Return the visit of a request that has just come in."""
    given = request.environ.get("HTTP_X_REQUEST_ID", "")
    request_id = given if _REQUEST_ID.fullmatch(given) else secrets.token_hex(12)
    trace = read_trace_context(
        request.environ.get("HTTP_TRACEPARENT", ""), request.environ.get("HTTP_TRACESTATE", "")
    )
    return Visit(request_id, trace, request.path.startswith("/v1/proxy/"), trace.trace_id)
