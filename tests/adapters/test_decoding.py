"""Compressed answers are undone whole, however they are cut, and a part is never taken for the whole."""

import gzip
import zlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.adapters.decoding import decoded

PIECE = 64
FORMS: dict[str, Callable[[bytes], bytes]] = {"gzip": gzip.compress, "zlib": zlib.compress}


@pytest.mark.parametrize("form", FORMS)
@given(plain=st.binary(max_size=1000), width=st.integers(1, 200), repeats=st.integers(1, 30))
def test_what_was_compressed_comes_out_in_bounded_pieces(
    form: str, plain: bytes, width: int, repeats: int
) -> None:
    """Whatever the chunks, and also where the data expands."""
    wire = FORMS[form](plain * repeats)

    pieces = list(decoded(_cut(wire, width), PIECE))

    assert b"".join(pieces) == plain * repeats
    assert all(0 < len(piece) <= PIECE for piece in pieces)


@pytest.mark.parametrize("form", FORMS)
def test_a_part_is_never_taken_for_the_whole(form: str) -> None:
    """Wherever it breaks off but before its first byte."""
    wire = FORMS[form](bytes(range(256)))

    for end in range(1, len(wire)):
        with pytest.raises(ValueError, match="breaks off"):
            list(decoded([wire[:end]], PIECE))


def test_several_members_are_one_content() -> None:
    """As RFC 1952 has it, also where a member ends within a chunk."""
    wire = gzip.compress(b"one ") + gzip.compress(b"") + gzip.compress(b"two")

    assert b"".join(decoded(_cut(wire, 7), PIECE)) == b"one two"


@pytest.mark.parametrize("tail", [b"\0", b"surplus", gzip.compress(b"more")[:-1]])
def test_what_follows_has_to_be_another_member(tail: bytes) -> None:
    """Anything else behind a member is damage."""
    with pytest.raises(ValueError, match="compressed data"):
        list(decoded([gzip.compress(b"one") + tail], PIECE))


def test_damage_is_no_content() -> None:
    """A checksum that does not fit is found at the latest at the end."""
    wire = bytearray(gzip.compress(b"one"))
    wire[-5] ^= 1

    with pytest.raises(ValueError, match="damaged"):
        list(decoded([bytes(wire)], PIECE))


def test_nothing_stays_nothing() -> None:
    """An answer without a body may still name a coding."""
    assert list(decoded([], PIECE)) == []


def _cut(wire: bytes, width: int) -> list[bytes]:
    return [wire[start : start + width] for start in range(0, len(wire), width)]
