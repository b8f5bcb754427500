"""What a caller is told of its budget: with every proxied answer, and when it is refused."""

from datetime import timedelta

import pytest

from service.core.policy import AccessGrant, Limits, Policy
from tests.support.access import FakeAccess
from tests.support.upstream import CannedResponse
from tests.support.world import MINTER, OPERATOR, POLICY, WORKER
from tests.web.answers import assert_problem, assert_retry_after
from tests.web.calling import COMPANIES, Api


def test_a_proxied_answer_says_how_much_is_open_to_the_caller(api: Api) -> None:
    """In the draft's fields, in place of any of the upstream's."""
    api.world.upstream.response = CannedResponse(headers=[("RateLimit", '"theirs";r=1')])
    api.world.clock.move(timedelta(milliseconds=500))

    answer = api.proxy()

    assert answer.headers.getlist("RateLimit") == ['"store";r=134;t=64']
    assert answer.headers.getlist("RateLimit-Policy") == ['"store";q=150;w=64']


@pytest.mark.parametrize(
    ("status", "headers", "told"),
    [
        (200, {"X-Requests-Remaining": "3", "X-Request-Window-Resets-After": "9"}, "r=3;t=9"),
        (200, {"X-Requests-Remaining": "140"}, "r=134;t=64"),
        (429, {"Retry-After": "17"}, "r=0;t=17"),
    ],
)
def test_an_answer_says_what_the_upstream_has_just_said(
    api: Api, status: int, headers: dict[str, str], told: str
) -> None:
    """And not what was thought before; nobody is invited to run into its 429."""
    api.world.upstream.response = CannedResponse(status, list(headers.items()))
    api.world.clock.move(timedelta(milliseconds=500))

    answer = api.proxy()

    assert answer.headers["RateLimit"] == f'"store";{told}'


def test_an_endpoint_of_which_more_is_left_than_of_the_store_is_not_what_is_told(api: Api) -> None:
    """Whichever limit is reached first."""
    headers = {"Broker-Reference": api.mint()["reference"]}
    for _ in range(133):
        api.ask("GET", COMPANIES, WORKER, headers).close()

    answer = api.ask("GET", f"{COMPANIES}/1/hierarchy", WORKER, headers)

    assert answer.headers["RateLimit"].startswith('"store";r=1;')


def test_an_endpoint_with_a_limit_of_its_own_says_that(api: Api) -> None:
    """It is the one that is reached first."""
    answer = api.proxy("GET", f"{COMPANIES}/1/hierarchy")

    assert answer.headers["RateLimit"] == '"hierarchy";r=13;t=64'
    assert answer.headers["RateLimit-Policy"] == '"hierarchy";q=15;w=64'


def test_a_refusal_is_a_problem_that_says_when_to_come_back(api: Api) -> None:
    """Told from the upstream's own 429 by its ``Proxy-Status``."""
    headers = {"Broker-Reference": api.mint()["reference"]}
    for _ in range(135):
        with api.ask("GET", COMPANIES, WORKER, headers) as answer:
            assert answer.status_code == 200
    api.world.clock.move(timedelta(milliseconds=21_900))

    answer = api.ask("GET", COMPANIES, WORKER, headers)

    assert_problem(answer, "rate_limited")
    assert_retry_after(answer, 43)
    assert answer.headers["RateLimit"] == '"store";r=0;t=43'
    assert answer.headers["RateLimit-Policy"] == '"store";q=150;w=64'
    assert answer.headers["Proxy-Status"] == "b2b-broker; error=http_request_denied"


def test_other_answers_say_nothing_of_it(api: Api) -> None:
    """Only what goes upstream takes from the budget."""
    assert "RateLimit" not in api.ask("GET", "/v1/stores").headers


def test_a_grants_max_rate_is_shown_and_told_by_its_name(api: Api) -> None:
    """Whoever mints sees it, and whoever reaches it learns that it is not the store's limit."""
    limits = Limits(audiences=(WORKER,), max_rate=1)
    slow = AccessGrant("slow", (MINTER,), ("*",), ("reference.mint",), limits)
    reader = AccessGrant("reader", (OPERATOR,), ("*",), ("policy.read",))
    api.access = FakeAccess(Policy((slow, reader, *POLICY.grants)))
    minted = api.mint()
    headers = {"Broker-Reference": minted["reference"]}

    answers = [api.ask("GET", COMPANIES, WORKER, headers) for _ in range(2)]
    asked = {"caller": MINTER, "action": "reference.mint", "store_hash": "abc123"}
    explained = api.ask("POST", "/v1/policy/explain", json=asked | {"audience": WORKER})

    assert minted["max_rate"] == explained.get_json()["terms"]["max_rate"] == 1
    assert answers[0].headers["RateLimit"] == '"max_rate";r=0;t=64'
    assert_problem(answers[1], "rate_limited")
    assert answers[1].headers["RateLimit"] == '"max_rate";r=0;t=64'
    assert answers[1].headers["RateLimit-Policy"] == '"max_rate";q=1;w=64'
