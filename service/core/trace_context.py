"""The trace that a request belongs to, as its caller tells it. What is malformed is no trace, and goes no further.

Source: W3C Trace Context (https://www.w3.org/TR/trace-context/) §3.2, §3.3.
"""

import re
from dataclasses import dataclass

_PARENT = re.compile(
    r"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-.*)?", re.ASCII
)
_KEY = r"(?:[a-z][a-z0-9_*/-]{0,255}|[a-z0-9][a-z0-9_*/-]{0,240}@[a-z][a-z0-9_*/-]{0,13})"
_VALUE = r"[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]"
_MEMBER = re.compile(rf"{_KEY}={_VALUE}", re.ASCII)
_MOST_MEMBERS = 32
_LONGEST = 512
"""Characters of either header. The standard asks that at least so many of a tracestate are passed on."""
_FIRST_VERSION = "00"


@dataclass(frozen=True, slots=True)
class TraceContext:
    """A trace; everything is empty for none.

    Attributes:
        trace_id: 32 hexadecimal digits.
        parent: The ``traceparent`` header.
        state: The ``tracestate`` header; empty if there is none, or none that can be read.
    """

    trace_id: str = ""
    parent: str = ""
    state: str = ""

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        """The headers that tell it to the next one."""
        named = (("traceparent", self.parent), ("tracestate", self.state))
        return tuple((name, value) for name, value in named if value)


NO_TRACE = TraceContext()


def read_trace_context(parent: str, state: str) -> TraceContext:
    """Return the trace of a request's two headers; several of one name are joined by commas."""
    if not parent or len(parent) > _LONGEST:
        return NO_TRACE
    found = _PARENT.fullmatch(parent)
    # Only later versions may have something behind the four fields.
    if found is None or (found[1] == _FIRST_VERSION and found[3]):
        return NO_TRACE
    return TraceContext(found[2], parent, state if _is_state(state) else "")


def _is_state(state: str) -> bool:
    members = [member.strip(" \t") for member in state.split(",") if member.strip(" \t")]
    keys = {member.partition("=")[0] for member in members}
    return (
        len(state) <= _LONGEST
        and 0 < len(members) <= _MOST_MEMBERS
        and len(keys) == len(members)
        and all(_MEMBER.fullmatch(member) for member in members)
    )
