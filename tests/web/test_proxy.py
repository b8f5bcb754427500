"""The proxy's edge: what goes upstream, what comes back, and how the broker's own refusals are told apart."""

import pytest

from service.core.errors import UpstreamError, UpstreamTimeoutError, UpstreamUnreachableError
from tests.support.upstream import CannedResponse
from tests.support.world import STORE, WORKER
from tests.web.answers import CANARY, assert_problem
from tests.web.calling import COMPANIES, CREDENTIAL, Api


def test_the_upstreams_answer_passes_unchanged(api: Api) -> None:
    """Status, headers and body are the upstream's; ``Proxy-Status`` says so."""
    api.world.upstream.response = CannedResponse(
        status=422,
        headers=[
            ("Content-Type", "application/vnd.b2b+json"),
            ("X-Rate-Limit", "7"),
            ("Cache-Control", "max-age=60"),
            ("Link", "<a>"),
            ("Link", "<b>"),
        ],
        content=[b'{"code":', b"422}"],
    )

    answer = api.proxy()

    assert (answer.status_code, answer.data) == (422, b'{"code":422}')
    assert answer.headers["Proxy-Status"] == "b2b-broker; received-status=422"
    assert answer.headers["Content-Type"] == "application/vnd.b2b+json"
    assert (answer.headers["X-Rate-Limit"], answer.headers["Cache-Control"]) == ("7", "max-age=60")
    assert answer.headers.getlist("Link") == ["<a>", "<b>"]


def test_no_content_type_is_added(api: Api) -> None:
    """An answer that does not say what it is goes on as it came."""
    api.world.upstream.response = CannedResponse(headers=[], content=[b"\x00\x01"])

    answer = api.proxy()

    ours = {"Proxy-Status", "X-Request-Id", "RateLimit", "RateLimit-Policy"}
    assert set(answer.headers.keys()) == ours


@pytest.mark.parametrize(
    "header",
    [
        "Set-Cookie",
        "WWW-Authenticate",
        "Connection",
        "Keep-Alive",
        "Proxy-Authenticate",
        "Transfer-Encoding",
        "Trailer",
        "Upgrade",
        "X-Named-By-Connection",
    ],
)
def test_what_belongs_to_the_connection_or_the_login_stays_behind(api: Api, header: str) -> None:
    """Neither cookies, challenges nor hop-by-hop headers come back."""
    api.world.upstream.response = CannedResponse(
        headers=[(header, "x-named-by-connection"), ("Connection", "X-Named-By-Connection")]
    )

    answer = api.proxy()

    assert answer.status_code == 200
    assert header not in answer.headers


def test_an_upstream_cannot_pose_as_the_broker(api: Api) -> None:
    """A problem of ours in the upstream's answer is told from a real one by ``Proxy-Status``."""
    api.world.upstream.response = CannedResponse(
        status=403,
        headers=[("Proxy-Status", "b2b-broker; error=http_request_denied"), ("X-Request-Id", "x")],
    )

    answer = api.proxy(headers={"X-Request-Id": "mine"})

    assert answer.headers.getlist("Proxy-Status") == ["b2b-broker; received-status=403"]
    assert answer.headers.getlist("X-Request-Id") == ["mine"]


def test_the_request_goes_upstream_with_the_token_and_without_the_caller(api: Api) -> None:
    """End-to-end headers pass; every proof and every token of the caller is replaced by the one of the store."""
    api.proxy(headers={"Accept": "application/json", "X-Store-Hash": CANARY, "Cookie": CANARY})

    (sent,) = api.world.upstream.proxied
    headers = {name.lower(): value for name, value in sent.headers}
    assert headers["authtoken"] == api.world.upstream.live(STORE)[0].value
    assert headers["accept"] == "application/json"
    assert not headers.keys() & {"authorization", "broker-reference", "x-store-hash", "cookie"}


def test_a_body_streams_upstream_with_its_length(api: Api) -> None:
    """The upstream is told the length that the caller announced."""
    answer = api.proxy("POST", "/v1/proxy/api/v3/io/orders", data=b'{"a":1}')

    (sent,) = api.world.upstream.proxied
    assert (answer.status_code, sent.method, sent.body_bytes) == (200, "POST", 7)


def test_a_body_in_chunks_streams_upstream_without_a_length(api: Api) -> None:
    """Its length is not known before its end."""
    api.proxy(
        "POST",
        "/v1/proxy/api/v3/io/orders",
        headers={"Transfer-Encoding": "chunked"},
        data=b"{}",
        environ_overrides={"CONTENT_LENGTH": "", "wsgi.input_terminated": True},
    )

    (sent,) = api.world.upstream.proxied
    assert sent.body is not None
    assert sent.body_bytes is None


def test_a_request_without_a_body_has_none_upstream(api: Api) -> None:
    """A GET is not turned into one with an empty body."""
    api.proxy()

    (sent,) = api.world.upstream.proxied
    assert (sent.body, sent.body_bytes) == (None, None)


@pytest.mark.parametrize(
    ("error", "problem", "named"),
    [
        (UpstreamTimeoutError("no", reason="x"), "upstream_timeout", "http_response_timeout"),
        (
            UpstreamUnreachableError("no", reason="x"),
            "upstream_unreachable",
            "destination_unavailable",
        ),
    ],
)
def test_an_upstream_that_does_not_answer_is_a_problem_that_names_it(
    api: Api, error: UpstreamError, problem: str, named: str
) -> None:
    """The error type of RFC 9209 tells what failed."""
    reference = api.mint()["reference"]
    api.world.upstream.failure = error

    answer = api.ask("GET", COMPANIES, WORKER, {"Broker-Reference": reference})

    assert_problem(answer, problem)
    assert answer.headers["Proxy-Status"] == f"b2b-broker; error={named}"


def test_a_request_outside_the_request_scope_is_403(api: Api) -> None:
    """The reference is good, and not for this."""
    answer = api.proxy("DELETE")

    assert_problem(answer, "outside_request_scope")
    assert answer.headers["Proxy-Status"] == "b2b-broker; error=http_request_denied"
    assert api.world.upstream.proxied == []


def test_a_reference_outlives_its_store_as_410(api: Api) -> None:
    """Removing a store ends its references."""
    reference = api.mint()["reference"]
    api.ask("DELETE", f"/v1/stores/{STORE}")

    answer = api.ask("GET", COMPANIES, WORKER, {"Broker-Reference": reference})

    assert_problem(answer, "reference_invalid")


def test_a_use_that_cannot_be_recorded_releases_nothing(api: Api) -> None:
    """Without an audit entry the token stays sealed and nothing goes upstream."""
    reference = api.mint()["reference"]
    api.world.audit.broken = True

    answer = api.ask("GET", COMPANIES, WORKER, {"Broker-Reference": reference})

    assert_problem(answer, "audit_unavailable")
    assert answer.headers["Proxy-Status"] == "b2b-broker; error=proxy_internal_error"
    assert api.world.upstream.proxied == []
    assert CREDENTIAL["password"] not in answer.text
