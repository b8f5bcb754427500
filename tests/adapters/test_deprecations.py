"""What the upstream announces: read from every answer, told once, and never a reason for anything to fail."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs
from structlog.typing import EventDict

from service.adapters.deprecations import Deprecations
from service.adapters.metrics import Metrics
from service.core.secret import Secret
from tests.adapters.calling import STORE, get, read, upstream_to
from tests.support.wire import answer, answering, scripted_server

DATE = "Sun, 11 Nov 2018 23:59:59 GMT"
MOMENT = datetime(2018, 11, 11, 23, 59, 59, tzinfo=UTC).timestamp()


@pytest.fixture
def logs() -> Iterator[list[EventDict]]:
    """The log lines of the test."""
    structlog.reset_defaults()
    with capture_logs() as lines:
        yield lines


@pytest.mark.parametrize(
    ("value", "moment"),
    [
        ("@1688169599", 1688169599.0),
        (" @1688169599 ", 1688169599.0),
        ("@0", 0.0),
        (DATE, MOMENT),
        ("true", 1.0),
        ("?1", 1.0),
        ("TRUE", 1.0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 253402300799.0),
    ],
)
def test_an_announcement_is_told_and_logged_once(
    logs: list[EventDict], value: str, moment: float
) -> None:
    """However many answers carry it; another value is another announcement."""
    told: list[tuple[str, float]] = []
    watching = Deprecations(lambda *announced: told.append(announced))

    for _ in range(3):
        watching.note("deprecation", value)
        watching.note("sunset", value)
    watching.note("sunset", "@99")

    assert told == [("deprecation", moment), ("sunset", moment), ("sunset", 99.0)]
    assert [line["kind"] for line in logs] == ["deprecation", "sunset", "sunset"]
    assert {line["event"] for line in logs} == {"upstream_announces"}


@pytest.mark.parametrize(
    "value",
    [
        "",
        "false",
        "?0",
        "soon",
        "@",
        "@-1",
        "@1.5",
        "@" + "9" * 12,
        "@१२३",
        "31 Feb 2026",
        "Fri, 31 Dec 9999 23:59:59 -0500",
        "Mon, 01 Jan 2024 00:00:00 +9999",
        "1688169599",
        "\x00",
    ],
)
def test_what_cannot_be_read_is_no_announcement(logs: list[EventDict], value: str) -> None:
    """The upstream's text reaches neither metric nor log."""
    told: list[tuple[str, float]] = []

    Deprecations(lambda *announced: told.append(announced)).note("sunset", value)

    assert (told, logs) == ([], [])


@given(st.text(st.characters(max_codepoint=0xFF), max_size=60))
def test_no_header_is_a_reason_to_fail(value: str) -> None:
    """It is read on the way of every proxied answer."""
    Deprecations(lambda *_: None).note("sunset", value)


@given(st.datetimes(), st.integers(-2400, 2400))
def test_no_date_is_a_reason_to_fail(moment: datetime, zone: int) -> None:
    """Not even one at the end of time."""
    value = f"{moment:%a, %d %b} {moment.year:04} {moment:%H:%M:%S} {zone:+05}"

    Deprecations(lambda *_: None).note("sunset", value)


def test_answers_to_callers_and_to_the_broker_itself_are_both_watched() -> None:
    """Whatever goes through: proxied requests, checks, lists."""
    announcing = answer(
        b'{"code":200,"data":[]}', "200 OK", "Deprecation: @1759190400", f"Sunset: {DATE}"
    )
    later = answer(b"{}", "200 OK", "Sunset: @1800000000")
    with (
        scripted_server(answering(announcing, later)) as server,
        upstream_to(f"http://127.0.0.1:{server.port}") as upstream,
    ):
        upstream.check(STORE, "auth_token", Secret("t" * 20))
        response = upstream.exchange(get())
        read(response)  # type: ignore[arg-type]  # the adapter's own response

    assert upstream.announced == [
        ("deprecation", 1759190400.0),
        ("sunset", MOMENT),
        ("sunset", 1800000000.0),
    ]


def test_the_moments_are_metrics() -> None:
    """Zero while nothing is announced."""
    metrics = Metrics()
    before = metrics.exposition()[0].decode()
    metrics.upstream_announced("sunset", MOMENT)
    metrics.upstream_announced("deprecation", 1.0)
    after = metrics.exposition()[0].decode()

    assert "b2b_broker_upstream_sunset_timestamp_seconds 0.0" in before
    assert f"b2b_broker_upstream_sunset_timestamp_seconds {MOMENT}" in after.replace(
        "1.541980799e+09", str(MOMENT)
    )
    assert "b2b_broker_upstream_deprecation_timestamp_seconds 1.0" in after
