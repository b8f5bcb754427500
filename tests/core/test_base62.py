"""Base62: fixed width, order-preserving, nothing lost."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core.base62 import base62

DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def number_of(text: str) -> int:
    """Read base62 the slow and obvious way."""
    number = 0
    for digit in text:
        number = number * 62 + DIGITS.index(digit)
    return number


@given(value=st.binary(max_size=32), spare=st.integers(0, 3))
def test_base62_can_be_read_back_and_has_the_asked_width(value: bytes, spare: int) -> None:
    """Whatever the value and the width, even or odd, the digits write the number."""
    width = 43 + spare

    text = base62(value, width)

    assert len(text) == width
    assert number_of(text) == int.from_bytes(value, "big")


@pytest.mark.parametrize(
    ("number", "width", "text"),
    [(0, 1, "0"), (61, 1, "z"), (62, 2, "10"), (62**3 - 1, 3, "zzz"), (1, 6, "000001")],
)
def test_base62_writes_known_numbers(number: int, width: int, text: str) -> None:
    """The alphabet and the padding are part of the format of references."""
    assert base62(number.to_bytes(4, "big"), width) == text


@pytest.mark.parametrize(("number", "width"), [(62, 1), (62**2, 2), (62**3, 3), (2**32 - 1, 5)])
def test_base62_refuses_a_number_that_does_not_fit(number: int, width: int) -> None:
    """No digit is ever cut off silently."""
    with pytest.raises(ValueError, match="does not fit"):
        base62(number.to_bytes(4, "big"), width)
