"""The limit on failures to the last bit: which addresses are one source, how many are remembered, and by how many threads at once."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from service.web.failure_limit import FailureLimit

NOTHING, SECOND = timedelta(0), timedelta(seconds=1)


class Clock:
    """A clock that stands still, and keeps whether the limit was held each time that somebody looked."""

    def __init__(self) -> None:
        self.limit = FailureLimit(1, self)
        self.held: list[bool] = []

    def __call__(self) -> float:
        self.held.append(self.limit._lock.locked())
        return 100.0


@pytest.fixture
def limit() -> FailureLimit:
    """One failure a minute, at a time that stands still."""
    return FailureLimit(1, lambda: 100.0)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("2001:db8:0:1::", "2001:db8:0:1:ffff:ffff:ffff:ffff", True),
        ("2001:db8:0:1::1", "2001:db8:0:1:8000::1", True),
        ("2001:db8:0:1:ffff:ffff:ffff:ffff", "2001:db8:0:2::", False),
        ("2001:db8:0:2::1", "2001:db8:0:3::1", False),
        ("::1", "::2", True),
        ("0.0.0.1", "::1", False),
        ("192.0.2.1", "192.0.2.0", False),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("::192.0.2.1", "192.0.2.1", False),
    ],
)
def test_one_source_is_an_ipv4_address_or_64_bits_and_not_a_bit_more(
    limit: FailureLimit, one: str, other: str, *, same: bool
) -> None:
    """Nobody has more sources than they have networks, and nobody shares one with a neighbour."""
    limit.failed(one)

    assert bool(limit.wait(other)) == same


def test_ten_thousand_sources_are_remembered(limit: FailureLimit) -> None:
    """More than that many at once are an attack, of which the oldest are forgotten."""
    addresses = [f"10.0.{number >> 8}.{number & 255}" for number in range(10_001)]
    for address in addresses[:-1]:
        limit.failed(address)

    full = limit.wait(addresses[0])
    limit.failed(addresses[-1])

    assert full > NOTHING
    assert limit.wait(addresses[0]) == NOTHING
    assert all(limit.wait(address) > NOTHING for address in addresses[1:])


@pytest.mark.parametrize("ask", [FailureLimit.wait, FailureLimit.failed])
def test_one_thread_at_a_time_counts(ask: Callable[[FailureLimit, str], timedelta]) -> None:
    """Two that read the same number before either writes it would cost one failure together."""
    clock = Clock()

    ask(clock.limit, "192.0.2.1")

    assert clock.held
    assert all(clock.held)
    assert not clock.limit._lock.locked()


def test_an_empty_bucket_says_exactly_how_long_it_takes() -> None:
    """To the part of a second; the answer's header is in whole ones."""
    seconds = [100.0]
    limit = FailureLimit(120, lambda: seconds[0])

    for _ in range(120):
        assert limit.failed("192.0.2.1") == NOTHING
    empty = limit.failed("192.0.2.1")
    seconds[0] += 0.125
    later = limit.wait("192.0.2.1")

    assert (empty, later) == (SECOND / 2, SECOND * 3 / 8)
