"""Asking the cluster about a token: what is remembered, what is not, and which answers prove nothing."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest

from sandbox.demo.processes import wait_until
from service.adapters import token_review
from service.adapters.token_review import PATH, TokenReviews
from service.core.errors import (
    IssuerAwayError,
    UnauthenticatedError,
    UpstreamTimeoutError,
)
from service.core.secret import Secret
from tests.adapters.asking import Asker, Monotonic, asked_cluster
from tests.adapters.reviewing import AUDIENCE, GOOD, USER, Answering, outcome
from tests.support.cluster import REVIEW_PATH, Cluster

OTHER = "system:serviceaccount:commerce:other"
TOKEN = Secret("canary.token.text")


@pytest.fixture
def clock() -> Monotonic:
    """The clock of the reviews."""
    return Monotonic()


@pytest.fixture
def asked(tmp_path: Path) -> Iterator[tuple[Cluster, Asker]]:
    """A fake API server, and who asks it."""
    with asked_cluster(tmp_path) as both:
        yield both


@pytest.fixture
def cluster(asked: tuple[Cluster, Asker]) -> Cluster:
    """The API server."""
    return asked[0]


@pytest.fixture
def reviews(asked: tuple[Cluster, Asker], clock: Monotonic) -> TokenReviews:
    """The reviews of its tokens."""
    return TokenReviews(asked[1].post, AUDIENCE, clock)


@pytest.fixture
def pod(cluster: Cluster) -> Secret:
    """A token of a service account that is there."""
    return Secret(cluster.issuer.token({"sub": USER, "aud": [AUDIENCE]}))


def test_a_good_token_is_remembered_for_ten_seconds(
    reviews: TokenReviews, cluster: Cluster, clock: Monotonic, pod: Secret
) -> None:
    """As long as the API server remembers it itself."""
    reviews.check(pod, USER)
    clock.move(9.9)
    reviews.check(pod, USER)
    before = list(cluster.asked)
    clock.move(0.1)
    reviews.check(pod, USER)

    assert before == [REVIEW_PATH] == [PATH]
    assert len(cluster.asked) == 2


def test_a_deleted_pods_token_stops_when_the_memory_ends(
    reviews: TokenReviews, cluster: Cluster, clock: Monotonic, pod: Secret
) -> None:
    """Its signature still holds; the API server knows better."""
    reviews.check(pod, USER)
    cluster.deleted.add(pod.reveal())
    clock.move(10)

    with pytest.raises(UnauthenticatedError) as caught:
        reviews.check(pod, USER)

    assert caught.value.reason == "token_review_negative"
    assert caught.value.detail == "The proof of identity does not hold."


def test_a_negative_answer_is_never_remembered(
    reviews: TokenReviews, cluster: Cluster, pod: Secret
) -> None:
    """A service account that was just made is good as soon as the API server says so."""
    cluster.deleted.add(pod.reveal())
    refused = [outcome(reviews, pod) for _ in range(3)]
    cluster.deleted.clear()

    assert refused == ["token_review_negative"] * 3
    assert outcome(reviews, pod) == ""
    assert len(cluster.asked) == 4


@pytest.mark.parametrize(
    ("failure", "reason"),
    [
        ((500, b"{}"), "token_review_refused"),
        ((500, b"<html>"), "token_review_failed"),
        ((401, b'{"kind":"Status","code":401}'), "token_review_refused"),
        ((403, b'{"kind":"Status","code":403}'), "token_review_refused"),
        ((200, b""), "token_review_failed"),
        ((201, b"[]"), "token_review_unreadable"),
    ],
)
def test_an_api_server_that_does_not_say_is_away_and_that_is_not_remembered(
    reviews: TokenReviews, cluster: Cluster, pod: Secret, failure: tuple[int, bytes], reason: str
) -> None:
    """It is not the caller's fault: a 503 with a time to come back, also when the API server refuses *us*."""
    cluster.failure = failure
    with pytest.raises(IssuerAwayError) as caught:
        reviews.check(pod, USER)
    cluster.failure = None

    assert (caught.value.reason, caught.value.retry_after) == (reason, timedelta(seconds=5))
    assert caught.value.detail == "The cluster cannot be asked about the token."
    assert outcome(reviews, pod) == ""


def test_a_broker_that_may_not_ask_says_so(
    reviews: TokenReviews, cluster: Cluster, pod: Secret
) -> None:
    """Its own token expired or has no right to review; nobody is told to bring another one."""
    cluster.own_token = "another"

    assert outcome(reviews, pod) == "token_review_refused"


def test_a_cluster_that_cannot_be_reached_is_away(clock: Monotonic) -> None:
    """Whatever the link raises is one error to the caller."""

    def late(_review: bytes) -> tuple[int, bytes]:
        raise UpstreamTimeoutError("late", reason="upstream_timeout")

    assert outcome(TokenReviews(late, AUDIENCE, clock), TOKEN) == "token_review_failed"


def test_a_token_for_another_audience_is_refused(reviews: TokenReviews, cluster: Cluster) -> None:
    """It was made for somebody else, who could replay it."""
    other = Secret(cluster.issuer.token({"sub": USER, "aud": ["another-service"]}))

    assert outcome(reviews, other) == "token_review_negative"


def test_a_server_that_does_not_know_audiences_proves_nothing(
    reviews: TokenReviews, cluster: Cluster, pod: Secret
) -> None:
    """It leaves them out, and so has not looked at ours."""
    cluster.knows_audiences = False

    assert outcome(reviews, pod) == "token_review_negative"


def test_another_username_is_refused_and_not_remembered(reviews: TokenReviews, pod: Secret) -> None:
    """The one that was verified offline and the one that the cluster knows are the same."""
    assert outcome(reviews, pod, OTHER) == "token_review_negative"
    assert outcome(reviews, pod, OTHER) == "token_review_negative"
    assert outcome(reviews, pod, USER) == ""


@pytest.mark.parametrize("code", [200, 201])
def test_the_review_asks_for_our_audience(clock: Monotonic, code: int) -> None:
    """The request is a TokenReview of authentication.k8s.io/v1, and both ways of saying yes are known."""
    server = Answering(GOOD | {"audiences": ["other", AUDIENCE]}, code)

    TokenReviews(server.post, AUDIENCE, clock).check(TOKEN, USER)

    assert server.sent == [
        {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenReview",
            "spec": {"token": TOKEN.reveal(), "audiences": [AUDIENCE]},
        }
    ]


def test_many_requests_with_one_token_ask_once(clock: Monotonic) -> None:
    """Eight threads arrive while the API server thinks: they wait for its answer and ask nothing."""
    server = Answering(GOOD)

    def slow(review: bytes) -> tuple[int, bytes]:
        wait_until("all have looked whether it is remembered", lambda: clock.looks >= 8, 10)
        return server.post(review)

    reviews = TokenReviews(slow, AUDIENCE, clock)

    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(lambda _: outcome(reviews, TOKEN), range(8)))

    assert outcomes == [""] * 8
    assert len(server.sent) == 1


def test_different_tokens_do_not_wait_for_each_other(clock: Monotonic) -> None:
    """Eight tokens are all asked about at the same time."""
    server, all_asking = Answering(GOOD), threading.Barrier(8)

    def only_together(review: bytes) -> tuple[int, bytes]:
        all_asking.wait(10)
        return server.post(review)

    reviews = TokenReviews(only_together, AUDIENCE, clock)

    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(lambda n: outcome(reviews, Secret(f"token-{n}")), range(8)))

    assert outcomes == [""] * 8
    assert len(server.sent) == 8


def test_only_so_many_tokens_are_remembered(
    clock: Monotonic, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The oldest go first, so memory is bounded."""
    monkeypatch.setattr(token_review, "_REMEMBERED", 2)
    server = Answering(GOOD)
    reviews = TokenReviews(server.post, AUDIENCE, clock)
    for text in ("a", "b", "c", "b", "c", "a"):
        reviews.check(Secret(text), USER)

    assert [sent["spec"]["token"] for sent in server.sent] == ["a", "b", "c", "a"]
    assert len(reviews._good) == 2


def test_a_negative_answer_is_given_to_all_who_wait_for_it() -> None:
    """Never two calls about one token at a time, also when the first one ends badly."""
    flying: list[int] = []
    most: list[int] = []
    entered, go_on = threading.Event(), threading.Event()

    def post(_review: bytes) -> tuple[int, bytes]:
        flying.append(1)
        most.append(len(flying))
        entered.set()
        assert go_on.wait(10)
        flying.pop()
        return 201, b'{"status":{"authenticated":false}}'

    reviews = TokenReviews(post, AUDIENCE)

    def refused() -> bool:
        with pytest.raises(UnauthenticatedError):
            reviews.check(Secret("a token"), USER)
        return True

    with ThreadPoolExecutor(8) as threads:
        first = threads.submit(refused)
        assert entered.wait(10)
        others = [threads.submit(refused) for _ in range(7)]
        wait_until("they have come", lambda: all(one.running() for one in others), 5)
        go_on.set()

        assert first.result(10)
        assert all(one.result(10) for one in others)
    assert set(most) == {1}


def test_nobody_passes_because_the_review_of_another_broke_down() -> None:
    """Whatever ends a review that others wait for, they have not been told that the token is good."""
    clock = Monotonic()

    def post(_review: bytes) -> tuple[int, bytes]:
        wait_until("the second waits", lambda: clock.looks >= 2, 10)
        raise RuntimeError("unforeseen")

    reviews = TokenReviews(post, AUDIENCE, clock)

    with ThreadPoolExecutor(2) as threads:
        both = [threads.submit(reviews.check, Secret("a token"), USER) for _ in range(2)]
        errors = [one.exception(10) for one in both]

    assert {type(error) for error in errors} == {RuntimeError, IssuerAwayError}
