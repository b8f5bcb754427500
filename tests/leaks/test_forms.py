"""The search finds a secret in each form, wherever it stands and however it is cut; without this, finding nothing would mean nothing."""

import base64
import random
from collections.abc import Callable

import pytest

from tests.leaks.canaries import Canaries
from tests.leaks.forms import BYTE_FORMS, PIECE, TEXT_FORMS

TEXT = 'canary "Pässwörd" \\ <7f3a> & 9c51d2/𝄞?~ b08e'
_CHANCE = random.Random(7)  # noqa: S311 — noise, the same each time
BYTES = _CHANCE.randbytes(32)
_NOISE = _CHANCE.randbytes(200)


def _finds(secret: str | bytes, content: bytes) -> bool:
    canaries = Canaries()
    canaries.add("it", secret)
    return canaries.found_in(content).keys() == {"it"}


@pytest.mark.parametrize("write", TEXT_FORMS.values(), ids=TEXT_FORMS)
def test_text_is_found_in_each_form(write: Callable[[str], bytes]) -> None:
    """Whole, at any place."""
    assert all(_finds(TEXT, _NOISE[:before] + write(TEXT) + _NOISE) for before in range(10))


@pytest.mark.parametrize("secret", [TEXT.encode(), BYTES], ids=["text", "bytes"])
@pytest.mark.parametrize("encode", BYTE_FORMS.values(), ids=BYTE_FORMS)
def test_bytes_are_found_in_each_form(encode: Callable[[bytes], bytes], secret: bytes) -> None:
    """Whole, at any place."""
    assert all(_finds(secret, _NOISE[:before] + encode(secret) + _NOISE) for before in range(10))


@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
@pytest.mark.parametrize("secret", [TEXT, BYTES], ids=["text", "bytes"])
def test_a_secret_within_something_encoded_is_found(
    encode: Callable[[bytes], bytes], secret: str | bytes
) -> None:
    """A header or a document that was encoded as a whole, with the secret at each of the three places of a base64 group."""
    raw = secret.encode() if isinstance(secret, str) else secret

    assert all(_finds(secret, encode(_NOISE[:before] + raw + _NOISE)) for before in range(30))


@pytest.mark.parametrize("length", [2 * PIECE - 1, 2 * PIECE + 3])
def test_a_part_of_a_secret_is_found(length: int) -> None:
    """What was cut short at either end, down to two pieces less a character."""
    parts = [TEXT[start : start + length] for start in range(len(TEXT) - length + 1)]

    assert all(_finds(TEXT, b"cut: " + part.encode() + b"...") for part in parts)


def test_nothing_is_found_where_nothing_is() -> None:
    """Noise, another secret of the same make, and nothing at all."""
    canaries = Canaries()
    canaries.add("it", TEXT)

    assert not any(map(canaries.found_in, [_NOISE * 50, b"canary of another make", b""]))


def test_what_is_too_short_to_be_told_from_chance_is_no_canary() -> None:
    """A search for it would find it everywhere, or never."""
    with pytest.raises(ValueError, match="at least a piece"):
        Canaries().add("it", "short")
