"""The words that the code can put into an audit entry's ``reason``, found in the code itself."""

import ast
import re
from pathlib import Path

SERVICE = Path(__file__).parents[2] / "service"
# What they give is the second half of a word: ``token_…``, ``certificate_…``.
_HALVES = ("workload_tokens.py", "spiffe.py")
_WORD = re.compile(r"[a-z][a-z0-9_]*")
#: function → which of its parameters, by place, is a reason
_BY_PLACE = {
    "record": 3,
    "record_own": 2,
    "record_failure": 2,
    "deny": 2,
    "_refuse": 2,
    "_unproven": 0,
    "_rejected": 0,
    "_recorded": 2,
    "_refused": 0,
    "_fail": 0,
}


def reasons() -> set[str]:
    """Return every fixed word that is given as a reason somewhere."""
    found: set[str] = set()
    for path in SERVICE.rglob("*.py"):
        if path.name in _HALVES:
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call):
                found |= _words(node)
    return found


def _words(call: ast.Call) -> set[str]:
    name = getattr(call.func, "attr", getattr(call.func, "id", ""))
    given = [keyword.value for keyword in call.keywords if keyword.arg == "reason"]
    place = _BY_PLACE.get(name)
    if place is not None and len(call.args) > place:
        given.append(call.args[place])
    constants = (node for value in given for node in _constants(value))
    return {text for text in constants if _WORD.fullmatch(text)}


def _constants(value: ast.expr) -> list[str]:
    """Return the text of an expression, or the texts of both branches of a condition."""
    if isinstance(value, ast.IfExp):
        return [*_constants(value.body), *_constants(value.orelse)]
    return [value.value] if isinstance(value, ast.Constant) and isinstance(value.value, str) else []
