"""The proxy forwards the raw target byte for byte, and takes the reference from one of three headers."""

import pytest

from tests.support.upstream import CannedResponse
from tests.support.world import WORKER
from tests.web.answers import assert_problem
from tests.web.calling import COMPANIES, Api

HEADERS = ("Broker-Reference", "authToken", "X-Auth-Token")


@pytest.mark.parametrize(
    "target",
    [
        "/api/v3/io/companies",
        "/api/v3/io/companies/",
        "/api/v3/io/companies?limit=10&offset=0",
        "/api/v3/io/companies?",
        "/api/v3/io/companies?q=a%20b+c&q=%2e%2F&q=;:@/?[]|",
        "/api/v3/io/companies/caf%C3%A9",
        "/api/v3/io/companies/a:b@c,d=1!$&'()*+",
        "/api/v3/io/companies?x=http://elsewhere.example//..",
    ],
)
def test_the_raw_target_goes_upstream_byte_for_byte(api: Api, target: str) -> None:
    """Neither Flask nor the broker decodes, sorts or re-encodes anything."""
    answer = api.proxy(environ_overrides={"RAW_URI": f"/v1/proxy{target}"})

    assert answer.status_code == 200
    assert [sent.target for sent in api.world.upstream.proxied] == [target]


def test_percent_encodings_are_written_in_upper_case(api: Api) -> None:
    """The one normalisation of a path; the query stays as it is (RFC 3986 §6.2.2.1)."""
    api.proxy(environ_overrides={"RAW_URI": f"{COMPANIES}/caf%c3%a9?x=%c3"})

    (sent,) = api.world.upstream.proxied
    assert sent.target == "/api/v3/io/companies/caf%C3%A9?x=%c3"


def test_what_flask_decoded_is_not_what_is_forwarded(api: Api) -> None:
    """Only the request line counts, wherever the decoded path leads."""
    reference = {"Broker-Reference": api.mint()["reference"]}

    answer = api.ask(
        "GET",
        "/v1/proxy/api/v3/io/users",
        WORKER,
        reference,
        environ_overrides={"RAW_URI": f"{COMPANIES}/1"},
    )

    assert answer.status_code == 200
    assert [sent.target for sent in api.world.upstream.proxied] == ["/api/v3/io/companies/1"]


def test_a_target_outside_the_request_scope_is_refused(api: Api) -> None:
    """The scope is matched against what would be sent."""
    answer = api.proxy(environ_overrides={"RAW_URI": "/v1/proxy/api/v3/io/users"})

    assert_problem(answer, "outside_request_scope")


@pytest.mark.parametrize("header", HEADERS)
def test_the_reference_comes_in_one_of_three_headers(api: Api, header: str) -> None:
    """A client library of B2B Edition works by changing only base URL and token."""
    reference = api.mint()["reference"]

    answer = api.ask("GET", COMPANIES, WORKER, {header: reference})

    assert answer.status_code == 200
    (sent,) = api.world.upstream.proxied
    assert reference not in str(sent)


def test_the_same_reference_may_come_twice(api: Api) -> None:
    """Saying one thing in all three ways is not ambiguous."""
    reference = api.mint()["reference"]

    answer = api.ask("GET", COMPANIES, WORKER, dict.fromkeys(HEADERS, reference))

    assert answer.status_code == 200


@pytest.mark.parametrize("other", HEADERS[1:])
def test_two_different_references_are_refused(api: Api, other: str) -> None:
    """Which one counts would be a guess, even when both are good; neither loses a use."""
    first, second = api.mint(max_uses=1), api.mint(max_uses=1)

    answer = api.ask(
        "GET",
        COMPANIES,
        WORKER,
        {"Broker-Reference": first["reference"], other: second["reference"]},
    )

    assert_problem(answer, "malformed")
    for minted in (first, second):
        assert api.ask("GET", f"/v1/references/{minted['accessor']}").get_json()["uses_left"] == 1


def test_a_request_without_a_reference_is_refused(api: Api) -> None:
    """A proof of identity alone leads nowhere."""
    answer = api.ask("GET", COMPANIES, WORKER)

    assert_problem(answer, "malformed")
    assert answer.headers["Proxy-Status"] == "b2b-broker; error=http_request_error"


def test_a_reference_is_no_proof_of_identity(api: Api) -> None:
    """Whoever finds one cannot use it."""
    reference = api.mint()["reference"]
    api.world.upstream.response = CannedResponse(content=[b"secret"])

    answer = api.ask("GET", COMPANIES, None, {"Broker-Reference": reference})

    assert_problem(answer, "unauthenticated")
    assert api.world.upstream.proxied == []
