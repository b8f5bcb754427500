"""docs/failure-modes.md is whole, and what it names is there."""

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
PAGE = (TESTS.parent / "docs" / "failure-modes.md").read_text("utf-8")
ROWS = re.findall(r"^\| (F[0-9]+k?) \|.*\| (`.+`) \|$", PAGE, re.MULTILINE)
NAMED = [(row, name) for row, cell in ROWS for name in re.findall(r"`([^`]+)`", cell)]


def test_every_row_has_what_shows_it() -> None:
    """Once, in order."""
    assert [row for row, _ in ROWS] == [f"F{n}k" for n in range(40, 46)] + [
        f"F{n}" for n in range(70, 83)
    ]


@pytest.mark.parametrize(("row", "name"), NAMED)
def test_what_shows_a_row_is_there(row: str, name: str) -> None:
    """A file of tests, or one test in it."""
    file, _, test = name.partition("::")

    text = (TESTS / file).read_text("utf-8")
    assert f"def {test or 'test_'}" in text, row
