"""The budget in the proxy: what counts as what, what is learned from the upstream, and how a refusal is told and recorded."""

from datetime import timedelta

import pytest

from service.core.allowance import Allowance
from service.core.budget import Said, endpoint_of, said_less
from service.core.errors import RateLimitedError, StorageError
from service.core.grant import MaxRate
from service.core.policy import AccessGrant, Limits, MintAsk, Policy
from service.core.proxy import Answer, Incoming
from service.core.secret import Secret
from tests.support.upstream import CannedResponse
from tests.support.world import MINTER, STORE, WORKER, World, call

COMPANY = "/v1/proxy/api/v3/io/companies/1"
FAIR = 135
"""Of 150, what one caller can have."""
NOW = "Mon, 23 Nov 2026 12:00:00 GMT"
LATER = "Mon, 23 Nov 2026 12:00:40 GMT"
THOUGHT = Allowance("store", 150, 100, 90, timedelta(seconds=64))


@pytest.fixture
def ready(world: World) -> World:
    """A world with one active store."""
    return world.active()


def reference(world: World, audience: str = WORKER) -> Secret:
    """Mint a reference."""
    return world.minter.mint(call(MINTER), STORE, MintAsk(audience=audience)).reference


def forward(world: World, held: Secret, who: str = WORKER, target: str = COMPANY) -> Answer:
    """Forward one GET."""
    return world.proxy.forward(call(who), held, Incoming("GET", target, (), None, None))


def refusal(
    world: World, held: Secret, who: str = WORKER, target: str = COMPANY
) -> RateLimitedError:
    """Return why a GET is refused."""
    with pytest.raises(RateLimitedError) as refused:
        forward(world, held, who, target)
    return refused.value


def test_what_is_left_is_told_after_each_request(ready: World) -> None:
    """As a share, so that stores with different limits can be shown together."""
    held = reference(ready)

    forward(ready, held)
    forward(ready, held)

    assert ready.observer.shares == [149 / 150, 148 / 150]


@pytest.mark.parametrize(
    ("method", "path", "name"),
    [
        ("POST", "api/v3/io/companies/7/attachments", "attachments"),
        ("POST", "api/v2/io/companies/7/attachments/", "attachments"),
        ("GET", "api/v3/io/companies/7/hierarchy", "hierarchy"),
        ("HEAD", "api/v3/io/companies/7/hierarchy", "hierarchy"),
        ("GET", "api/v3/io/Companies/7/Hierarchy", "hierarchy"),
        ("GET", "api/v3/io/companies/7/attachments", ""),
        ("POST", "api/v3/io/companies/7/hierarchy", ""),
        ("GET", "api/v3/io/companies/hierarchy", ""),
        ("GET", "api/v3/io/companies/7/hierarchy/1", ""),
        ("GET", "api/v3/io/orders/7/hierarchy", ""),
        ("GET", "api/x/io/companies/7/hierarchy", ""),
    ],
)
def test_two_endpoints_have_a_limit_of_their_own(method: str, path: str, name: str) -> None:
    """Matched on the normalised path, and rather too often than too rarely."""
    assert endpoint_of(method, tuple(path.split("/"))) == name


@pytest.mark.parametrize(
    ("status", "headers", "said"),
    [
        (200, {}, None),
        (200, {"X-Requests-Remaining": "100 times"}, None),
        (200, {"X-Requests-Remaining": "140 times"}, None),
        (200, {"X-Requests-Remaining": "many"}, None),
        (200, {"X-Requests-Remaining": "99 times"}, Said(99, timedelta(seconds=60))),
        (
            500,
            {"x-requests-remaining": " 7 times", "x-request-window-resets-after": "0.397350993 s"},
            Said(7, timedelta(seconds=0.397350993)),
        ),
        (
            200,
            {"X-Requests-Remaining": "7", "X-Request-Window-Resets-After": "999999 s"},
            Said(7, timedelta(seconds=60)),
        ),
        (429, {}, Said(0, timedelta(seconds=10))),
        (429, {"Retry-After": "33"}, Said(0, timedelta(seconds=33))),
        (429, {"Retry-After": "999999"}, Said(0, timedelta(minutes=5))),
        (429, {"Retry-After": LATER}, Said(0, timedelta(seconds=10))),
        (429, {"Retry-After": LATER, "Date": NOW}, Said(0, timedelta(seconds=40))),
        (429, {"Retry-After": NOW, "Date": LATER}, Said(0, timedelta(seconds=1))),
        (429, {"Retry-After": "5", "Date": NOW}, Said(0, timedelta(seconds=5))),
        (429, {"Retry-After": LATER, "Date": NOW[:-3] + "+0000"}, Said(0, timedelta(seconds=10))),
        (
            429,
            {"X-Requests-Remaining": "0 times", "X-Request-Window-Resets-After": "12.5 s"},
            Said(0, timedelta(seconds=12.5)),
        ),
        (429, {"X-Requests-Remaining": "120 times"}, None),
    ],
)
def test_what_an_answer_says_of_the_limit(
    status: int, headers: dict[str, str], said: Said | None
) -> None:
    """Only when it is less than was thought; a 429 while some remain is about requests at the same time."""
    assert said_less(status, headers.items(), THOUGHT) == said


def test_the_upstream_is_not_asked_more_than_it_takes(ready: World) -> None:
    """One caller alone gets nine tenths; the refusal is recorded, counted, and says when to come back."""
    held = reference(ready)
    for _ in range(FAIR):
        forward(ready, held)
    ready.clock.move(timedelta(seconds=20))

    refused = refusal(ready, held)

    assert len(ready.upstream.proxied) == FAIR
    assert (refused.reason, refused.retry_after) == ("caller_share", timedelta(seconds=44))
    assert ready.audit.told()[-1] == ("reference.use", "denied", "caller_share")
    assert ready.observer.counts["budget", "caller_share"] == 1
    ready.clock.move(timedelta(seconds=44))
    assert forward(ready, held).status == 200


def test_another_caller_is_let_through_when_one_had_its_share(ready: World) -> None:
    """Until nothing is left at all."""
    greedy, modest = reference(ready), reference(ready, MINTER)
    for _ in range(FAIR):
        forward(ready, greedy)

    answers = [forward(ready, modest, MINTER) for _ in range(14)]

    assert {answer.status for answer in answers} == {200}
    assert answers[0].allowance == Allowance("store", 150, 14, 13, timedelta(seconds=64))
    assert refusal(ready, greedy).reason == "caller_share"


def test_the_hierarchy_is_asked_fifteen_times(ready: World) -> None:
    """And the rest of the store is not affected."""
    path = f"{COMPANY}/hierarchy"
    held, others = reference(ready), reference(ready, MINTER)
    for _ in range(14):
        forward(ready, held, target=path)
    forward(ready, others, MINTER, path)

    assert refusal(ready, held, target=path).reason == "endpoint_budget"
    assert ready.audit.told()[-1] == ("reference.use", "denied", "endpoint_budget")
    assert forward(ready, held).status == 200


def test_the_upstreams_word_lowers_what_is_left(ready: World) -> None:
    """Somebody else called past the broker: nobody runs into the upstream's 429."""
    held = reference(ready)
    ready.upstream.response = CannedResponse(
        headers=[("X-Requests-Remaining", "1 times"), ("X-Request-Window-Resets-After", "30 s")]
    )
    forward(ready, held)
    ready.upstream.response = CannedResponse()
    forward(ready, held)

    refused = refusal(ready, held)

    assert (refused.reason, refused.retry_after) == ("budget", timedelta(seconds=30))
    assert ready.audit.told()[-1] == ("reference.use", "denied", "budget")


def test_after_the_upstreams_429_nobody_asks_until_it_says_so(ready: World) -> None:
    """The answer itself goes to its caller unchanged."""
    held = reference(ready)
    ready.upstream.response = CannedResponse(429, [("Retry-After", "17")])

    passed_on = forward(ready, held)

    assert (passed_on.status, passed_on.headers) == (429, [("Retry-After", "17")])
    assert refusal(ready, held).retry_after == timedelta(seconds=17)
    ready.upstream.response = CannedResponse()
    ready.clock.move(timedelta(seconds=17))
    assert forward(ready, held).status == 200


def test_an_endpoints_429_says_nothing_of_the_store(ready: World) -> None:
    """Which of the limits was reached is not said, so only the smaller one is lowered."""
    held = reference(ready)
    ready.upstream.response = CannedResponse(429)

    forward(ready, held, target=f"{COMPANY}/hierarchy")

    assert refusal(ready, held, target=f"{COMPANY}/hierarchy").reason == "endpoint_budget"
    assert forward(ready, held).status == 429


def test_an_answer_is_given_also_when_what_it_says_cannot_be_kept(
    ready: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The request was made; the next answer says it again."""

    def away(*_arguments: object) -> None:
        raise StorageError("away", reason="away")

    held = reference(ready)
    monkeypatch.setattr(ready.references_table, "lower", away)
    ready.upstream.response = CannedResponse(headers=[("X-Requests-Remaining", "0 times")])

    assert forward(ready, held).status == 200


def test_a_max_rate_travels_from_the_access_file_in_the_grant(ready: World) -> None:
    """It binds what was minted, under the name of the grant that allowed it; a redeemed token is bound by nothing."""
    limits = Limits(access=("proxy", "redeem"), max_rate=2)
    policy = Policy((AccessGrant("slow", (MINTER,), ("*",), ("reference.mint",), limits),))

    slow = ready.minter.mint(call(MINTER, policy), STORE, MintAsk())
    redeemed = ready.minter.mint(call(MINTER, policy), STORE, MintAsk(access="redeem"))
    for _ in range(2):
        forward(ready, slow.reference, MINTER)

    assert slow.grant.max_rate == MaxRate(2, "slow")
    assert redeemed.grant.max_rate is None
    assert refusal(ready, slow.reference, MINTER).reason == "max_rate"
    assert ready.audit.told()[-1] == ("reference.use", "denied", "max_rate")
    assert ready.observer.counts["budget", "max_rate"] == 1
