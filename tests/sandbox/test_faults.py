"""Switches that delay, fail or replace answers."""

from __future__ import annotations

import http.client
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.sandbox.calling import ACCESS_TOKEN, COMPANIES

if TYPE_CHECKING:
    from tests.sandbox.calling import Caller


@pytest.mark.parametrize("latency", [0.05, [0.05, 0.06]])
def test_every_answer_waits_for_the_latency(api: Caller, latency: Any) -> None:
    """A number, or a range to choose from."""
    api.set(latency_seconds=latency)
    start = time.monotonic()

    api.manage("GET", "/companies")

    assert time.monotonic() - start >= 0.05


def test_the_next_requests_fail_and_then_no_more(api: Caller) -> None:
    """The plan counts down where everyone can see it."""
    api.set(fail_next={"status": 503, "count": 2})
    first = api.manage("GET", "/companies").status
    left = api.send("GET", "/_sandbox/behaviours").json()["fail_next"]

    rest = [api.manage("GET", "/companies").status for _ in range(2)]

    assert first == 503
    assert left == {"status": 503, "count": 1}
    assert rest == [503, 200]


def test_planned_failures_can_be_for_one_path_of_one_store(api: Caller) -> None:
    """Other paths and stores do not use the plan up."""
    api.set(store_hash="abc123", fail_next={"status": 500, "count": 1, "path": "/api/v3/io/users"})

    statuses = [
        api.manage("GET", "/users", store_hash="def456").status,
        api.manage("GET", "/companies").status,
        api.manage("GET", "/users").status,
        api.manage("GET", "/users").status,
    ]

    assert statuses == [200, 200, 500, 200]


def test_every_nth_request_fails_in_turn(api: Caller) -> None:
    """500 and 503, by count and not by chance."""
    api.set(fail_every=2)

    statuses = [api.manage("GET", "/companies").status for _ in range(4)]

    assert statuses == [200, 500, 200, 503]


@pytest.mark.parametrize(
    "behaviours", [{"hang_seconds": 0.05}, {"connection_fault": "drop"}], ids=str
)
def test_a_held_or_dropped_request_gets_no_answer(api: Caller, behaviours: dict[str, Any]) -> None:
    """The record shows that it came, and no status."""
    api.set(**behaviours)

    with pytest.raises(http.client.RemoteDisconnected):
        api.manage("GET", "/companies")

    assert api.requests()[-1]["status"] is None


def test_everything_redirects_where_that_is_set(api: Caller) -> None:
    """A proxy must not follow with a credential."""
    api.set(redirect_to="http://elsewhere.example/")

    reply = api.manage("GET", "/companies")

    assert reply.status == 302
    assert reply.headers["Location"] == "http://elsewhere.example/"


@pytest.mark.parametrize(
    ("outcome", "status", "code"),
    [("ok_with_422_body", 200, 422), ("session_expired", 200, 40101), ("saving_error", 422, 422)],
)
def test_a_management_request_comes_to_an_error_in_the_body(
    api: Caller, outcome: str, status: int, code: int
) -> None:
    """A 200 is not always one."""
    api.set(management_outcome=outcome)

    reply = api.manage("GET", "/companies")

    assert (reply.status, reply.json()["code"]) == (status, code)


def test_a_management_request_comes_to_a_page_or_a_flood(api: Caller) -> None:
    """Neither is what a client expects of an API."""
    api.set(management_outcome="html")
    page = api.manage("GET", "/companies")
    api.set(management_outcome="huge_body")
    flood = api.manage("GET", "/companies")

    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    assert len(flood.body) > 20_000_000


def test_reflection_shows_the_token_in_body_and_header(api: Caller) -> None:
    """What a proxy must never let through."""
    api.set(reflect_headers=True, reflect_in_header=True)

    reply = api.manage("GET", "/companies")

    assert ["X-Auth-Token", ACCESS_TOKEN] in reply.json()["data"]["headers"]
    assert ACCESS_TOKEN.encode() in reply.body
    assert reply.headers["X-Reflected-Token"] == ACCESS_TOKEN


def test_escaped_reflection_hides_the_token_from_a_plain_search(api: Caller) -> None:
    """Only a JSON reader sees it."""
    api.set(reflect_headers=True, reflect_escaped=True)

    reply = api.manage("GET", "/companies")

    assert ACCESS_TOKEN.encode() not in reply.body
    assert ["X-Auth-Token", ACCESS_TOKEN] in reply.json()["data"]["headers"]


def test_answers_set_a_cookie_and_trace_headers(api: Caller) -> None:
    """As the real ones do; the cookie can be turned off."""
    reply = api.manage("GET", "/companies")
    api.set(set_cookie=False, response_headers={"WWW-Authenticate": "Token"})
    other = api.manage("GET", "/companies")

    assert reply.headers["Set-Cookie"].startswith("csrftoken=")
    assert {"X-Request-Id", "Trace-Id", "X-Envoy-Upstream-Service-Time"} <= set(reply.headers)
    assert other.headers["Set-Cookie"] is None
    assert other.headers["WWW-Authenticate"] == "Token"


def test_a_switch_for_one_store_leaves_the_others_alone(api: Caller) -> None:
    """The exception lies over what is set for all."""
    api.set(store_hash="abc123", redirect_to="http://elsewhere.example/")

    assert api.manage("GET", "/companies").status == 302
    assert api.manage("GET", "/companies", store_hash="def456").status == 200
    assert api.send("GET", COMPANIES).status == 401
