"""Diagnostics must never stop the service: lines are lost when nobody reads them, and libraries quote nothing."""

import contextlib
import json
import logging
import os
import threading
from collections.abc import Iterator

import pytest
import structlog

from service.adapters.logs import _LossyStream, configure_logs, count_lost_lines

pytestmark = pytest.mark.usefixtures("logs_as_before")

CANARY = "canary-line-of-an-answer"


class Pipe:
    """A pipe as standard error, and who reads it."""

    def __init__(self) -> None:
        self._reading, self._writing = os.pipe()
        os.set_blocking(self._reading, False)
        self._before = os.dup(2)
        os.dup2(self._writing, 2)

    def fill(self) -> int:
        """Write until it takes no more, and return how much it took."""
        descriptor, size = self._writing, 0
        os.set_blocking(descriptor, False)
        try:
            while True:
                size += os.write(descriptor, b"x" * 4096)
        except BlockingIOError:
            return size
        finally:
            os.set_blocking(descriptor, True)

    def read(self) -> bytes:
        """Return all that is in it."""
        content = b""
        try:
            while more := os.read(self._reading, 65_536):
                content += more
        except BlockingIOError:
            pass
        return content

    def close(self) -> None:
        """Put standard error back."""
        os.dup2(self._before, 2)
        for descriptor in (self._reading, self._writing, self._before):
            os.close(descriptor)


@contextlib.contextmanager
def piped() -> Iterator[Pipe]:
    """Put a pipe in the place of standard error for the length of a block; pytest puts its own there between fixtures."""
    pipe = Pipe()
    try:
        configure_logs("info")
        yield pipe
    finally:
        pipe.close()


def _log(count: int) -> None:
    for number in range(count):
        structlog.get_logger().info("ours", number=number)
        logging.getLogger("library").warning("theirs")


def test_lines_are_lost_while_nobody_reads_them_and_written_again_afterwards() -> None:
    """A full pipe keeps nobody waiting."""
    with piped() as pipe:
        filled = pipe.fill()
        logging_thread = threading.Thread(target=_log, args=(100,), daemon=True)
        logging_thread.start()
        logging_thread.join(5)
        waiting = logging_thread.is_alive()
        before = pipe.read()

        _log(1)

        lines = [json.loads(line) for line in pipe.read().splitlines()]
    assert not waiting
    assert before == b"x" * filled
    assert [line["event"] for line in lines] == ["lines_lost", "ours", "theirs"]
    assert lines[0]["count"] == 200


def test_what_is_lost_is_counted() -> None:
    """The lines are gone, their number is not."""
    told: list[None] = []
    with piped() as pipe:
        count_lost_lines(lambda: told.append(None))
        _log(1)
        before = len(told)
        pipe.fill()

        _log(5)

    assert (before, len(told)) == (0, 10)


def test_a_pipe_is_written_to_by_a_way_of_our_own_that_never_blocks() -> None:
    """Another process may fill it between a look and a write; and the way that both were given stays as it was for the other."""
    with piped() as pipe:
        pipe.fill()
        stream = _LossyStream()

        assert stream._own is not None
        with pytest.raises(BlockingIOError):
            os.write(stream._own, b"x")
        assert os.get_blocking(2)
        os.close(stream._own)


@pytest.mark.parametrize("level", ["debug", "info"])
def test_what_urllib3_says_of_an_answer_is_in_no_line(
    capfd: pytest.CaptureFixture[str], level: str
) -> None:
    """It quotes what it could not parse."""
    configure_logs(level)

    for name in ("urllib3", "urllib3.connection", "urllib3.connectionpool"):
        logging.getLogger(name).warning("Failed to parse headers: %s", CANARY)
        logging.getLogger(name).error(CANARY)

    assert capfd.readouterr().err == ""
