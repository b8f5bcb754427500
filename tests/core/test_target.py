"""The target of a proxied request: one reading, or refused; and some rooms are never entered."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core.errors import AmbiguousTargetError, BrokerError, NeverProxiedError
from service.core.target import PREFIX, Target, parse_target

# Pieces of what attackers and honest clients write, so that the law meets both.
PIECES = st.sampled_from(
    [
        "/api",
        "/v3",
        "/io",
        "/companies",
        "/1",
        "/",
        "//",
        "/.",
        "/..",
        "/%2e%2e",
        "%2F",
        "%5c",
        "%00",
        "%c3%a9",
        "%20",
        "%",
        "%zz",
        "?",
        "?a=1&b=%2F",
        "#x",
        ";v=1",
        "\\",
        "\r\n",
        "é",
        "auth",
        "/backend",
        "@evil.example",
        "http://",
    ]
)


@pytest.mark.parametrize(
    ("raw", "path", "query"),
    [
        ("/api/v3/io/companies", "/api/v3/io/companies", None),
        ("/api/v3/io/companies/", "/api/v3/io/companies/", None),
        ("/api/v3/io/companies?", "/api/v3/io/companies", ""),
        ("/api/v3/io/orders?limit=1&offset=0", "/api/v3/io/orders", "limit=1&offset=0"),
        ("/api/v3/io/orders?q=a/../b//c?d", "/api/v3/io/orders", "q=a/../b//c?d"),
        ("/api/v3/io/orders?x=%2e%2e%2f;y[]=|", "/api/v3/io/orders", "x=%2e%2e%2f;y[]=|"),
        ("/api/v3/io/users/a%40b.example", "/api/v3/io/users/a%40b.example", None),
        ("/api/v3/io/users/caf%c3%a9", "/api/v3/io/users/caf%C3%A9", None),
        ("/api/v3/io/users/a%20b", "/api/v3/io/users/a%20b", None),
        ("/api/v3/io/rfq/...", "/api/v3/io/rfq/...", None),
        ("/api/v3/io/authors", "/api/v3/io/authors", None),
        ("/api/v3/io/companies/auth", "/api/v3/io/companies/auth", None),
        ("/api/v2/io/companies", "/api/v2/io/companies", None),
        ("/api/v3/io/x!$&'()*+,=:@~_-", "/api/v3/io/x!$&'()*+,=:@~_-", None),
    ],
)
def test_an_unambiguous_target_is_forwarded(raw: str, path: str, query: str | None) -> None:
    """Verbatim, but for the case of percent-encodings in the path."""
    assert parse_target(PREFIX + raw) == Target(path, query)


@pytest.mark.parametrize(
    "tail",
    [
        "",
        "/",
        "//",
        "//api/v3/io/companies",
        "/api//v3/io/companies",
        "/api/v3/io/companies//",
        "/api/v3/io/../auth",
        "/api/v3/io/./companies",
        "/api/v3/io/..",
        "/api/v3/io/.",
        "/api/v3/io/%2e%2e/auth",
        "/api/v3/io/.%2E/auth",
        "/api/v3/io/%252e%252e/auth",
        "/api/v3/io/..;/auth",
        "/api/v3/io/companies;x=1",
        "/api/v3/io/..%2fauth",
        "/api/v3/io/a%2Fb",
        "/api/v3/io/a%5cb",
        "/api/v3/io/a\\b",
        "/api/v3/io/a%3Bb",
        "/api/v3/io/a%25b",
        "/api/v3/io/%61uth",
        "/api/v3/io/a%7Eb",
        "/api/v3/io/a%00b",
        "/api/v3/io/a%0d%0ab",
        "/api/v3/io/a%7fb",
        "/api/v3/io/%c0%ae%c0%ae/auth",
        "/api/v3/io/a%C0%AFb",
        "/api/v3/io/a%e9b",
        "/api/v3/io/a%c3/%a9",
        "/api/v3/io/a\x00b",
        "/api/v3/io/a\r\nb",
        "/api/v3/io/a\tb",
        "/api/v3/io/a b",
        "/api/v3/io/\xe9",
        "/api/v3/io/a%",
        "/api/v3/io/a%2",
        "/api/v3/io/a%zz",
        "/api/v3/io/companies#x",
        "/api/v3/io/companies\n",
        '/api/v3/io/companies?x="',
        "/api/v3/io/companies?x=\r\nX: y",
        "/api/v3/io/companies?x=é",
        "/api/v3/io/companies?x= y",
        "@evil.example/",
        ":99@evil.example/api",
        ".evil.example/api",
    ],
)
def test_a_path_that_two_parties_could_read_differently_is_refused(tail: str) -> None:
    """What was allowed and what is done must be the same thing."""
    with pytest.raises(AmbiguousTargetError):
        parse_target(PREFIX + tail)


@pytest.mark.parametrize(
    "raw",
    [
        "",
        "*",
        "/api/v3/io/companies",
        "/V1/proxy/api/v3/io/companies",
        "/v1/proxyx/api/v3/io/companies",
        "http://evil.example/v1/proxy/api/v3/io/companies",
        "file:///etc/passwd",
        "evil.example:443",
        "//v1/proxy/api/v3/io/companies",
        " /v1/proxy/api/v3/io/companies",
    ],
)
def test_a_target_that_is_not_beneath_the_proxy_is_refused(raw: str) -> None:
    """Absolute, authority and asterisk forms included."""
    with pytest.raises(AmbiguousTargetError):
        parse_target(raw)


@pytest.mark.parametrize("tail", ["", "/", "/backend/tokens", "?limit=1"])
@pytest.mark.parametrize(
    "room", ["auth", "backend", "proxy", "login", "logout", "AUTH", "Backend", "pRoXy"]
)
def test_rooms_of_credentials_are_never_proxied(room: str, tail: str) -> None:
    """Under any version, with and without ``io``, in any case, and with the version behind ``io`` too."""
    versions = ("", "/v2", "/v3", "/V3", "/v99", "/v3.1", "/v2/v3")
    for io, version in product(("", "/io", "/IO"), versions):
        for path in (f"/api{version}{io}/{room}{tail}", f"/API{io}{version}/{room}{tail}"):
            with pytest.raises(NeverProxiedError) as refused:
                parse_target(PREFIX + path)

            assert refused.value.reason == "never_proxied"


@pytest.mark.parametrize("version", ["v3beta", "v-3", "3", "latest", "V3_1", "x/v3"])
@pytest.mark.parametrize("room", ["/io/auth/backend", "/io/Backend/tokens", "/IO/proxy", "/login"])
def test_rooms_of_credentials_are_never_proxied_under_a_version_of_another_spelling(
    version: str, room: str
) -> None:
    """What the upstream will call its next version is not known."""
    with pytest.raises(NeverProxiedError):
        parse_target(f"{PREFIX}/api/{version}{room}")


def test_a_room_of_credentials_is_one_only_where_it_stands() -> None:
    """Something of a company may have such a name."""
    assert parse_target(f"{PREFIX}/api/v3/io/companies/auth").segments[-1] == "auth"


@pytest.mark.parametrize(
    "path", ["/api", "/api/", "/api/v3", "/api/v3/io", "/api/io/", "/API/V3/IO"]
)
def test_the_root_of_the_api_is_never_proxied(path: str) -> None:
    """It names nothing that a caller could need."""
    with pytest.raises(NeverProxiedError):
        parse_target(PREFIX + path)


@pytest.mark.parametrize(
    "path", ["/graphql", "/", "/apis/v3", "/stores/abc/v3/orders", "/v3/api/x"]
)
def test_only_paths_beneath_api_are_forwarded(path: str) -> None:
    """Whatever else the upstream's host serves is not the broker's business."""
    with pytest.raises(BrokerError) as refused:
        parse_target(PREFIX + path)

    assert refused.value.reason in {"outside_api", "path"}


@given(tail=st.one_of(st.text(max_size=40), st.lists(PIECES, max_size=8).map("".join)))
def test_a_target_is_refused_or_reads_as_itself(tail: str) -> None:
    """What is sent begins with /api and would be parsed to the same target again."""
    try:
        target = parse_target(f"{PREFIX}{tail}")
    except (AmbiguousTargetError, NeverProxiedError):
        return

    assert str(target).lower().startswith("/api/")
    assert parse_target(PREFIX + str(target)) == target
    assert str(target).isascii()
    assert ".." not in target.segments


@given(
    segments=st.lists(
        st.from_regex(r"[a-z0-9._~-]{1,8}", fullmatch=True), min_size=1, max_size=5
    ).filter(lambda segments: not {".", ".."} & set(segments))
)
def test_the_segments_of_a_target_are_its_path(segments: list[str]) -> None:
    """What the scope is matched against is what is sent."""
    path = "/api/v3/io/companies/" + "/".join(segments)

    target = parse_target(PREFIX + path)

    assert "/" + "/".join(target.segments) == path == str(target)
