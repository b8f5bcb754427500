"""JSON from outside, read strictly: what two parsers could understand differently is refused.

``json.loads`` keeps the last of duplicate members, accepts ``NaN``, and raises ``RecursionError`` on deep nesting. Here each of these
is the same error, and so is a lone surrogate, which is no character and breaks whoever writes it later.

Used for callers' bodies, tokens and the upstream's answers alike.

Source: RFC 8259 §4 (names should be unique), §6 (no NaN or Infinity); RFC 7515 §4 (duplicates in a JOSE header).
"""

import json
import math
from typing import Any, NoReturn


class BadJsonError(ValueError):
    """It is not JSON that everyone reads the same way. The text never shows the input."""


def parse_json(body: bytes) -> Any:
    """Return the value that ``body`` (UTF-8) writes.

    Raises:
        BadJsonError: Not JSON, not UTF-8, nested too deep, duplicate members, or a number that is none.
    """
    try:
        value = json.loads(
            body.decode("utf-8"),
            object_pairs_hook=_unique,
            parse_constant=_refuse,
            parse_float=_finite,
        )
        if b"\\u" in body:
            json.dumps(value, ensure_ascii=False).encode("utf-8")  # fails for a lone surrogate
    except (ValueError, RecursionError):
        raise BadJsonError("the body is not strict JSON") from None
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("duplicate member")
    return members


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("too large")
    return number


def _refuse(_constant: str) -> NoReturn:
    raise ValueError("not a number")
