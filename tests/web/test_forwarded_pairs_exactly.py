"""``X-Forwarded-Client-Cert`` taken apart, pair by pair: one reading, or none."""

import pytest

from service.core.errors import UnauthenticatedError
from service.web.callers import _last_element

Pairs = list[tuple[str, str]]
ONE_READING: dict[str, Pairs] = {
    "A=b": [("a", "b")],
    "a=": [("a", "")],
    'a=""': [("a", "")],
    "azAZ=x": [("azaz", "x")],
    "M=m": [("m", "m")],
    'A="b";C="d"': [("a", "b"), ("c", "d")],
    'A="b";C=d;E="f"': [("a", "b"), ("c", "d"), ("e", "f")],
    'A="b",C="d"': [("c", "d")],
    'A="b", C="d"': [("c", "d")],
    'A="b",   C=d': [("c", "d")],
    "A=b, xC=d": [("xc", "d")],
    "A=b,xC=d": [("xc", "d")],
    "A=b,C=d;E=f": [("c", "d"), ("e", "f")],
    "A=b,C=d,E=f": [("e", "f")],
    r'A="\"";C="\\"': [("a", '"'), ("c", "\\")],
    r'A="\\\"\x";C=d': [("a", '\\"x'), ("c", "d")],
    'A="b,c;d=e"': [("a", "b,c;d=e")],
    r"A=b\;C=\d": [("a", "b\\"), ("c", r"\d")],
    "A=b c": [("a", "b c")],
    "A= b ": [("a", " b ")],
    "A=\xe4": [("a", "\xe4")],
}
NO_READING = [
    "",
    "A",
    "=b",
    "A=b;",
    "A=b,",
    "A=b, ",
    ";A=b",
    ",A=b",
    " A=b",
    "A=b;;C=d",
    "A=b,,C=d",
    "A=b; C=d",
    "A=b ,C",
    "A=b,\tC=d",
    "A =b",
    "A1=b",
    "A_=b",
    "A-B=c",
    "\xc4=b",
    "A=b=c",
    'A=b"c',
    'A="b',
    'A=b"',
    'A="b"c',
    'A="b"c"d"',
    'A="b" ',
    'A="b"="c"',
    r'A="b\"',
    '"A"=b',
    "A=b\n;;",
]


@pytest.mark.parametrize("header", ONE_READING)
def test_a_header_with_one_reading_gives_its_last_elements_pairs(header: str) -> None:
    """Quotes end where they end, a backslash counts within them only, and a name has no case."""
    assert _last_element(header) == ONE_READING[header]


@pytest.mark.parametrize("header", NO_READING)
def test_a_header_with_no_reading_is_refused(header: str) -> None:
    """Wherever in it that is."""
    with pytest.raises(UnauthenticatedError) as refused:
        _last_element(header)

    assert refused.value.reason == "forwarded_unclear"
