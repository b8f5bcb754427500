"""``ReferenceTable.page``: a store's references, the first to expire first."""

from datetime import timedelta

import pytest
import redis

from service.adapters.redis_link import home
from service.adapters.redis_references import RedisReferences
from service.adapters.redis_stores import RedisStores
from service.core.clock import to_millis
from service.core.reference import Accessor
from tests.adapters.making import mint, minted, store
from tests.support.clock import START
from tests.support.world import STORE, WORKER

MINUTE = timedelta(minutes=1)


@pytest.fixture
def seven(stores: RedisStores, references: RedisReferences) -> list[Accessor]:
    """Seven references in the order of their expiry; the last three expire together."""
    store(stores)
    accessors = [mint(references, minted(ttl=n * MINUTE)) for n in (1, 2, 3, 4, 5, 5, 5)]
    return accessors[:4] + sorted(accessors[4:], key=lambda accessor: accessor.text)


def _walk(references: RedisReferences, limit: int) -> list[Accessor]:
    found: list[Accessor] = []
    place: str | None = ""
    while place is not None:
        page, place = references.page(STORE, place, limit, START)
        assert len(page) <= limit
        assert all(taken.verdict == "ok" for _, taken in page)
        found.extend(accessor for accessor, _ in page)
    return found


@pytest.mark.parametrize("limit", [1, 2, 3, 6, 7, 8])
def test_pages_hold_every_reference_once_by_expiry(
    references: RedisReferences, seven: list[Accessor], limit: int
) -> None:
    """The cursor leaves none out and repeats none, also among those that expire together."""
    assert _walk(references, limit) == seven


def test_a_store_without_references_has_one_empty_page(references: RedisReferences) -> None:
    """Nothing, and no next place."""
    assert references.page(STORE, "", 10, START) == ([], None)


def test_a_page_begins_behind_what_has_expired(
    references: RedisReferences, seven: list[Accessor]
) -> None:
    """What has expired by our clock is left out, whatever Redis still holds."""
    page, _ = references.page(STORE, "", 10, START + 2 * MINUTE)

    assert [accessor for accessor, _ in page] == seven[2:]


def test_a_place_whose_reference_is_gone_leaves_none_out(
    references: RedisReferences, seven: list[Accessor]
) -> None:
    """Behind a member that vanished the page begins at its score again."""
    _, place = references.page(STORE, "", 5, START)
    references.revoke(seven[4], STORE)
    assert place is not None

    rest, end = references.page(STORE, place, 10, START)

    assert [accessor for accessor, _ in rest] == seven[5:]
    assert end is None


def test_a_page_tells_what_became_of_each(
    references: RedisReferences, seven: list[Accessor], client: "redis.Redis"
) -> None:
    """A reference that Redis dropped is shown as unknown, one of a raised epoch as revoked."""
    client.delete(home(STORE).key("ref", seven[0].text[6:]))
    references.revoke_caller(WORKER)

    page, _ = references.page(STORE, "", 2, START)

    assert [(accessor, taken.verdict) for accessor, taken in page] == [
        (seven[0], "unknown"),
        (seven[1], "revoked"),
    ]
    assert page[0][1].reference is None
    assert page[1][1].reference is not None


def test_what_somebody_else_wrote_into_the_index_is_passed_over(
    references: RedisReferences, seven: list[Accessor], client: "redis.Redis"
) -> None:
    """One who can write Redis can remove from a list, but not make it fail."""
    client.zadd(home(STORE).key("refs", STORE), {b"\xff\xfe": to_millis(START + MINUTE) + 1})

    assert _walk(references, 2) == seven
