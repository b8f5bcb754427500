"""Request scopes: what a pattern matches, and when one lies within another."""

import string
from dataclasses import FrozenInstanceError

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from service.core.scope import (
    METHODS,
    ScopeEntry,
    checked_scope_entry,
    is_covered,
    parse_scope_entry,
)

# Few words, so that patterns and paths meet.
WORDS = st.sampled_from(["api", "v3", "io", "companies", "orders"])
PATTERNS = st.builds(
    lambda method, segments, tail: f"{method} /{'/'.join([*segments, *tail])}",
    st.sampled_from(["*", "GET", "POST"]),
    st.lists(st.one_of(WORDS, st.just("*")), min_size=1, max_size=4),
    st.sampled_from([[], ["**"]]),
)


@st.composite
def patterns_around(draw: st.DrawFn, method: str, segments: list[str]) -> str:
    """Draw a pattern that matches a request, or nearly: some segments blurred or changed, perhaps cut to an open end."""
    blurred = [draw(st.one_of(st.just(part), st.just("*"), WORDS)) for part in segments]
    cut = draw(st.integers(1, len(blurred)))
    tail = draw(st.sampled_from([blurred[cut:], ["**"]]))
    return f"{draw(st.sampled_from([method, '*']))} /{'/'.join([*blurred[:cut], *tail])}"


def admits(pattern: str, method: str, path: str) -> bool:
    """Tell whether a pattern matches a request."""
    return parse_scope_entry(pattern).matches(method, tuple(path[1:].split("/")))


@given(data=st.data())
def test_whatever_a_covered_pattern_matches_is_matched_by_the_wider_one(
    data: st.DataObject,
) -> None:
    """Minting with a covered scope never reaches a request that the limits do not."""
    method = data.draw(st.sampled_from(["GET", "POST"]))
    segments = data.draw(st.lists(WORDS, min_size=1, max_size=5))
    outer = parse_scope_entry(data.draw(patterns_around(method, segments)))
    inner = parse_scope_entry(data.draw(patterns_around(method, segments)))
    path = (*segments, *data.draw(st.sampled_from([(), ("",)])))

    assert not (outer.covers(inner) and inner.matches(method, path)) or outer.matches(method, path)


@given(wide=PATTERNS, narrow=PATTERNS)
def test_an_uncovered_pattern_matches_something_that_the_other_does_not(
    wide: str, narrow: str
) -> None:
    """Covering refuses nothing that it could allow: there is a witness against every refusal."""
    outer, inner = parse_scope_entry(wide), parse_scope_entry(narrow)
    assume(not outer.covers(inner))
    method = "PUT" if inner.method == "*" else inner.method
    stem = tuple("other" if part == "*" else part for part in inner.segments)
    witnesses = [stem, (*stem, "a", "b", "c", "d", "e")] if inner.open_ended else [stem]

    assert all(inner.matches(method, witness) for witness in witnesses)
    assert not all(outer.matches(method, witness) for witness in witnesses)


@given(pattern=PATTERNS)
def test_every_pattern_covers_itself(pattern: str) -> None:
    """A caller may ask for exactly what its grant says."""
    assert is_covered((pattern,), (pattern,))


@pytest.mark.parametrize(
    ("pattern", "method", "path", "expected"),
    [
        ("GET /api/v3/io/companies/**", "GET", "/api/v3/io/companies", True),
        ("GET /api/v3/io/companies/**", "GET", "/api/v3/io/companies/", True),
        ("GET /api/v3/io/companies/**", "GET", "/api/v3/io/companies/1/users", True),
        ("GET /api/v3/io/companies/**", "GET", "/api/v3/io/companies2", False),
        ("GET /api/v3/io/companies/**", "GET", "/api/v3/io", False),
        ("GET /api/v3/io/companies/**", "POST", "/api/v3/io/companies", False),
        ("GET /api/v3/io/companies/**", "HEAD", "/api/v3/io/companies", False),
        ("GET /api/v3/io/companies", "GET", "/api/v3/io/companies/1", False),
        ("GET /api/v3/io/*/1", "GET", "/api/v3/io/orders/1", True),
        ("GET /api/v3/io/*", "GET", "/api/v3/io/orders/1", False),
        ("GET /api/v3/io/*", "GET", "/api/v3/io", False),
        ("GET /api/v3/io/*", "GET", "/api/v3/io/", False),
        ("GET /api/v3/io/*/**", "GET", "/api/v3/io/", False),
        ("GET /api/v3/io/*/**", "GET", "/api/v3/io/orders/", True),
        ("GET /api/v3/io/orders", "GET", "/api/v3/io/orders/", False),
        ("* /api/v3/io/orders", "DELETE", "/api/v3/io/orders", True),
        ("GET /api/v3/io/Companies", "GET", "/api/v3/io/companies", False),
        ("GET /**", "GET", "/anything/at/all", True),
    ],
)
def test_a_pattern_matches_whole_segments(
    pattern: str, method: str, path: str, *, expected: bool
) -> None:
    """Prefixes of a segment, empty segments, other methods and other lengths do not match."""
    assert admits(pattern, method, path) is expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "GET",
        "/api",
        "GET api",
        "get /api",
        "TRACE /api",
        "GET  /api",
        "GET /api ",
        "GET /api\n",
        "GET /",
        "GET //api",
        "GET /api/",
        "GET /api//x",
        "GET /api/x*",
        "GET /api/***",
        "GET /api?x=1",
        "GET /api/ä",
        "GET /api;x",
        "GET /**/api",
        "GET /api/**/x/**",
        "GET /api/../x",
        "GET /./api",
        "GET,POST /api",
    ],
)
def test_what_is_no_pattern_is_refused_without_being_quoted(text: str) -> None:
    """A mistake in an access file is found when it is read, and the message holds the rule only."""
    with pytest.raises(ValueError, match="request pattern") as refused:
        parse_scope_entry(text)

    assert not text or text not in str(refused.value)


def admitted(before: str, after: str) -> set[str]:
    """Return the characters that may stand between two texts in a pattern."""
    found = set()
    for character in map(chr, range(0x250)):
        try:
            parse_scope_entry(f"{before}{character}{after}")
        except ValueError:
            continue
        found.add(character)
    return found


@pytest.mark.parametrize(("before", "after"), [("GET /x", "x"), ("GET /api/x", "x/y")])
def test_a_segment_is_made_of_the_characters_that_a_path_is_written_in(
    before: str, after: str
) -> None:
    """RFC 3986 without ';', which some servers cut a path at; the slash begins another segment."""
    assert admitted(before, after) == {*string.ascii_letters, *string.digits, *"._~!$&'()+,=:@%-/"}


@pytest.mark.parametrize("before", ["GET /", "GET /api/"])
def test_a_star_stands_for_a_whole_segment_in_any_place(before: str) -> None:
    """One alone, two only at the end, and never three."""
    one, two = parse_scope_entry(f"{before}*"), parse_scope_entry(f"{before}**")

    assert (one.segments[-1], one.open_ended) == ("*", False)
    assert (two.segments, two.open_ended) == (one.segments[:-1], True)
    with pytest.raises(ValueError, match="'METHOD /path'"):
        parse_scope_entry(f"{before}***")


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("get /api", "a request pattern is 'METHOD /path', with '*' for one whole segment"),
        ("GET /**/api", "'**' may stand only at the end of a request pattern"),
        ("GET /api/./x", "a request pattern has no dot segments"),
        ("GET /api/..", "a request pattern has no dot segments"),
    ],
)
def test_the_rule_that_a_pattern_breaks_is_named(text: str, rule: str) -> None:
    """It is shown to the author of the access file and to whoever mints."""
    with pytest.raises(ValueError, match="request pattern") as refused:
        checked_scope_entry(text)

    assert str(refused.value) == rule


def test_a_pattern_that_was_read_cannot_be_changed() -> None:
    """It is shared by all who write the same."""
    with pytest.raises(FrozenInstanceError):
        parse_scope_entry("GET /api").method = "*"  # type: ignore[misc]  # what is tested


def test_a_checked_pattern_stays_as_it_is_written() -> None:
    """Nothing is tidied up between the file and the reference."""
    assert checked_scope_entry("* /api/%C3%A4/*/**") == "* /api/%C3%A4/*/**"


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "*"])
def test_every_method_that_the_proxy_forwards_can_be_named(method: str) -> None:
    """Methods and the pattern's grammar agree."""
    assert method in {*METHODS, "*"}
    assert parse_scope_entry(f"{method} /api/**") == ScopeEntry(method, ("api",), open_ended=True)


@pytest.mark.parametrize("method", ["OPTIONS", "TRACE", "CONNECT", "QUERY", "Get", "", "**"])
def test_no_other_method_can_be_named(method: str) -> None:
    """What the proxy never forwards need not be granted."""
    assert method not in METHODS
    with pytest.raises(ValueError, match="'METHOD /path'"):
        parse_scope_entry(f"{method} /api/**")


@pytest.mark.parametrize(
    ("wide", "narrow", "expected"),
    [
        ("* /a/**", "GET /a/*/b", True),
        ("GET /a/*", "GET /a/*", True),
        ("GET /a", "POST /a", False),
        ("GET /a", "* /a", False),
        ("GET /a/*", "GET /a/**", False),
        ("GET /a/b/**", "GET /a/**", False),
        ("GET /a/b", "GET /a/*", False),
        ("GET /a/b", "GET /a", False),
    ],
)
def test_a_pattern_covers_another_or_it_does_not(wide: str, narrow: str, *, expected: bool) -> None:
    """A star covers a star; nothing literal covers one, and nothing closed covers an open end."""
    assert parse_scope_entry(wide).covers(parse_scope_entry(narrow)) is expected


@pytest.mark.parametrize(
    ("asked", "allowed", "expected"),
    [
        (("GET /a/b",), ("GET /a/**",), True),
        (("GET /a/b", "POST /c"), ("GET /a/**", "* /c"), True),
        (("GET /a/b", "POST /d"), ("GET /a/**", "* /c"), False),
        (("GET /a/**",), ("GET /a/*", "GET /a"), False),
        (("* /a",), ("GET /a", "POST /a"), False),
        (("GET /a/*",), ("GET /a/b",), False),
        (("GET /a",), (), False),
    ],
)
def test_all_that_is_asked_must_lie_within_what_is_allowed(
    asked: tuple[str, ...], allowed: tuple[str, ...], *, expected: bool
) -> None:
    """Each asked pattern needs one allowed pattern that covers all of it."""
    assert is_covered(asked, allowed) is expected
