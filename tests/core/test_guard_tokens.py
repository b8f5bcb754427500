"""What the response guard looks for: all of a store's tokens, also within base64, and any other that says it is the store's."""

import base64
import json
import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from service.core.errors import TokenLeakError
from service.core.guard import ResponseGuard
from service.core.secret import Secret

STORE = "abc123"
TOKENS = ("eyJhbGciOiJIUzI1NiJ9.canary_token-1001.sig", "canary0access0token0abcdefghijk")


def _guard() -> ResponseGuard:
    return ResponseGuard(STORE, [Secret(token) for token in TOKENS])


def _jwt(**claims: object) -> str:
    parts = ({"typ": "JWT", "alg": "HS256"}, claims)
    encoded = [base64.urlsafe_b64encode(json.dumps(p).encode()).rstrip(b"=") for p in parts]
    return b".".join([*encoded, b"c2lnbmF0dXJlLW9mLWl0"]).decode()


FEW = st.text("XJQeWFh.", max_size=90)
SERVER = _jwt(email="owner@abc123.example", store_hash=STORE, db="default")


@pytest.mark.parametrize("token", TOKENS)
@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
@given(before=st.binary(max_size=40), after=st.binary(max_size=40), at=st.integers(0, 200))
def test_a_token_within_base64_is_found_wherever_it_begins(
    token: str, encode: object, before: bytes, after: bytes, at: int
) -> None:
    """Whatever stands before and after it in what was encoded, and wherever the chunks end."""
    assert callable(encode)
    body = encode(before + token.encode() + after)

    with pytest.raises(TokenLeakError):
        list(_guard().filter([body[:at], body[at:]]))


@pytest.mark.parametrize(
    "spelt",
    [
        SERVER,
        SERVER.replace(".", "%2E"),
        SERVER.replace("e", "\\u0065"),
        f'{{"token":"{SERVER}"}}',
        f'{{"tokens":"all:\\n{SERVER}\\n"}}',
        f'{{"tokens":"\\t{SERVER}"}}',
        f"/login?next=%3Ftoken%3D{SERVER}",
        f"Bearer%20{SERVER}",
        f"%22token%22:%22{SERVER}%22",
        f"eyJaaaaaaaa.eyJbbbbbbbb.{SERVER}",
    ],
)
def test_another_token_that_says_it_is_the_stores_is_found(spelt: str) -> None:
    """As in a list of tokens: each of them can do everything."""
    with pytest.raises(TokenLeakError):
        list(_guard().filter([spelt.encode()]))
    with pytest.raises(TokenLeakError):
        _guard().check_headers([("Location", spelt)])


@pytest.mark.parametrize("backslashes", [19_999, 20_000])
def test_backslashes_that_are_gone_by_then_do_not_hide_a_token(backslashes: int) -> None:
    """Whether the last of them belongs to what follows can be told only from the first."""
    spelt = b"".join(b"\\u%04x" % ord(character) for character in TOKENS[0])

    with pytest.raises(TokenLeakError):
        list(_guard().filter([b'"' + b"\\" * backslashes, spelt + b" " * 30_000]))


def test_json_within_json_does_not_hide_a_token() -> None:
    """As in a log of requests."""
    body = json.dumps(json.dumps({"token": TOKENS[0]}).replace("e", "\\u0065"))

    with pytest.raises(TokenLeakError):
        list(_guard().filter([body.encode()]))


@pytest.mark.parametrize("width", [63, 64, 65, 66, 5000])
@pytest.mark.parametrize("unit", ["J", ".eJ", "eyJ "])
def test_no_number_of_rare_letters_before_it_hides_a_token(unit: str, width: int) -> None:
    """The search begins with single letters, and goes on in another way where there are many."""
    body = (unit * width + " " + _jwt(email="owner@abc123.example", store_hash=STORE)).encode()

    with pytest.raises(TokenLeakError):
        list(_guard().filter([body]))


@example(token="FhFFQQQJ", before="Qh", after="")
@given(token=FEW.filter(lambda token: len(token) >= 8), before=FEW, after=FEW)
def test_a_token_of_few_letters_is_found_between_the_same_letters(
    token: str, before: str, after: str
) -> None:
    """Whichever of them is the rare one that is looked for first, and however often it stands there."""
    guard = ResponseGuard(STORE, [Secret(token)])

    with pytest.raises(TokenLeakError):
        list(guard.filter([f"{before}{token}{after}".encode()]))


@pytest.mark.parametrize("token", [*TOKENS, "0123456789" * 4, "short", "ab"])
@pytest.mark.parametrize("letters", ["X", "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"])
@pytest.mark.parametrize("times", [1, 63, 64, 65])
def test_no_number_of_rare_letters_before_it_hides_a_given_token(
    token: str, letters: str, times: int
) -> None:
    """Nor does it matter whether it has a letter that is rare."""
    body = "".join(letter * times for letter in letters) + token
    guard = ResponseGuard(STORE, [Secret(token)])

    with pytest.raises(TokenLeakError):
        list(guard.filter([body.encode()]))


@pytest.mark.parametrize(
    "text",
    [
        _jwt(email="owner@def456.example", store_hash="def456", db="default"),
        _jwt(email="buyer@abc123.example", store_hash=STORE, channel_ids=[1], token_type=3),
        _jwt(sub="somebody"),
        "eyJhbGciOiJIUzI1NiJ9.eyJub3QganNvbi.c2lnbmF0dXJl",
        base64.b64encode(b"nothing of the kind" * 20).decode(),
    ],
    ids=["another store's", "a buyer's", "another system's", "not readable", "base64"],
)
def test_what_is_no_server_token_of_the_store_passes(text: str) -> None:
    """A guard that withholds honest answers would be switched off."""
    body = json.dumps({"data": text}).encode()

    assert b"".join(_guard().filter([body])) == body


def test_headers_are_looked_at_in_the_same_way() -> None:
    """Also for what is encoded in them."""
    encoded = base64.b64encode(f"user:{TOKENS[1]}".encode()).decode()

    with pytest.raises(TokenLeakError):
        _guard().check_headers([("X-Echo", f"Basic {encoded}")])


def test_a_hostile_body_costs_no_more_than_an_honest_one() -> None:
    """Text that begins like a token at every place is read once, not once from each place."""
    honest, hostile = b"a" * 262_144, b"eyJ" * 87_381

    def seconds(body: bytes) -> float:
        started = time.process_time()
        list(_guard().filter([body]))
        return time.process_time() - started

    assert min(seconds(hostile) for _ in range(3)) < 50 * min(seconds(honest) for _ in range(3))


@pytest.mark.parametrize(
    ("unit", "times"),
    [(b"eyJ", 5), (b"J", 5), (b"eyJaaaaaaaa.", 50), (b"\\", 5), (b"%41eyJ", 5)],
    ids=["eyJ", "J", "parts", "backslashes", "escapes"],
)
def test_a_hostile_body_is_read_once(unit: bytes, times: int) -> None:
    """Text that begins like a token at every place is not read again from each place: eight times the text, eight times the work.

    What is a token for all that can be seen of its parts is decoded, which costs more.
    """
    looked_into = b" .eyJ \\u0065 %65"

    def seconds(unit: bytes, length: int) -> float:
        started = time.process_time()
        list(_guard().filter([unit * (length // len(unit)) + looked_into]))
        return time.process_time() - started

    short, long, honest = (
        min(seconds(*body) for _ in range(3))
        for body in ((unit, 16_384), (unit, 131_072), (b"a", 131_072))
    )
    assert long < 24 * short
    assert long < times * honest
