"""Headers through the proxy: what is dropped, and the token that is set exactly once."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core.headers import incoming, outgoing
from service.core.secret import Secret

LEGACY = {"authToken": Secret("canary-token")}
UNIFIED = {"X-Auth-Token": Secret("canary-token"), "X-Store-Hash": Secret("abc123")}
HOP_BY_HOP = [
    "Connection",
    "HTTP2-Settings",
    "Keep-Alive",
    "Proxy-Authenticate",
    "Proxy-Authorization",
    "Proxy-Connection",
    "TE",
    "Trailer",
    "Transfer-Encoding",
    "Upgrade",
]
NEVER_SENT = [
    *HOP_BY_HOP,
    "authToken",
    "Authorization",
    "Cookie",
    "Forwarded",
    "Via",
    "X-Auth-Client",
    "X-Auth-Token",
    "X-Store-Hash",
    "X-Forwarded-For",
    "X-Forwarded-Proto",
    "X-Forwarded-Anything",
    "Broker-Reference",
    "Broker-Key",
    "Proxy-Anything",
    "Content-Length",
    "Expect",
    "Host",
    "Range",
    "If-Range",
    "X-Request-Id",
    "X-HTTP-Method",
    "X-HTTP-Method-Override",
    "X-Method-Override",
    "X-Original-URL",
    "X-Rewrite-URL",
]
NEVER_GIVEN = [
    *HOP_BY_HOP,
    "Refresh",
    "Set-Cookie",
    "Set-Cookie2",
    "WWW-Authenticate",
    "Date",
    "Server",
]
CASES = [str.lower, str.upper, str.title, str.swapcase]
VALUE = "caller's value"


def values(headers: tuple[tuple[str, str], ...], name: str) -> list[str]:
    """Return the values of a header, whatever its case."""
    return [value for found, value in headers if found.lower() == name.lower()]


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", NEVER_SENT)
def test_a_callers_own_header_of_this_name_is_never_sent(
    name: str, case: Callable[[str], str]
) -> None:
    """In whatever case, and however often it is repeated."""
    sent = outgoing([(case(name), VALUE), ("Accept", "*/*"), (case(name), VALUE)], LEGACY)

    assert VALUE not in [value for _, value in sent]
    assert values(sent, "accept") == ["*/*"]


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", NEVER_GIVEN)
def test_an_upstreams_header_of_this_name_is_never_given_to_the_caller(
    name: str, case: Callable[[str], str]
) -> None:
    """Cookies and challenges of the upstream are the broker's, and hop-by-hop headers end here."""
    given_back = incoming([(case(name), VALUE), ("Content-Type", "application/json")])

    assert given_back == [("Content-Type", "application/json")]


@pytest.mark.parametrize(
    ("token", "sent_names"),
    [(LEGACY, {"authtoken"}), (UNIFIED, {"x-auth-token", "x-store-hash"})],
)
def test_exactly_one_token_style_is_sent(token: dict[str, Secret], sent_names: set[str]) -> None:
    """A caller that sends both styles gets the store's own, once."""
    inbound = [
        ("authToken", VALUE),
        ("AUTHTOKEN", VALUE),
        ("X-Auth-Token", VALUE),
        ("X-Store-Hash", "zzz999"),
    ]

    sent = outgoing(inbound, token)

    names = [name.lower() for name, _ in sent]
    styles = {"authtoken", "x-auth-token", "x-store-hash"}
    assert {name for name in names if name in styles} == sent_names
    assert all(names.count(name) == 1 for name in sent_names)
    assert {name.lower(): value for name, value in sent if name.lower() in styles} == {
        name.lower(): secret.reveal() for name, secret in token.items()
    }


@pytest.mark.parametrize(
    "connection",
    [
        "authToken",
        "AUTHTOKEN, close",
        "close,authtoken,X-Auth-Token,X-Store-Hash,Accept-Encoding",
        " authToken ,\tclose",
    ],
)
@pytest.mark.parametrize("name", ["Connection", "connection", "CONNECTION"])
def test_connection_cannot_remove_what_the_broker_sets(name: str, connection: str) -> None:
    """The token is injected after the hop-by-hop headers went, so no caller can name it away."""
    for token in (LEGACY, UNIFIED):
        sent = outgoing([(name, connection)], token)

        for header, secret in token.items():
            assert values(sent, header) == [secret.reveal()]
        assert values(sent, "accept-encoding") == ["identity"]
        assert not values(sent, "connection")


def test_connection_removes_what_it_names() -> None:
    """Several Connection headers are one list, in both directions."""
    headers = [
        ("Connection", "close, X-Hop"),
        ("X-Hop", "1"),
        ("connection", "X-Other"),
        ("x-other", "2"),
        ("X-Stays", "3"),
    ]

    assert outgoing(headers, {}) == (("X-Stays", "3"), ("Accept-Encoding", "identity"))
    assert incoming(headers) == [("X-Stays", "3")]


def test_only_identity_encoding_is_asked_for() -> None:
    """What is read must be readable for the guard."""
    sent = outgoing([("Accept-Encoding", "gzip, br"), ("accept-encoding", "zstd")], LEGACY)

    assert values(sent, "accept-encoding") == ["identity"]


def test_end_to_end_headers_pass_in_order_and_unchanged() -> None:
    """Repeated ones too."""
    headers = [
        ("Content-Type", "application/json"),
        ("accept", "a"),
        ("Accept", "b"),
        ("X-Any", "1"),
        ("traceparent", "00-x"),
    ]

    assert outgoing(headers, {})[:-1] == tuple(headers)
    assert incoming(headers) == headers


@given(
    headers=st.lists(
        st.tuples(
            st.sampled_from([*NEVER_SENT, "Accept", "X-Any"]).flatmap(
                lambda name: st.sampled_from([case(name) for case in CASES])
            ),
            st.sampled_from([VALUE, "authToken", "x-auth-token, x-any", "accept-encoding", ""]),
        ),
        max_size=8,
    )
)
def test_whatever_a_caller_sends_the_token_is_sent_once(headers: list[tuple[str, str]]) -> None:
    """And nothing of the other style."""
    sent = outgoing(headers, LEGACY)

    assert values(sent, "authToken") == ["canary-token"]
    assert not values(sent, "x-auth-token")
    assert not values(sent, "x-store-hash")
    assert {name.lower() for name, _ in sent} <= {"accept", "x-any", "accept-encoding", "authtoken"}
