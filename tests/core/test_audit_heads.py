"""Signed heads: nothing of one can be altered, and nothing else that the key signs is one."""

import base64
from dataclasses import replace
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from service.core.audit import ChainHead
from service.core.audit_heads import Head, read_head, sign_head
from service.core.errors import IntegrityError
from tests.support.clock import START

KEY = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
HEAD = Head("test", ChainHead("0123456789abcdef", 7, "a" * 64), START, False, {"f" * 16: 3})  # noqa: FBT003 — it has not ended
FROZEN = (
    "oaXwySrPAmtq3DRWPIUSomvJ1EGeVRWfPZr-lDsb_F8CugyzABGgfy7Vn3znhLqnwz4d2xylfVhqblJcEoIQAw== "
    '{"v":1,"instance":"test","writer":"0123456789abcdef","seq":7,"hash":"' + "a" * 64 + '",'
    '"time":"2026-11-23T12:00:00.000Z","ended":false,"seen":{"ffffffffffffffff":3}}'
)


def test_a_head_is_written_as_the_first_release_wrote_it() -> None:
    """Whoever keeps heads for years can verify them with today's format."""
    signed = sign_head(KEY, HEAD)

    assert signed == FROZEN
    assert read_head(KEY.public_key(), FROZEN) == HEAD


@given(place=st.integers(0, len(FROZEN) - 1), value=st.integers(0, 127))
def test_any_changed_character_of_a_head_is_found(place: int, value: int) -> None:
    """In the signature, in the body, and in between."""
    altered = FROZEN[:place] + chr(value) + FROZEN[place + 1 :]
    if altered == FROZEN:
        return

    with pytest.raises(IntegrityError) as caught:
        read_head(KEY.public_key(), altered)

    assert caught.value.reason == "forged_head"


@pytest.mark.parametrize("signed", ["", " ", "a", "AA== {}", f"{'A' * 86}== {{}}", FROZEN + " "])
def test_what_is_no_signed_head_is_refused(signed: str) -> None:
    """Garbage is not taken for a defect."""
    with pytest.raises(IntegrityError):
        read_head(KEY.public_key(), signed)


def test_a_signature_has_one_spelling() -> None:
    """The last character before the padding has four bits that say nothing."""
    place = FROZEN.index("=") - 1
    others = [FROZEN[:place] + other + FROZEN[place + 1 :] for other in "AQgwBRhx"]

    for other in set(others) - {FROZEN}:
        with pytest.raises(IntegrityError):
            read_head(KEY.public_key(), other)


def test_a_head_of_another_key_is_refused() -> None:
    """Whoever cannot read the key file can make up nothing."""
    other = Ed25519PrivateKey.from_private_bytes(b"o" * 32)

    with pytest.raises(IntegrityError):
        read_head(KEY.public_key(), sign_head(other, HEAD))


def test_a_signature_of_something_else_is_none_of_a_head() -> None:
    """The purpose is signed with the body."""
    body = FROZEN.partition(" ")[2]
    bare = base64.urlsafe_b64encode(KEY.sign(body.encode("ascii"))).decode("ascii")

    with pytest.raises(IntegrityError):
        read_head(KEY.public_key(), f"{bare} {body}")


@pytest.mark.parametrize(
    "chain",
    [
        ChainHead("0123456789ABCDEF", 7, "a" * 64),
        ChainHead("0123456789abcde", 7, "a" * 64),
        ChainHead("0123456789abcdef", -1, "a" * 64),
        ChainHead("0123456789abcdef", 7, "a" * 63),
    ],
)
def test_a_head_of_another_form_is_refused_even_if_it_is_signed(chain: ChainHead) -> None:
    """Its reader relies on the form."""
    with pytest.raises(IntegrityError):
        read_head(KEY.public_key(), sign_head(KEY, replace(HEAD, chain=chain)))


def test_an_end_is_told() -> None:
    """A chain that has ended has no tail that could be missing."""
    ended = replace(HEAD, ended=True, time=START + timedelta(milliseconds=1))

    assert read_head(KEY.public_key(), sign_head(KEY, ended)) == ended
