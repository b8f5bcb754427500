"""What is known of the request at hand, for its problem and its log line."""

import re
import secrets
import time
from dataclasses import dataclass, field

from werkzeug import Request

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
_TRACE_PARENT = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?:-.*)?", re.ASCII
)


@dataclass(slots=True)
class Visit:
    """One request, as far as it got.

    Attributes:
        request_id: The caller's, or a fresh one.
        trace_id: Of the W3C trace that it belongs to; empty if to none.
        proxied: Whether it is for the proxy, whose refusals say so.
        caller: The proven identity; empty before it is proven.
        store_hash: What was decided about; empty if nothing was, or about no store.
        problem: The name of the problem that it is answered with; empty if with none.
        reason: The finer reason behind the problem.
        started: When it came in, on the monotonic clock.
    """

    request_id: str
    trace_id: str
    proxied: bool
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
    # W3C Trace Context §3.2; a trace that is not one is none.
    parent = request.environ.get("HTTP_TRACEPARENT", "")
    trace = _TRACE_PARENT.fullmatch(parent) if parent else None
    return Visit(request_id, trace[1] if trace else "", request.path.startswith("/v1/proxy/"))
