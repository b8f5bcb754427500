"""What a caller is told of its budget: with every proxied answer, and when it is refused."""

from datetime import timedelta

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
    assert answers[0].headers["RateLimit"] == '"store";r=134;t=64'
    assert_problem(answers[1], "rate_limited")
    assert answers[1].headers["RateLimit"] == '"max_rate";r=0;t=64'
    assert answers[1].headers["RateLimit-Policy"] == '"max_rate";q=1;w=60'
