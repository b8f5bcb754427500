"""Diagnostics: JSON lines on standard error, without the values of variables."""

import json
import logging
from typing import Any

import pytest
import structlog

from service.adapters.logs import configure_logs
from service.core.secret import Secret

pytestmark = pytest.mark.usefixtures("logs_as_before")

CANARY = "canary-password-in-a-frame"


def _lines(capfd: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    written = capfd.readouterr()
    assert written.out == ""
    return [json.loads(line) for line in written.err.splitlines()]


def _fail(password: str) -> None:
    sealed = Secret(password)
    raise RuntimeError(f"failed with {password} and {sealed}")


@pytest.mark.parametrize("through", ["structlog", "logging"])
def test_a_traceback_shows_where_and_no_values(
    capfd: pytest.CaptureFixture[str], through: str
) -> None:
    """A password in a frame or in a message is a value like any other."""
    configure_logs("info")
    try:
        _fail(CANARY)
    except RuntimeError:
        if through == "structlog":
            structlog.get_logger().exception("it failed")
        else:
            logging.getLogger("library").exception("it failed")

    (line,) = _lines(capfd)
    assert line["event"] == "it failed"
    assert line["level"] == "error"
    assert line["error"] == "RuntimeError"
    assert any(place.endswith(" _fail") for place in line["at"])
    assert "exc_info" not in line
    assert CANARY not in json.dumps(line)


@pytest.mark.parametrize("given", [RuntimeError(CANARY), True, False])
def test_an_exception_is_given_or_found_or_there_is_none(
    capfd: pytest.CaptureFixture[str], *, given: bool | RuntimeError
) -> None:
    """Whichever way a line is told of it, only its kind is written; and a line without one is a line."""
    configure_logs("info")

    structlog.get_logger().error("it failed", exc_info=given)

    (line,) = _lines(capfd)
    assert line.get("error") == ("RuntimeError" if isinstance(given, RuntimeError) else None)
    assert CANARY not in json.dumps(line)


def test_a_line_is_json_with_time_and_level(capfd: pytest.CaptureFixture[str]) -> None:
    """One object a line, whatever is in the values."""
    configure_logs("debug")

    structlog.get_logger().debug("a\nb", store_hash="abc123", token=Secret(CANARY))

    (line,) = _lines(capfd)
    assert (line["event"], line["level"], line["store_hash"]) == ("a\nb", "debug", "abc123")
    assert line["time"].endswith("Z")
    assert CANARY not in json.dumps(line)


@pytest.mark.parametrize(("level", "shown"), [("warning", 2), ("info", 4), ("error", 0)])
def test_the_level_bounds_both_kinds_of_loggers(
    capfd: pytest.CaptureFixture[str], level: str, shown: int
) -> None:
    """Ours, and those of the libraries."""
    configure_logs(level)

    for log in (structlog.get_logger(), logging.getLogger("library")):
        log.info("said")
        log.warning("warned")

    assert len(_lines(capfd)) == shown
