"""Diagnostics: one JSON object a line on standard error. Decisions go to the audit trail, not here.

Of an exception only its kind and the places it went through are kept: its message or the variables of a frame could hold a password.
"""

import contextlib
import json
import logging
import os
import select
import sys
import traceback
from datetime import UTC, datetime
from typing import Any, TextIO, cast

import structlog

_STDERR = 2
_TOO_LONG = b'{"level": "warning", "event": "a line was too long to be written"}\n'
_MOST_FRAMES = 12
_encode = json.JSONEncoder(default=repr).encode


def _line(_logger: Any, method: str, event: structlog.typing.EventDict) -> str:
    """Return the line of an event. One function instead of a chain of them, because every request writes one."""
    error = event.pop("exc_info", None)
    if error is True:
        error = sys.exc_info()[1]
    if isinstance(error, tuple):
        error = error[1]
    if isinstance(error, BaseException):
        # Its kind and the places it went through: its message may quote what nobody should read.
        frames = traceback.extract_tb(error.__traceback__)
        event["error"] = type(error).__name__
        event["at"] = [
            f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames[-_MOST_FRAMES:]
        ]
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return _encode({"time": now, "level": method, **event})


class _Formatter(logging.Formatter):
    """Writes the records of other libraries in the same form."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record."""
        event = {"event": record.getMessage(), "logger": record.name, "exc_info": record.exc_info}
        return _line(None, record.levelname.lower(), event)


class _LossyStream:
    """Standard error that loses lines instead of waiting for a reader: diagnostics must never stop the service."""

    def write(self, text: str) -> None:
        """Write a line in one go, if somebody takes it."""
        line = text.encode("utf-8", "backslashreplace")
        if len(line) > select.PIPE_BUF:  # more could block even where some could be written
            line = _TOO_LONG
        if select.select((), (_STDERR,), (), 0)[1]:
            with contextlib.suppress(OSError):
                os.write(_STDERR, line)

    def flush(self) -> None:
        """Do nothing: nothing is held back."""


def configure_logs(level: str) -> None:
    """Make structlog and the standard library's loggers write JSON lines to standard error."""
    stream = _LossyStream()
    structlog.configure(
        processors=[_line],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(file=cast("TextIO", stream)),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(cast("TextIO", stream))
    handler.setFormatter(_Formatter())
    # It quotes what it could not parse of an answer.
    logging.getLogger("urllib3").setLevel(logging.CRITICAL)
    # A line whose arguments do not fit would be printed with them.
    logging.raiseExceptions = False
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
