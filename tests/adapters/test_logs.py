"""Diagnostics: JSON lines on standard error, without the values of variables."""

import json
import logging
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import structlog
from hypothesis import example, given
from hypothesis import strategies as strings

from service.adapters.logs import _Formatter, _line, configure_logs
from service.core.secret import Secret

pytestmark = pytest.mark.usefixtures("logs_as_before")

ROOT = Path(__file__).resolve().parents[2]
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


@example(text="\x7f", name="structlog")
@given(text=strings.text(), name=strings.sampled_from(["structlog", "logging"]))
def test_a_line_is_one_line_of_printable_ascii(text: str, name: str) -> None:
    """No newline, no escape sequence and no other control character leaves, so that nobody writes a line or colours a terminal."""
    if name == "structlog":
        written = _line(None, "info", {"event": text, "caller": text, text: 1})
    else:
        record = logging.LogRecord("library", logging.INFO, "", 0, "said %s", (text,), None)
        written = _Formatter().format(record)

    assert re.fullmatch(r"[ -~]+", written)
    assert text in json.loads(written)["event"]


@pytest.mark.parametrize("how", ["warning", "main", "thread", "unraisable"])
def test_what_python_would_print_is_a_line_too(how: str) -> None:
    """A warning, and an error that nobody caught: with its kind and place, without its message."""
    code = f"""
import gc, threading, warnings
from service.adapters.logs import configure_logs, log_what_python_prints
configure_logs("info")
log_what_python_prints()
class Unclosable:
    def __del__(self): raise RuntimeError("{CANARY}")
def fail(): raise RuntimeError("{CANARY}")
match "{how}":
    case "warning": warnings.warn("careful")
    case "main": fail()
    case "thread":
        thread = threading.Thread(target=fail, name="lone"); thread.start(); thread.join()
    case "unraisable": Unclosable(); gc.collect()
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=False)  # noqa: S603 — our own interpreter and code

    (line,) = [json.loads(line) for line in done.stderr.splitlines()]
    assert CANARY.encode() not in done.stderr + done.stdout
    assert line["event"].startswith("<string>") or line["error"] == "RuntimeError"
    assert "careful" in line["event"] or how != "warning"


@pytest.mark.parametrize(
    ("level", "shown"), [("warning", 2), ("info", 4), ("error", 0), ("debug", 5)]
)
def test_the_level_bounds_both_kinds_of_loggers(
    capfd: pytest.CaptureFixture[str], level: str, shown: int
) -> None:
    """Ours, and those of the libraries; but these never say what they would to somebody who looks for a defect in them."""
    configure_logs(level)

    for log in (structlog.get_logger(), logging.getLogger("library")):
        log.debug("sent and received")
        log.info("said")
        log.warning("warned")

    assert len(_lines(capfd)) == shown
