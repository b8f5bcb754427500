"""Strict JSON: what two parsers could read differently is refused, always with the same error."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core.strict_json import BadJsonError, parse_json

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=10,
)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"  ", id="blank"),
        pytest.param(b"{", id="cut"),
        pytest.param(b"{} {}", id="two values"),
        pytest.param(b"{'a': 1}", id="single quotes"),
        pytest.param(b'{"a": 1,}', id="trailing comma"),
        pytest.param(b'{"a": 1, "a": 1}', id="duplicate"),
        pytest.param(b'{"a": 1, "\\u0061": 2}', id="duplicate behind an escape"),
        pytest.param(b'[{"x": {"a": 1, "a": 2}}]', id="nested duplicate"),
        pytest.param(b"NaN", id="NaN"),
        pytest.param(b'{"a": Infinity}', id="Infinity"),
        pytest.param(b"[-Infinity]", id="-Infinity"),
        pytest.param(b"[" * 100_000, id="deep"),
        pytest.param(b'{"a":' * 100_000 + b"1" + b"}" * 100_000, id="deep objects"),
        pytest.param(b"9" * 5_000, id="endless number"),
        pytest.param(b"1e400", id="number beyond all bounds"),
        pytest.param(b'{"a": -1e400}', id="negative number beyond all bounds"),
        pytest.param(b'"\xff"', id="not UTF-8"),
        pytest.param(b'"\xc0\xaf"', id="overlong UTF-8"),
        pytest.param(b'"\xed\xa0\x80"', id="surrogate in UTF-8"),
        pytest.param(b'"\\ud800"', id="lone surrogate"),
        pytest.param(b'{"\\udc00x": 1}', id="lone surrogate in a name"),
        pytest.param(b"\xef\xbb\xbf{}", id="byte order mark"),
        pytest.param('{"a": 1}'.encode("utf-16"), id="UTF-16"),
        pytest.param('{"a": 1}'.encode("utf-32"), id="UTF-32"),
        pytest.param(b'"a\x00b"', id="control character"),
        pytest.param(b"<html>canary</html>", id="HTML"),
    ],
)
def test_what_is_not_strict_json_is_one_error_that_shows_nothing(body: bytes) -> None:
    """Every way of being wrong looks alike, and no input is quoted or chained."""
    with pytest.raises(BadJsonError) as refused:
        parse_json(body)

    assert str(refused.value) == "the body is not strict JSON"
    assert refused.value.__suppress_context__


@given(value=VALUES)
def test_any_ordinary_value_is_read_as_json_reads_it(value: Any) -> None:
    """Strictness costs honest callers nothing, with or without escapes."""
    assert parse_json(json.dumps(value).encode()) == value
    assert parse_json(json.dumps(value, ensure_ascii=False).encode()) == value


@pytest.mark.parametrize("text", ["0.5", "-1.25e3", "1e-400", "1.7976931348623157e308"])
def test_a_fraction_is_read_as_json_reads_it(text: str) -> None:
    """Up to the largest there is."""
    assert parse_json(text.encode()) == json.loads(text)


@given(body=st.binary(max_size=60))
def test_no_bytes_cause_any_other_error(body: bytes) -> None:
    """Whoever parses needs to know one error only."""
    try:
        parse_json(body)
    except BadJsonError as error:
        refused = str(error)
    else:
        refused = ""

    assert refused in ("", "the body is not strict JSON")
