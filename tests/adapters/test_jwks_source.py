"""An issuer's keys from an address: fetched when they are due, kept through outages for an hour, and never fetched in a flood."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest

from sandbox.demo.processes import wait_until
from service.adapters.jwks_source import JwksSource
from service.core.errors import IssuerAwayError, UpstreamUnreachableError
from tests.adapters.asking import Asker, Monotonic, asked_cluster
from tests.adapters.tokens import EC_KEY, ED_KEY, jwk_set, public_jwk
from tests.support.cluster import JWKS_PATH, Cluster

FIVE_MINUTES, HALF_A_MINUTE, HOUR = 300.0, 30.0, 3600.0
FIRST = jwk_set(public_jwk("first", EC_KEY))
SECOND = jwk_set(public_jwk("second", ED_KEY))


class Issuer:
    """Where the keys are; None for an issuer that is away."""

    def __init__(self, answer: bytes | None = FIRST) -> None:
        self.answer = answer
        self.asked = 0

    def fetch(self) -> bytes:
        """Fulfil ``Fetch``."""
        self.asked += 1
        if self.answer is None:
            raise UpstreamUnreachableError("away", reason="upstream_unreachable")
        return self.answer


@pytest.fixture
def issuer() -> Issuer:
    """An issuer that is there."""
    return Issuer()


@pytest.fixture
def clock() -> Monotonic:
    """The clock of the source."""
    return Monotonic()


@pytest.fixture
def source(issuer: Issuer, clock: Monotonic) -> JwksSource:
    """A source that has fetched nothing yet."""
    return JwksSource(issuer.fetch, clock)


def _is_away(source: JwksSource, kid: str = "first") -> bool:
    with pytest.raises(IssuerAwayError) as caught:
        source.find(kid)
    told = (caught.value.detail, caught.value.reason, caught.value.retry_after)
    return told == ("The issuer's keys cannot be fetched.", "issuer_away", timedelta(seconds=30))


def test_the_first_token_fetches_the_keys_and_the_next_ones_do_not(
    source: JwksSource, issuer: Issuer
) -> None:
    """Nothing is fetched at the start, so an issuer that is away does not stop it."""
    assert (source.problem, issuer.asked) == ("not fetched yet", 0)

    found = [source.find("first") for _ in range(3)]

    assert found[0] is found[1] is found[2] is not None
    assert (source.problem, issuer.asked) == ("", 1)


def test_a_token_without_kid_gets_the_only_key(source: JwksSource) -> None:
    """As with a set from a file."""
    assert source.find(None) is source.find("first") is not None


@pytest.mark.parametrize(("seconds", "fetches"), [(0.0, 1), (300.0, 1), (300.5, 2), (4000.0, 2)])
def test_a_refresh_fetches_when_it_is_due(
    source: JwksSource, issuer: Issuer, clock: Monotonic, seconds: float, fetches: int
) -> None:
    """In the background, after five minutes; the first one at once."""
    source.refresh()
    clock.move(seconds)

    source.refresh()
    source.refresh()

    assert issuer.asked == fetches


@pytest.mark.parametrize("seconds", [0.0, 10.0])
def test_a_machine_that_has_just_started_fetches_at_once(issuer: Issuer, seconds: float) -> None:
    """The clock counts from there, and nothing was fetched at its beginning."""
    refreshed, asked = (JwksSource(issuer.fetch, Monotonic(seconds)) for _ in range(2))

    refreshed.refresh()
    found = asked.find("first")

    assert refreshed.problem == ""
    assert found is not None
    assert issuer.asked == 2


def test_a_refresh_puts_new_keys_in_force(
    source: JwksSource, issuer: Issuer, clock: Monotonic
) -> None:
    """The set is replaced as a whole: a key that is gone verifies nothing any more."""
    source.refresh()
    issuer.answer = SECOND
    clock.move(FIVE_MINUTES + 1)

    source.refresh()

    assert source.find("second") is not None
    assert source.find("first") is None


def test_an_unknown_kid_fetches_again_at_once_if_that_is_not_a_moment_ago(
    source: JwksSource, issuer: Issuer, clock: Monotonic
) -> None:
    """The issuer may just have rotated; nobody waits for the next refresh."""
    source.find("first")
    issuer.answer = SECOND

    clock.move(HALF_A_MINUTE - 0.5)
    too_soon = source.find("second")
    clock.move(0.5)
    in_time = source.find("second")

    assert too_soon is None
    assert in_time is not None
    assert issuer.asked == 2


def test_a_flood_of_unknown_kids_fetches_once_in_half_a_minute(
    source: JwksSource, issuer: Issuer, clock: Monotonic
) -> None:
    """Eight threads with a new kid each time: the issuer is asked once, and again only after 30 s."""
    source.find("first")
    together = threading.Barrier(8)

    def flood(number: int) -> list[object]:
        together.wait(10)
        return [source.find(f"made-up-{number}-{count}") for count in range(50)]

    def asked_by_flood() -> int:
        before = issuer.asked
        with ThreadPoolExecutor(8) as pool:
            assert {key for found in pool.map(flood, range(8)) for key in found} == {None}
        return issuer.asked - before

    clock.move(1)
    soon = asked_by_flood()
    clock.move(HALF_A_MINUTE)
    later = asked_by_flood()
    clock.move(HALF_A_MINUTE - 1)
    again = asked_by_flood()

    assert (soon, later, again) == (0, 1, 0)


def test_a_known_kid_never_waits_for_a_fetch(issuer: Issuer, clock: Monotonic) -> None:
    """While somebody's unknown kid fetches from a slow issuer, everybody else goes on."""
    fetching, go_on = threading.Event(), threading.Event()

    def slow() -> bytes:
        if issuer.asked:
            fetching.set()
            assert go_on.wait(10)
        return issuer.fetch()

    source = JwksSource(slow, clock)
    source.find("first")
    clock.move(HALF_A_MINUTE)

    with ThreadPoolExecutor(1) as pool:
        unknown = pool.submit(source.find, "made-up")
        assert fetching.wait(10)
        meanwhile = source.find("first")
        go_on.set()

        assert meanwhile is not None
        assert unknown.result(10) is None


def test_a_good_set_outlives_an_outage_by_an_hour(
    source: JwksSource, issuer: Issuer, clock: Monotonic
) -> None:
    """Then nobody can be verified, which is not the caller's fault; and it recovers by itself."""
    source.find("first")
    issuer.answer = None
    for _ in range(12):
        clock.move(FIVE_MINUTES)
        source.refresh()
    at_the_end = source.find("first")
    problem = source.problem

    clock.move(0.5)
    away = _is_away(source)
    clock.move(HALF_A_MINUTE)
    issuer.answer = FIRST
    back = source.find("first")

    assert at_the_end is not None
    assert (away, problem) == (True, "upstream_unreachable")
    assert back is not None
    assert source.problem == ""


def test_an_issuer_that_was_never_there_is_away_and_is_not_hammered(
    source: JwksSource, issuer: Issuer, clock: Monotonic
) -> None:
    """Each token is told to come back; the issuer is asked once in half a minute."""
    issuer.answer = None

    refused = [_is_away(source, kid) for kid in ("first", "second", "first")]
    clock.move(HALF_A_MINUTE)
    refused.append(_is_away(source))

    assert refused == [True] * 4
    assert issuer.asked == 2


REFUSED = {
    "no JSON": b"<html>",
    "no keys": jwk_set(),
    "a symmetric key": jwk_set({"kty": "oct", "k": "c2VjcmV0", "kid": "first"}),
    "one bad key": jwk_set(public_jwk("second", ED_KEY), {"kty": "RSA"}),
    "twice the same kid": jwk_set(public_jwk("x", ED_KEY), public_jwk("x", EC_KEY)),
}


@pytest.mark.parametrize("bad", REFUSED.values(), ids=REFUSED.keys())
def test_a_refused_set_never_replaces_a_good_one(
    source: JwksSource, issuer: Issuer, clock: Monotonic, bad: bytes
) -> None:
    """The good one stays in force for its hour, no longer; the problem names the rule."""
    source.find("first")
    issuer.answer = bad
    clock.move(FIVE_MINUTES + 1)
    source.refresh()

    kept, new = source.find("first"), source.find("second")
    problem = source.problem
    clock.move(HOUR - FIVE_MINUTES)

    assert kept is not None
    assert new is None
    assert problem
    assert "\n" not in problem
    assert _is_away(source)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[tuple[Cluster, Asker]]:
    """A fake API server, and who asks it."""
    with asked_cluster(tmp_path) as both:
        yield both


def test_a_clusters_keys_are_fetched_and_follow_its_rotation(
    cluster: tuple[Cluster, Asker], clock: Monotonic
) -> None:
    """Over TLS, as an API server gives them."""
    server, asker = cluster
    source = JwksSource(asker.fetch, clock)
    before = source.find("cluster-1")
    server.rotate("cluster-2")
    clock.move(HALF_A_MINUTE)

    after = source.find("cluster-2")

    assert before is not None
    assert after is not None
    assert source.find("cluster-1") is None
    assert server.asked == [JWKS_PATH] * 2


def test_a_cluster_that_refuses_us_leaves_its_keys_in_force(
    cluster: tuple[Cluster, Asker], clock: Monotonic
) -> None:
    """Its 401 is a problem of ours that an operator sees, and no key set."""
    server, asker = cluster
    source = JwksSource(asker.fetch, clock)
    source.refresh()
    server.own_token = "another"
    clock.move(FIVE_MINUTES + 1)

    source.refresh()

    assert source.problem == "status_401"
    assert source.find("cluster-1") is not None


def test_whoever_comes_during_a_fetch_gets_its_keys() -> None:
    """At the start, and after a rotation, nobody is refused because somebody else was a moment earlier."""
    fetching, go_on = threading.Event(), threading.Event()
    looked: list[int] = []

    def fetch() -> bytes:
        fetching.set()
        assert go_on.wait(10)
        return jwk_set(public_jwk("first", EC_KEY))

    def monotonic() -> float:
        looked.append(1)
        return 1000.0

    source = JwksSource(fetch, monotonic)
    with ThreadPoolExecutor(2) as threads:
        one = threads.submit(source.find, "first")
        assert fetching.wait(10)
        before = len(looked)
        two = threads.submit(source.find, "first")
        wait_until("the second has looked", lambda: len(looked) > before, 5)
        go_on.set()

        assert one.result(10) is not None
        assert two.result(10) is not None
