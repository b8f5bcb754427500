"""Headers through the proxy: which go upstream, which come back, and which spoil an answer."""

import pytest

from tests.support.upstream import CannedResponse
from tests.web.answers import CANARY, assert_problem, says_canary
from tests.web.calling import Api


@pytest.mark.parametrize("given", ["mine-1", "x" * 65, f"{CANARY} x", None])
def test_the_request_id_goes_upstream_as_it_is_in_the_audit_trail(
    api: Api, given: str | None
) -> None:
    """One id leads through all three; what the caller sent and was not taken stays behind."""
    answer = api.proxy(headers={} if given is None else {"X-Request-Id": given})

    (sent,) = api.world.upstream.proxied
    assert sent.headers[-1] == ("X-Request-Id", answer.headers["X-Request-Id"])
    assert [n.lower() for n, _ in sent.headers].count("x-request-id") == 1
    assert api.world.audit.entries[-1].request_id == answer.headers["X-Request-Id"]
    assert CANARY not in str(sent.headers)


@pytest.mark.parametrize("header", ["Range", "If-Range", "Expect", "Via", "Host", "TE"])
def test_a_header_that_would_change_the_exchange_stays_behind(api: Api, header: str) -> None:
    """A part of an answer could hold a part of a token, and the connection upstream is the broker's own."""
    api.proxy(headers={header: CANARY, "X-Said": "kept"})

    (sent,) = api.world.upstream.proxied
    headers = {name.lower(): value for name, value in sent.headers}
    assert header.lower() not in headers
    assert headers["x-said"] == "kept"


UNUSABLE = {
    "a zero": ("X-Odd", f"{CANARY}\x00"),
    "a line break": ("X-Odd", f"a\r\nX-Other: {CANARY}"),
    "a line feed": ("X-Odd", f"a\n{CANARY}"),
    "a control character": ("X-Odd", f"{CANARY}\x1b[2J"),
    "beyond Latin-1": ("X-Odd", f"{CANARY}\u0141"),
    "a name with a blank": (f"X {CANARY}", "a"),
    "a name with a colon": (f"X:{CANARY}", "a"),
    "a name beyond ASCII": (f"{CANARY}é", "a"),
    "an empty name": ("", CANARY),
    "a length that is none": ("Content-Length", CANARY),
    "a negative length": ("Content-Length", "-1"),
    "two lengths in one": ("Content-Length", "2, 2"),
    "a length in other digits": ("Content-Length", "٣"),
}


@pytest.mark.parametrize("header", UNUSABLE.values(), ids=UNUSABLE.keys())
def test_an_answer_with_a_header_that_cannot_be_written_is_502(
    api: Api, header: tuple[str, str]
) -> None:
    """Nothing of it goes on, and its exchange is closed."""
    api.world.upstream.response = CannedResponse(headers=[("X-Fine", "a"), header])

    answer = api.proxy()

    assert_problem(answer, "upstream_answer")
    assert answer.headers["Proxy-Status"] == "b2b-broker; error=http_protocol_error"
    assert says_canary(answer) == []
    assert "X-Fine" not in answer.headers
    assert api.world.upstream.response.closed


def test_a_length_beside_chunks_does_not_come_back(api: Api) -> None:
    """It does not count (RFC 9112 §6.3), and whoever believed it would see another end."""
    api.world.upstream.response = CannedResponse(
        headers=[("Content-Length", "1"), ("Transfer-Encoding", "chunked")], content=[b"longer"]
    )

    answer = api.proxy()

    assert (answer.status_code, answer.data) == (200, b"longer")
    assert "Content-Length" not in answer.headers


@pytest.mark.parametrize(
    ("location", "passes"),
    [
        ("/api/v3/io/companies/1", True),
        ("/", True),
        (f"https://{CANARY}.example/", False),
        (f"//{CANARY}.example/", False),
        (f"/\\{CANARY}.example/", False),
        (CANARY, False),
        ("", False),
    ],
)
def test_a_redirect_leads_to_no_other_host(api: Api, location: str, *, passes: bool) -> None:
    """A client that follows it would take its reference there."""
    api.world.upstream.response = CannedResponse(status=302, headers=[("Location", location)])

    answer = api.proxy()

    assert answer.status_code == 302
    assert answer.headers.get("Location") == (location if passes else None)
