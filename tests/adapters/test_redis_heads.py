"""``HeadTable`` on every kind of Redis."""

from datetime import timedelta

import fakeredis
import pytest

from service.adapters.redis_heads import RedisHeads
from service.adapters.redis_link import RedisLink
from tests.support.clock import START

HOUR = timedelta(hours=1)
SPANS = (timedelta(days=1), HOUR)


@pytest.fixture
def table(link: RedisLink) -> RedisHeads:
    """The table."""
    return RedisHeads(link)


def test_a_head_takes_the_place_of_the_one_before(table: RedisHeads) -> None:
    """One for each writer, and what was there is told."""
    told = [table.note("a", f"head {number}", START, SPANS, 9) for number in range(3)]

    assert told == [[], ["head 0"], ["head 1"]]
    assert table.page("", 9) == [("a", "head 2")]


def test_recent_heads_are_told_the_latest_first(table: RedisHeads) -> None:
    """No more than asked for, and none that is older than that."""
    for place, name in enumerate(("a", "b", "c")):
        table.note(name, f"head of {name}", START + place * HOUR, SPANS, 9)
    now = START + 2 * HOUR

    assert table.note("c", "new", now, SPANS, 9) == ["head of c", "head of b"]
    assert table.note("c", "newer", now, SPANS, 1) == ["new"]


def test_heads_of_long_ago_are_forgotten(table: RedisHeads) -> None:
    """With the first that is written afterwards."""
    table.note("old", "head", START, SPANS, 9)

    table.note("new", "head", START + timedelta(days=1, milliseconds=1), SPANS, 9)

    assert table.page("", 9) == [("new", "head")]


def test_pages_go_on_behind_a_writer(table: RedisHeads) -> None:
    """Sorted by name."""
    for name in ("c", "a", "b"):
        table.note(name, f"head of {name}", START, SPANS, 9)

    assert table.page("", 2) == [("a", "head of a"), ("b", "head of b")]
    assert table.page("b", 2) == [("c", "head of c")]


def test_a_head_that_somebody_deleted_is_shown_as_empty(
    fake_link: RedisLink, fake: "fakeredis.FakeRedis"
) -> None:
    """The writer is still known, so that its chain is not missed by nobody."""
    table = RedisHeads(fake_link)
    table.note("a", "head", START, SPANS, 9)
    fake.delete("b2b-broker:{p00}:audit:heads")

    assert table.page("", 9) == [("a", "")]
    assert table.note("b", "head", START, SPANS, 9) == []
