"""The response guard: the store's own token does not pass, however it is cut or spelt, and everything else does."""

from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core.errors import TokenLeakError
from service.core.guard import ResponseGuard
from service.core.secret import Secret

TOKEN = "eyJhbGciOiJIUzI1NiJ9.canary_token-1001.sig"


def cut(body: bytes, places: list[int]) -> list[bytes]:
    """Return the body in chunks that end at these places."""
    bounds = [0, *sorted(place % (len(body) + 1) for place in places), len(body)]
    return [body[start:end] for start, end in pairwise(bounds)]


def passed(chunks: list[bytes]) -> bytes:
    """Return what a caller gets before the guard stops, which it must do by an error."""
    got: list[bytes] = []
    with pytest.raises(TokenLeakError) as stopped:
        got.extend(ResponseGuard("abc123", [Secret(TOKEN)]).filter(chunks))
    assert stopped.value.reason == "token_in_answer"
    assert TOKEN not in str(stopped.value)
    return b"".join(got)


def json_escaped(text: str) -> bytes:
    """Return every character as a JSON escape."""
    return b"".join(b"\\u%04x" % ord(character) for character in text)


def json_escaped_upper(text: str) -> bytes:
    """Return every character as a JSON escape with upper-case digits."""
    return b"".join(b"\\u%04X" % ord(character) for character in text)


def percent_encoded(text: str) -> bytes:
    """Return every character percent-encoded."""
    return b"".join(b"%%%02x" % ord(character) for character in text)


def every_other_escaped(text: str) -> bytes:
    """Return plain characters and both kinds of escapes in turn."""
    ways = (lambda c: c.encode(), json_escaped, lambda c: c.encode(), percent_encoded)
    return b"".join(ways[place % 4](character) for place, character in enumerate(text))


SPELLINGS = {
    "plain": TOKEN.encode(),
    "json": json_escaped(TOKEN),
    "json, upper case": json_escaped_upper(TOKEN),
    "percent": percent_encoded(TOKEN),
    "mixed": every_other_escaped(TOKEN),
    "dots percent-encoded": TOKEN.replace(".", "%2E").encode(),
    "one json escape": TOKEN.replace("_", "\\u005f").encode(),
}
SLASHED = 'eyJ/canary\\token"1001/sig'


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_the_token_is_found_across_every_border_of_two_chunks(spelling: str) -> None:
    """Wherever a chunk ends, no byte of the token has left before it is found."""
    before = b"x" * 300
    body = before + SPELLINGS[spelling] + b"y"

    for place in range(len(before), len(body)):
        assert before.startswith(passed([body[:place], body[place:]]))


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_the_token_is_found_when_every_byte_is_a_chunk(spelling: str) -> None:
    """Also behind more than the guard holds back."""
    body = b"x" * 2_000 + SPELLINGS[spelling] + b"y" * 10

    got = passed([bytes((byte,)) for byte in body])

    assert set(got) <= set(b"x")


@pytest.mark.parametrize(
    ("cut_short", "spelling"),
    [
        (b"%2", TOKEN.encode()),
        (b"%2", json_escaped(TOKEN)),
        (b"\\u006", TOKEN.encode()),
        (b"\\u006", TOKEN[:1].encode() + percent_encoded(TOKEN[1:])),
        (b"\\", percent_encoded(TOKEN)),
        (b"%\\u0032", TOKEN.encode()),
    ],
)
def test_an_escape_that_is_cut_short_before_the_token_does_not_hide_it(
    cut_short: bytes, spelling: bytes
) -> None:
    """Undoing one kind of escapes may swallow the token's first character, so each reading is looked at by itself."""
    before = b"x" * 300 + cut_short
    body = before + spelling

    for place in range(300, len(body)):
        assert before.startswith(passed([body[:place], body[place:]]))


@pytest.mark.parametrize("solidus", ["/", "\\/", "\\u002f", "%2F"])
@pytest.mark.parametrize("backslash", ["\\", "\\\\", "\\u005c"])
@pytest.mark.parametrize("quote", ['"', '\\"', "\\u0022", "%22"])
def test_the_short_escapes_of_json_are_undone_too(solidus: str, backslash: str, quote: str) -> None:
    """A token need not be made of letters and dots only."""
    spelt = SLASHED.replace("\\", backslash).replace("/", solidus).replace('"', quote)
    guard = ResponseGuard("abc123", [Secret(SLASHED)])

    with pytest.raises(TokenLeakError):
        list(guard.filter([spelt.encode()]))


@given(
    before=st.binary(max_size=600),
    spelling=st.sampled_from(["plain", "json", "percent", "mixed"]),
    after=st.binary(max_size=20),
    places=st.lists(st.integers(0, 2_000), max_size=6),
)
def test_the_token_is_found_wherever_it_is_and_however_the_body_is_cut(
    before: bytes, spelling: str, after: bytes, places: list[int]
) -> None:
    """What was yielded before is a true beginning of the body and ends before the token."""
    before = before.replace(b"%", b"").replace(b"\\", b"")
    body = before + SPELLINGS[spelling] + after

    got = passed(cut(body, places))

    assert before.startswith(got)


@given(body=st.binary(max_size=3_000), places=st.lists(st.integers(0, 3_000), max_size=8))
def test_a_body_without_the_token_passes_byte_for_byte(body: bytes, places: list[int]) -> None:
    """In whatever chunks it comes."""
    assert b"".join(ResponseGuard("abc123", [Secret(TOKEN)]).filter(cut(body, places))) == body


@pytest.mark.parametrize(
    "body",
    [
        TOKEN[:-1].encode(),
        TOKEN[1:].encode(),
        TOKEN.lower().encode(),
        json_escaped(TOKEN)[:-1],
        b"\\u00zz %zz %2 \\u00",
        b"",
    ],
)
def test_what_is_nearly_the_token_passes(body: bytes) -> None:
    """The guard looks for one secret and withholds nothing else."""
    assert b"".join(ResponseGuard("abc123", [Secret(TOKEN)]).filter([body])) == body


def test_a_large_body_passes_in_constant_memory() -> None:
    """No more is held back than a hidden token could need, and the rest of the chunk that this begins in."""
    guard = ResponseGuard("abc123", [Secret(TOKEN)])
    taken = 0

    def chunks() -> Iterator[bytes]:
        nonlocal taken
        for _ in range(100):
            taken += 10_000
            yield b"x" * 10_000

    given_out = 0
    for chunk in guard.filter(chunks()):
        given_out += len(chunk)
        assert taken - given_out < 18 * 512 + 10_000

    assert given_out == taken == 1_000_000


@pytest.mark.parametrize(
    "header",
    [
        ("X-Echo", TOKEN),
        ("X-Echo", f"Bearer {TOKEN}; x"),
        ("Location", f"https://evil.example/?t={percent_encoded(TOKEN).decode()}"),
        ("X-Json", json_escaped(TOKEN).decode()),
        (TOKEN, "x"),
    ],
)
def test_the_token_is_found_in_headers(header: tuple[str, str]) -> None:
    """In names and values, plain and escaped."""
    with pytest.raises(TokenLeakError):
        ResponseGuard("abc123", [Secret(TOKEN)]).check_headers(
            [("Content-Type", "text/plain"), header]
        )


def test_headers_without_the_token_pass() -> None:
    """Also ones that are not Latin-1."""
    ResponseGuard("abc123", [Secret(TOKEN)]).check_headers(
        [("X-Name", "Zoë Ω"), ("X-Part", TOKEN[:-1])]
    )

    with pytest.raises(TokenLeakError):
        ResponseGuard("abc123", [Secret(TOKEN)]).check_headers([("X-Name", f"Ω{TOKEN}")])


def test_a_token_that_is_escaped_twice_is_found_wherever_the_chunks_end() -> None:
    """JSON escapes around URL escapes make eight bytes of one; the guard holds back enough for more than that."""
    token = "eyJhbGciOiJIUzI1NiJ9.canary"
    body = b"x" * 600 + b"".join(b"\\u0025%02x" % ord(character) for character in token)

    for cut in range(600, len(body), 3):
        with pytest.raises(TokenLeakError):
            list(ResponseGuard("abc123", [Secret(token)]).filter([body[:cut], body[cut:]]))
