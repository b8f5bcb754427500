"""How far long work is, for people at a terminal and for nobody else."""

import contextlib
import os

import pytest

from service.cli.showing import progress


def test_a_terminal_shows_how_far_it_is() -> None:
    """On standard error, so that what is found can be piped away."""
    ours, theirs = os.openpty()
    with os.fdopen(theirs, "w", encoding="utf-8") as terminal, contextlib.redirect_stderr(terminal):
        items = list(progress([1, 2], "looking"))
        terminal.flush()
        shown = os.read(ours, 4096).decode()
    os.close(ours)

    assert items == [1, 2]
    assert "looking" in shown
    assert "100%" in shown


def test_without_a_terminal_there_is_no_bar(capfd: pytest.CaptureFixture[str]) -> None:
    """A log of a job has no use for it."""
    items = list(progress([1, 2], "looking"))

    assert items == [1, 2]
    assert capfd.readouterr() == ("", "")
