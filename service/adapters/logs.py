"""Diagnostics: one JSON object a line on standard error. Decisions go to the audit trail, not here.

Of an exception only its kind and the places it went through are kept: its message or the variables of a frame could hold a password.
"""

import json
import logging
import os
import select
import stat
import sys
import threading
import traceback
from collections.abc import Callable
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
    # JSON escapes control characters and all that is not ASCII, but for one.
    return _encode({"time": now, "level": method, **event}).replace("\x7f", "\\u007f")


class _Formatter(logging.Formatter):
    """Writes the records of other libraries in the same form."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record."""
        event = {"event": record.getMessage(), "logger": record.name, "exc_info": record.exc_info}
        return _line(None, record.levelname.lower(), event)


class _LossyStream:
    """Standard error that loses lines instead of waiting for a reader: diagnostics must never stop the service.

    What is lost is counted, and told as soon as lines are taken again.
    """

    def __init__(self) -> None:
        self.tell_loss: Callable[[], None] | None = None
        self._lock = threading.RLock()  # a signal's handler may log in the middle of it
        self._lost = 0
        self._own = _own_pipe_end()

    def write(self, text: str) -> None:
        """Write a line in one go, if somebody takes it."""
        line = text.encode("utf-8", "backslashreplace")
        if len(line) > select.PIPE_BUF:  # more could block even where some could be written
            line = _TOO_LONG
        if self._lost:
            self._admit_loss()
        if not self._put(line):
            self._lose()

    def flush(self) -> None:
        """Do nothing: nothing is held back."""

    def _admit_loss(self) -> None:
        with self._lock:
            lost, self._lost = self._lost, 0
        if not self._put(
            f"{_line(None, 'warning', {'event': 'lines_lost', 'count': lost})}\n".encode()
        ):
            with self._lock:
                self._lost += lost

    def _lose(self) -> None:
        with self._lock:
            self._lost += 1
        if self.tell_loss is not None:
            self.tell_loss()

    def _put(self, line: bytes) -> bool:
        try:
            if self._own is not None:
                return os.write(self._own, line) == len(line)
            if select.select((), (_STDERR,), (), 0)[1]:
                return os.write(_STDERR, line) == len(line)
        except OSError:  # full, or nobody reads it any more
            pass
        return False


def _own_pipe_end() -> int | None:
    """Return a way of our own into the pipe that standard error is, which never blocks; None where it is no pipe, or not ours to open.

    The one that we were given may be shared with other processes: to make it non-blocking would be theirs too, and another worker may
    fill the pipe between our look at it and our write.
    """
    try:
        if stat.S_ISFIFO(os.fstat(_STDERR).st_mode):
            return os.open(f"/proc/self/fd/{_STDERR}", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        pass
    return None


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
    # What libraries say below that is the traffic itself: botocore's would be the plaintext of a key that AWS KMS has just unwrapped.
    root.setLevel(max(logging.INFO, logging.getLevelNamesMapping()[level.upper()]))


def count_lost_lines(tell: Callable[[], None]) -> None:
    """Let somebody know of each line that is lost from now on."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.StreamHandler) and isinstance(handler.stream, _LossyStream):
            handler.stream.tell_loss = tell


def log_what_python_prints() -> None:
    """Write Python's own warnings, and errors that nobody caught, as lines too.

    It would print an error's message, which may quote a secret.
    """
    logging.captureWarnings(capture=True)
    log = structlog.get_logger()
    sys.excepthook = lambda _kind, error, _trace: log.critical("uncaught", exc_info=error)
    sys.unraisablehook = lambda caught: log.error("unraisable", exc_info=caught.exc_value)
    threading.excepthook = lambda caught: log.critical(
        "uncaught_in_thread",
        thread=caught.thread.name if caught.thread else "",
        exc_info=caught.exc_value,
    )
