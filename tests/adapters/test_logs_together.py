"""Log lines of several threads and libraries at a time, and lines that do not fit."""

import logging
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import structlog

from service.adapters.logs import configure_logs

LINES = 300


def test_our_lines_and_those_of_libraries_do_not_get_in_each_others_way(
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Eight threads, two ways of logging: every line is there, and nothing is raised."""
    configure_logs("info")
    together = threading.Barrier(8)

    def write(number: int) -> None:
        together.wait(5)
        for _ in range(LINES):
            if number % 2:
                structlog.get_logger().info("ours")
            else:
                logging.getLogger("library").info("theirs")

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(write, range(8)))

    assert capfd.readouterr().err.count("\n") == 8 * LINES


def test_arguments_that_do_not_fit_their_line_are_not_printed(
    capfd: pytest.CaptureFixture[str],
) -> None:
    """The standard library would print them to standard error with a stack."""
    configure_logs("info")

    logging.getLogger("library").warning("a %d", "canary")

    assert "canary" not in capfd.readouterr().err


def test_a_line_that_could_block_is_replaced(capfd: pytest.CaptureFixture[str]) -> None:
    """A pipe takes a small line whole or not at all; a large one it would make wait."""
    configure_logs("info")

    structlog.get_logger().info("x", many="y" * 10_000)

    assert capfd.readouterr().err.splitlines() == [
        '{"level": "warning", "event": "a line was too long to be written"}'
    ]
