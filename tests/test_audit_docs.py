"""docs/audit.md is true: its tables are what the code writes."""

import json
import re
from pathlib import Path
from typing import get_args

import pytest

from service.core.audit import OWN_ACTIONS, AuditEntry, Chain, Outcome
from service.core.audit_ocsf import CLASSES
from service.core.audit_report import Broken, Note, Unproven
from service.core.audit_schema import audit_schema
from service.core.policy import ACTIONS
from tests.support.audit_words import SERVICE, reasons
from tests.support.clock import START

DOCS = (Path(__file__).parents[1] / "docs" / "audit.md").read_text("utf-8")
SOURCES = "\n".join(path.read_text("utf-8") for path in SERVICE.rglob("*.py"))


def _rows(name: str) -> list[list[str]]:
    """Return the cells of a table's rows."""
    table = DOCS.partition(f"<!-- {name} -->\n")[2].partition(f"<!-- /{name} -->")[0]
    return [line.strip("| \n").split(" | ") for line in table.splitlines()[2:]]


def _words(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


REASONS = [word for row in _rows("reasons") for word in _words(row[0])]
FAMILIES = tuple(word.rstrip("*") for word in REASONS if word.endswith("*"))
WORDS = sorted({word for word in REASONS if not word.endswith("*")})


def test_the_fields_are_those_of_a_line_and_of_the_schema() -> None:
    """In the order of a line."""
    line, _ = Chain("0" * 16).link(AuditEntry(START, "r", "c", "whoami", "allowed"))

    fields = [_words(row[0])[0] for row in _rows("fields")]

    assert fields == list(json.loads(line))
    assert set(fields) == set(audit_schema()["properties"])


def test_the_outcomes_are_those_of_the_code() -> None:
    """Each with its meaning."""
    assert [_words(row[0])[0] for row in _rows("outcomes")] == list(get_args(Outcome))


def test_the_actions_and_their_ocsf_classes_are_those_of_the_code() -> None:
    """Policy's and the broker's own."""
    documented = {_words(row[0])[0]: (int(row[2]), int(row[3])) for row in _rows("actions")}

    assert set(documented) == {*ACTIONS, *OWN_ACTIONS}
    assert documented == CLASSES


def test_every_reason_of_the_code_is_documented() -> None:
    """By itself, or as one of a family."""
    assert {word for word in reasons() if not word.startswith(FAMILIES)} <= set(WORDS)


@pytest.mark.parametrize("word", WORDS)
def test_every_documented_reason_is_one_of_the_code(word: str) -> None:
    """What is gone leaves the table."""
    assert f'"{word}"' in SOURCES


def test_the_findings_and_their_exit_codes_are_those_of_the_code() -> None:
    """In the order of their severity."""
    codes = {Broken: 1, Unproven: 4, Note: 0}

    assert [(_words(row[0])[0], int(row[1])) for row in _rows("findings")] == [
        (kind, code) for kinds, code in codes.items() for kind in get_args(kinds)
    ]
