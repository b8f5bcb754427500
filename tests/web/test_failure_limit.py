"""How often one source may fail to prove who it is, and what it notices of that."""

import math
from datetime import timedelta

import pytest
from werkzeug.test import TestResponse

from service.core.caller import Caller
from service.core.secret import Secret
from service.web import failure_limit
from service.web.failure_limit import FailureLimit
from tests.support.access import FakeAccess, key_of, token_of
from tests.support.world import MINTER, OPERATOR, World
from tests.web.answers import assert_problem, assert_retry_after
from tests.web.calling import COMPANIES, Api

HERE, ELSEWHERE = "192.0.2.1", "192.0.2.2"
KEY = {"Broker-Key": key_of(OPERATOR)}
FAILURES: dict[str, dict[str, str]] = {
    "no proof": {},
    "a token": {"Authorization": "Bearer nobody"},
    "no token": {"Authorization": "Basic eDp5"},
    "a key": {"Broker-Key": "nobody"},
    "two proofs": {"Broker-Key": key_of(OPERATOR), "Authorization": f"Bearer {token_of(OPERATOR)}"},
    "a forwarded certificate": {"X-Forwarded-Client-Cert": "URI=spiffe://prod.example/x"},
}


class Limited:
    """An API with three failures a minute for each source: one more every 20 seconds."""

    def __init__(self, per_minute: int = 3) -> None:
        self.api = Api(World(), failures_per_minute=per_minute)

    def ask(self, headers: dict[str, str], address: str = HERE) -> TestResponse:
        """Ask who one is, from an address."""
        overrides = {"REMOTE_ADDR": address}
        return self.api.ask("GET", "/v1/whoami", None, headers, environ_overrides=overrides)

    def fail(self, times: int, address: str = HERE) -> list[int]:
        """Fail some times, and return the statuses."""
        statuses = [self.ask({"Authorization": "Bearer nobody"}, address) for _ in range(times)]
        return [answer.status_code for answer in statuses]


@pytest.fixture
def limited() -> Limited:
    """A fresh one."""
    return Limited()


def test_the_first_failures_are_401_and_recorded_and_the_next_is_429_and_not(
    limited: Limited,
) -> None:
    """So nobody can flood the audit trail; the answer says when to come back."""
    first = limited.fail(3)
    next_ = limited.ask({})

    assert first == [401, 401, 401]
    assert_problem(next_, "too_many_failures")
    assert_retry_after(next_, 20)
    assert limited.api.world.audit.told() == [("authenticate", "denied", "token_unknown")] * 3


@pytest.mark.parametrize("kind", FAILURES)
def test_every_kind_of_failure_counts_and_is_answered_alike(limited: Limited, kind: str) -> None:
    """One bucket for all kinds: changing the kind of guess gains nothing and tells nothing."""
    first = [limited.ask(FAILURES[kind]).status_code for _ in range(3)]

    after = {other: limited.ask(headers) for other, headers in FAILURES.items()}

    assert first == [401, 401, 401]
    assert {answer.status_code for answer in after.values()} == {429}
    bodies = [answer.get_json() | {"request_id": ""} for answer in after.values()]
    assert all(body == bodies[0] for body in bodies)


def test_the_proxy_says_so_too(limited: Limited) -> None:
    """With the header by which its own refusals are told from the upstream's."""
    limited.fail(3)

    answer = limited.api.ask("GET", COMPANIES, None, environ_overrides={"REMOTE_ADDR": HERE})

    assert_problem(answer, "too_many_failures")
    assert answer.headers["Proxy-Status"].startswith("b2b-broker; error=")


def test_the_bucket_fills_up_again_at_a_steady_pace_and_no_further(limited: Limited) -> None:
    """One failure every 20 seconds, and never more than there were at the start."""
    limited.fail(4)
    limited.api.seconds += 19.9
    early = limited.fail(1)
    limited.api.seconds += 0.1
    in_time = limited.fail(2)
    limited.api.seconds += 10_000
    after_long = limited.fail(4)

    assert early == [429]
    assert in_time == [401, 429]
    assert after_long == [401, 401, 401, 429]


def test_failing_while_the_bucket_is_empty_costs_no_more(limited: Limited) -> None:
    """Whoever goes on is not locked out for longer than the answer says."""
    limited.fail(3 + 500)
    wait = int(limited.ask({}).headers["Retry-After"])
    limited.api.seconds += wait

    assert limited.fail(1) == [401]


@pytest.mark.parametrize("per_minute", [1, 2, 3, 7, 59, 60, 61, 1000])
@pytest.mark.parametrize("begin", [0.0, 0.1, 1_234_567.1])
def test_whoever_waits_as_told_may_fail_again(per_minute: int, begin: float) -> None:
    """Whatever the pace is, the answer's whole seconds are enough."""
    seconds = [begin]
    limit = FailureLimit(per_minute, lambda: seconds[0])
    told = []

    for _ in range(5):
        while not (wait := limit.failed(HERE)):
            pass
        seconds[0] += max(1, math.ceil(wait.total_seconds()))
        told.append((wait > timedelta(0), limit.failed(HERE)))

    assert told == [(True, timedelta(0))] * 5


def test_other_sources_are_not_affected(limited: Limited) -> None:
    """Each has a bucket of its own."""
    limited.fail(4)

    assert limited.fail(4, ELSEWHERE) == [401, 401, 401, 429]


# addresses that are one source, and one that is another
SOURCES = {
    "one address": (["192.0.2.1", "192.0.2.1"], "192.0.2.129"),
    "one /64": (["2001:db8::1", "2001:db8::ffff:0:1", "2001:0db8:0::2"], "2001:db8:0:1::1"),
    "an address and itself mapped": (["192.0.2.1", "::ffff:192.0.2.1"], "::ffff:192.0.2.2"),
    "mapped, in another spelling": (["::ffff:c000:201", "192.0.2.1"], "::ffff:c000:202"),
    "a link's own": (["fe80::1%eth0", "fe80::2%eth1"], "fe81::1"),
    "none": (["", ""], "192.0.2.1"),
    "what is no address": (["unix:", "unix:"], ""),
}


@pytest.mark.parametrize("what", SOURCES)
def test_a_source_is_an_address_or_what_one_site_has(limited: Limited, what: str) -> None:
    """Whoever has one IPv6 address has 2^64 of them; an IPv4 address has two spellings on a socket for both."""
    same, other = SOURCES[what]
    first = [limited.fail(1, same[number % len(same)]) for number in range(3)]

    again = [limited.fail(1, address) for address in same]

    assert first == [[401]] * 3
    assert again == [[429]] * len(same)
    assert limited.fail(1, other) == [401]


@pytest.mark.parametrize(
    "name", ["X-Forwarded-For", "Forwarded", "X-Real-IP", "X-Client-IP", "True-Client-IP"]
)
def test_what_a_header_says_of_the_address_is_not_looked_at(limited: Limited, name: str) -> None:
    """Otherwise everybody could have as many sources as they like, or use up somebody else's."""
    limited.fail(3)

    statuses = [limited.ask({name: f"203.0.113.{n}"}).status_code for n in range(3)]

    assert statuses == [429, 429, 429]
    assert limited.fail(1, "203.0.113.0") == [401]


def test_a_good_token_passes_even_then(limited: Limited) -> None:
    """It cannot be guessed, and a neighbour behind the same address must not lock anybody out; it gives nothing back either."""
    limited.fail(4)

    answers = [limited.ask({"Authorization": f"Bearer {token_of(MINTER)}"}) for _ in range(50)]

    assert {answer.status_code for answer in answers} == {200}
    assert limited.fail(1) == [429]


class CountingKeys(FakeAccess):
    """Counts how many API keys it was shown."""

    def __init__(self) -> None:
        super().__init__()
        self.shown = 0

    def by_key(self, key: Secret) -> Caller:
        self.shown += 1
        return super().by_key(key)


def test_no_api_key_is_looked_at_until_the_bucket_has_something_again(limited: Limited) -> None:
    """How hard a key is to guess is up to whoever made it: a good one and a bad one are answered alike."""
    keys = limited.api.access = CountingKeys()
    before = limited.ask(KEY)
    limited.fail(3)
    good, bad = limited.ask(KEY), limited.ask({"Broker-Key": "nobody"})
    shown = keys.shown
    limited.api.seconds += 20

    assert (before.status_code, shown) == (200, 1)
    for answer in (good, bad):
        assert_problem(answer, "too_many_failures")
        assert_retry_after(answer, 20)
    assert limited.ask(KEY).status_code == 200
    assert limited.ask(KEY, ELSEWHERE).status_code == 200


def test_keys_that_hold_cost_nothing(limited: Limited) -> None:
    """Only failures are counted."""
    statuses = [limited.ask(KEY).status_code for _ in range(50)]

    assert set(statuses) == {200}
    assert limited.fail(4) == [401, 401, 401, 429]


def test_only_so_many_sources_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that have been quiet for longest are forgotten first, so memory is bounded."""
    monkeypatch.setattr(failure_limit, "_SOURCES", 3)
    limit = FailureLimit(1, lambda: 100.0)
    for number in (1, 2, 3, 1, 4):
        limit.failed(f"192.0.2.{number}")

    waits = {number: bool(limit.wait(f"192.0.2.{number}")) for number in (1, 2, 3, 4)}

    assert waits == {1: True, 2: False, 3: True, 4: True}
    assert len(limit._buckets) == 3


def test_asking_how_long_to_wait_counts_nothing() -> None:
    """Nor does it remember the source."""
    limit = FailureLimit(1, lambda: 100.0)

    waits = [limit.wait(HERE) for _ in range(10)]

    assert waits == [timedelta(0)] * 10
    assert len(limit._buckets) == 0
