"""Signed values: readable in storage, not alterable or movable there."""

from dataclasses import replace
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core.errors import IntegrityError
from service.core.signed import Place, sign, verify
from tests.support.world import keyring

HERE = Place("test", "store", "abc123")
BODY = b"body with spaces\nand lines"
FROZEN = b"k1 cXBsw17urql13H4Mr29_d82MgEIyDzwM4w57jl4kHHI " + BODY


def reason_of(signed: bytes, place: Place = HERE, *key_ids: str) -> str:
    """Return why a signed value is refused."""
    ids = key_ids or ("k1",)
    with pytest.raises(IntegrityError) as refused:
        verify(keyring(*ids, primary=ids[0]), place, signed)
    return refused.value.reason


def test_a_value_signed_by_the_first_release_verifies_and_is_still_written_so() -> None:
    """The format is frozen, in both directions."""
    assert verify(keyring(), HERE, FROZEN) == BODY
    assert sign(keyring(), HERE, BODY) == FROZEN


@given(body=st.binary(max_size=100), name=st.from_regex(r"[a-z0-9/]{1,20}", fullmatch=True))
def test_any_body_verifies_at_its_place_only(body: bytes, name: str) -> None:
    """Bodies may hold any bytes."""
    place = replace(HERE, name=name)
    signed = sign(keyring(), place, body)

    assert verify(keyring(), place, signed) == body
    assert reason_of(signed, replace(place, name=name + "x")) == "mac_mismatch"


@pytest.mark.parametrize(
    "elsewhere",
    [
        replace(HERE, instance="prod"),
        replace(HERE, purpose="grant"),
        replace(HERE, name="abc124"),
        replace(HERE, name="abc123/0123"),
    ],
)
def test_a_signed_value_verifies_nowhere_else(elsewhere: Place) -> None:
    """Installation, purpose and name are all under the MAC."""
    assert reason_of(FROZEN, elsewhere) == "mac_mismatch"


def test_every_flipped_bit_of_the_body_is_found() -> None:
    """Also in spaces and line feeds."""
    for bit in range(8 * len(BODY)):
        altered = bytearray(FROZEN)
        altered[bit // 8 - len(BODY)] ^= 1 << bit % 8

        assert reason_of(bytes(altered)) == "mac_mismatch"


def test_every_replaced_character_of_the_mac_is_found() -> None:
    """One character of base64url, or one that is none."""
    for place, wrong in product(range(3, 45), b"Az~\x00\xff"):
        altered = bytearray(FROZEN)
        altered[place] = wrong
        if bytes(altered) == FROZEN:
            continue

        assert reason_of(bytes(altered)) == "mac_mismatch"


def test_a_mac_in_another_spelling_is_found() -> None:
    """Base64 could write the same bytes in more than one way; only the one that the broker writes counts."""
    for spelling in (b"HHJ ", b"HHI= ", b"HHI\n "):
        assert reason_of(FROZEN.replace(b"HHI ", spelling)) == "mac_mismatch"


@pytest.mark.parametrize(
    ("signed", "reason"),
    [
        pytest.param(b"", "malformed", id="empty"),
        pytest.param(b"k1", "malformed", id="one part"),
        pytest.param(b"k1 abc", "malformed", id="two parts"),
        pytest.param(b"k1 !!! body", "mac_mismatch", id="MAC is no base64"),
        pytest.param(b"k1  body", "mac_mismatch", id="MAC is empty"),
        pytest.param(b"k1 " + b"A" * 42 + b" body", "mac_mismatch", id="MAC is cut"),
        pytest.param(b"k1 \xff body", "mac_mismatch", id="MAC is not ASCII"),
        pytest.param(b"\xff " + FROZEN[3:], "malformed", id="key id is not ASCII"),
    ],
)
def test_what_is_no_signed_value_is_refused(signed: bytes, reason: str) -> None:
    """Garbage is an integrity error and nothing else."""
    assert reason_of(signed) == reason


def test_what_an_earlier_primary_signed_verifies_after_a_rotation() -> None:
    """As long as its key is in the ring."""
    assert verify(keyring("k1", "k2", primary="k2"), HERE, FROZEN) == BODY


def test_a_value_whose_key_is_gone_is_told_from_an_altered_one() -> None:
    """The remedy differs."""
    assert reason_of(FROZEN, HERE, "k2") == "key_unavailable"


def test_a_relabelled_value_does_not_verify_under_the_other_key() -> None:
    """The key id only says which key to try."""
    assert reason_of(b"k2" + FROZEN[2:], HERE, "k1", "k2") == "mac_mismatch"
