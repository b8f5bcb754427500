"""Which tokens are remembered as good, and what happens to one that several requests bring at once."""

import threading

import pytest

from service.adapters import token_review
from service.adapters.token_review import TokenReviews, _Flight
from service.core.secret import Secret
from tests.adapters.asking import Monotonic
from tests.adapters.reviewing import AUDIENCE, GOOD, USER, Answering, outcome


@pytest.fixture
def server() -> Answering:
    """An API server that says yes."""
    return Answering(GOOD)


@pytest.fixture
def clock() -> Monotonic:
    """The clock of the reviews."""
    return Monotonic()


@pytest.fixture
def reviews(server: Answering, clock: Monotonic) -> TokenReviews:
    """The reviews of its tokens."""
    return TokenReviews(server.post, AUDIENCE, clock)


def asked_about(server: Answering) -> list[str]:
    """Return the tokens that the API server was asked about, and forget them."""
    tokens = [sent["spec"]["token"] for sent in server.sent]
    server.sent.clear()
    return tokens


def test_ten_thousand_tokens_are_remembered_and_no_more(
    reviews: TokenReviews, server: Answering
) -> None:
    """Which is many pods, and little memory."""
    names = [f"t{number}" for number in range(10_000)]
    for name in names:
        reviews.check(Secret(name), USER)
    every_one = asked_about(server)

    reviews.check(Secret("t0"), USER)
    remembered = asked_about(server)
    reviews.check(Secret("one more"), USER)
    reviews.check(Secret("t1"), USER)
    reviews.check(Secret("t0"), USER)

    assert (every_one, remembered) == (names, [])
    assert asked_about(server) == ["one more", "t0"]


def test_a_token_that_was_asked_about_again_is_not_the_oldest_any_more(
    reviews: TokenReviews, server: Answering, clock: Monotonic, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What counts is the last answer, not the first one."""
    monkeypatch.setattr(token_review, "_REMEMBERED", 2)
    for text in ("a", "b"):
        reviews.check(Secret(text), USER)
    clock.move(10)

    for text in ("b", "a", "b", "c", "a"):
        reviews.check(Secret(text), USER)

    assert asked_about(server) == ["a", "b", "b", "a", "c"]


@pytest.mark.parametrize("seconds", [0.0, 0.5])
def test_on_a_machine_that_has_just_started_no_token_is_remembered_yet(
    server: Answering, seconds: float
) -> None:
    """The clock counts from there, and begins below every time that an answer could be remembered until."""
    reviews = TokenReviews(server.post, AUDIENCE, Monotonic(seconds))

    reviews.check(Secret("a"), USER)

    assert asked_about(server) == ["a"]


class Watched(dict[bytes, _Flight]):
    """The calls under way, and whether the lock was held whenever they were looked at or changed."""

    def __init__(self, lock: threading.Lock) -> None:
        super().__init__()
        self.lock = lock
        self.held: list[bool] = []

    def get(self, key: bytes, default: _Flight | None = None) -> _Flight | None:  # type: ignore[override]  # one of three overloads
        self.held.append(self.lock.locked())
        return super().get(key, default)

    def __setitem__(self, key: bytes, flight: _Flight) -> None:
        self.held.append(self.lock.locked())
        super().__setitem__(key, flight)

    def __delitem__(self, key: bytes) -> None:
        self.held.append(self.lock.locked())
        super().__delitem__(key)


@pytest.mark.parametrize(("status", "reason"), [(GOOD, ""), ({}, "token_review_negative")])
def test_calls_under_way_are_found_made_and_ended_under_a_lock(status: object, reason: str) -> None:
    """Between looking for a call and making one nobody else makes it; none is left over, however it ends."""
    reviews = TokenReviews(Answering(status).post, AUDIENCE, Monotonic())
    flights = reviews._flights = Watched(reviews._lock)

    assert outcome(reviews, Secret("a")) == reason

    assert flights.held == [True] * 3
    assert not flights
    assert not reviews._lock.locked()
