"""The audit chain: every line carries the hash of the one before, and any edit shows."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core.audit import AuditEntry, Chain, unlink
from tests.support.clock import START

ENTRY = AuditEntry(
    START,
    "r-1",
    "corp:ops-anna",
    "reference.mint",
    "allowed",
    "abc123",
    "cba_x",
    "k8s:a/b",
    "minter",
)
FROZEN = (
    b'{"v":1,"time":"2026-11-23T12:00:00.000Z","writer":"w1","seq":1,"request_id":"r-1","caller":"corp:ops-anna",'
    b'"action":"reference.mint","store_hash":"abc123","accessor":"cba_x","subject":"k8s:a/b","outcome":"allowed","reason":"minter"'
    b","
    b'"prev":"0000000000000000000000000000000000000000000000000000000000000000",'
    b'"hash":"b4920c608bf3dacc403e18e59a4d9eb527b5a146cc68c636fa0ecc81ad465c2f"}\n'
)


def written(chain: Chain, entry: AuditEntry) -> bytes:
    """Link an entry and move on, as a sink does."""
    line, digest = chain.link(entry)
    chain.advance(digest)
    return line


def intact(line: bytes) -> bool:
    """Tell whether a line is one and its hash fits."""
    try:
        return unlink(line)[1]
    except ValueError:
        return False


def test_the_first_line_is_written_as_the_first_release_wrote_it() -> None:
    """Whoever keeps audit files for years can verify them with today's format."""
    assert written(Chain("w1"), ENTRY) == FROZEN
    assert unlink(FROZEN)[1]


def test_each_line_names_the_hash_of_the_one_before() -> None:
    """The chain starts at 64 zeros and counts from 1."""
    chain = Chain("w1")

    lines = [json.loads(written(chain, replace(ENTRY, request_id=f"r-{n}"))) for n in range(4)]

    assert [line["seq"] for line in lines] == [1, 2, 3, 4]
    assert [line["prev"] for line in lines] == ["0" * 64, *(line["hash"] for line in lines[:3])]
    assert chain.head.hash == lines[-1]["hash"]


def test_the_chain_stays_where_it_is_until_a_line_was_written() -> None:
    """A write that failed leaves no gap."""
    chain = Chain("w1")

    first, _ = chain.link(ENTRY)
    again, _ = chain.link(ENTRY)

    assert first == again
    assert (chain.head.seq, chain.head.hash) == (0, "0" * 64)


@given(text=st.text(max_size=30))
def test_no_text_in_an_entry_can_break_out_of_its_line(text: str) -> None:
    """Line feeds, quotes and anything else that a request id or identity might hold are escaped."""
    line = written(Chain("w1"), replace(ENTRY, request_id=text, caller=text))

    fields, fits = unlink(line)

    assert line.count(b"\n") == 1
    assert fits
    assert fields["request_id"] == fields["caller"] == text


@given(place=st.integers(0, len(FROZEN) - 2), value=st.integers(0, 255))
def test_any_changed_byte_of_a_line_is_found(place: int, value: int) -> None:
    """In the content, in the hash, and in between."""
    altered = bytearray(FROZEN)
    altered[place] = value
    if bytes(altered) == FROZEN:
        return

    assert not intact(bytes(altered))


def test_any_inserted_or_removed_byte_of_a_line_is_found() -> None:
    """Also a space that JSON would not mind."""
    for place in range(len(FROZEN) - 1):
        byte = FROZEN[place : place + 1]
        for replacement in (b"", byte + b" ", b" " + byte):
            assert not intact(FROZEN[:place] + replacement + FROZEN[place + 1 :])


@pytest.mark.parametrize(
    "line",
    [b"", b"\n", b"garbage", b"[]", b'"x"', b"{}", b'{"hash":1}', b'{"v":1,"hash":null}', b"\xff"],
)
def test_what_is_no_audit_line_is_an_error(line: bytes) -> None:
    """A line of something else is not mistaken for an edited one."""
    with pytest.raises(ValueError):  # noqa: PT011 — the text is the JSON parser's or ours, the kind is the promise
        unlink(line)
