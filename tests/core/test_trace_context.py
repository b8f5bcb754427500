"""W3C Trace Context: what is read as a trace, and what is told on."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core.trace_context import NO_TRACE, TraceContext, read_trace_context

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{TRACE_ID}-00f067aa0ba902b7-01"


@pytest.mark.parametrize(
    "state",
    [
        "",
        "rojo=00f067aa0ba902b7",
        "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE",
        "rojo=1 , congo=2\t,",
        "fw529a3039@dt=FfFfFfFf, a_-*/=!~ x",
        ",".join(f"k{number}=v" for number in range(32)),
        "a=" + "x" * 256,
    ],
)
def test_a_state_is_told_as_it_came(state: str) -> None:
    """Beside a parent that can be read."""
    assert read_trace_context(PARENT, state) == TraceContext(TRACE_ID, PARENT, state)


@pytest.mark.parametrize(
    "state",
    [
        "no member",
        "=value",
        "a=",
        "A=1",
        "a=1=2",
        "a=1,a=2",
        "a=\x7f",
        "a=é",
        "a=1\n",
        "a=1\r\nauthToken: x",
        "a=" + "x" * 257,
        ",".join(f"k{number}=v" for number in range(33)),
        ",".join(f"k{number:08d}=valuevalue" for number in range(30)),
        ",",
    ],
)
def test_a_state_that_cannot_be_read_is_left_out(state: str) -> None:
    """The trace goes on without it."""
    assert read_trace_context(PARENT, state) == TraceContext(TRACE_ID, PARENT)


@pytest.mark.parametrize(
    ("parent", "known"),
    [
        (PARENT, True),
        (f"cc-{TRACE_ID}-00f067aa0ba902b7-01-later", True),
        (f"00-{TRACE_ID}-00f067aa0ba902b7-01-later", False),
        (f"{PARENT}\n", False),
        (f"cc-{TRACE_ID}-00f067aa0ba902b7-01-{'x' * 500}", False),
        ("", False),
    ],
)
def test_only_a_later_version_may_have_more_fields(parent: str, *, known: bool) -> None:
    """And nothing that is long is carried around."""
    assert bool(read_trace_context(parent, "a=1").trace_id) == known


@given(parent=st.text(), state=st.text())
def test_whatever_is_told_on_is_printable(parent: str, state: str) -> None:
    """No header can be made of it that was not meant."""
    found = read_trace_context(parent, state)

    assert found == NO_TRACE or all(value.isprintable() for _, value in found.headers)
    assert read_trace_context(PARENT, state).state in ("", state)
