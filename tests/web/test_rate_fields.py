"""What a caller is told of its budget: with every proxied answer, and when it is refused."""

from datetime import timedelta

from tests.support.upstream import CannedResponse
from tests.support.world import WORKER
from tests.web.answers import assert_problem, assert_retry_after
from tests.web.calling import COMPANIES, Api


def test_a_proxied_answer_says_how_much_is_open_to_the_caller(api: Api) -> None:
    """In the draft's fields, in place of any of the upstream's."""
    api.world.upstream.response = CannedResponse(headers=[("RateLimit", '"theirs";r=1')])
    api.world.clock.move(timedelta(milliseconds=500))

    answer = api.proxy()

    assert answer.headers.getlist("RateLimit") == ['"store";r=134;t=64']
    assert answer.headers.getlist("RateLimit-Policy") == ['"store";q=150;w=60']


def test_an_endpoint_with_a_limit_of_its_own_says_that(api: Api) -> None:
    """It is the one that is reached first."""
    answer = api.proxy("GET", f"{COMPANIES}/1/hierarchy")

    assert answer.headers["RateLimit"] == '"hierarchy";r=13;t=64'
    assert answer.headers["RateLimit-Policy"] == '"hierarchy";q=15;w=60'


def test_a_refusal_is_a_problem_that_says_when_to_come_back(api: Api) -> None:
    """Told from the upstream's own 429 by its ``Proxy-Status``."""
    headers = {"Broker-Reference": api.mint()["reference"]}
    for _ in range(135):
        assert api.ask("GET", COMPANIES, WORKER, headers).status_code == 200
    api.world.clock.move(timedelta(milliseconds=21_900))

    answer = api.ask("GET", COMPANIES, WORKER, headers)

    assert_problem(answer, "rate_limited")
    assert_retry_after(answer, 43)
    assert answer.headers["RateLimit"] == '"store";r=0;t=43'
    assert answer.headers["RateLimit-Policy"] == '"store";q=150;w=60'
    assert answer.headers["Proxy-Status"] == "b2b-broker; error=http_request_denied"


def test_other_answers_say_nothing_of_it(api: Api) -> None:
    """Only what goes upstream takes from the budget."""
    assert "RateLimit" not in api.ask("GET", "/v1/stores").headers
