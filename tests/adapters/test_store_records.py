"""``StoreTable``: reading, replacing, removing and paging."""

from datetime import timedelta

import pytest
import redis

from service.adapters.redis_link import home
from service.adapters.redis_references import RedisReferences
from service.adapters.redis_stores import RedisStores
from service.core.reference import partition_of
from service.core.store_ports import Lease, StoreView
from tests.adapters.making import ACTIVE, begin, mint, minted, store
from tests.support.clock import START
from tests.support.world import STORE, WORKER

NEXT = b"1 active 2 k1 mac body"


def test_an_unknown_store_has_an_empty_view(stores: RedisStores) -> None:
    """Nothing is known of a store that nobody registered."""
    assert stores.read([STORE], START) == [StoreView(None, None, (), None, 0)]


def test_no_stores_have_no_views(stores: RedisStores) -> None:
    """An empty page asks Redis for nothing."""
    assert stores.read([], START) == []


def test_views_come_in_the_order_asked_for(stores: RedisStores) -> None:
    """The answer fits the question, across partitions."""
    store(stores, b"1 active 1 a", "aaaa")
    store(stores, b"1 active 1 b", "bbbb")

    assert [view.line for view in stores.read(["bbbb", "none", "aaaa"], START)] == [
        b"1 active 1 b",
        None,
        b"1 active 1 a",
    ]


def test_a_view_tells_last_use_to_the_minute_and_live_references(
    stores: RedisStores, references: RedisReferences
) -> None:
    """What is shown of use is coarse, and what has expired is not counted."""
    store(stores)
    used = mint(references, minted())
    mint(references, minted(ttl=timedelta(minutes=2)))
    references.use(used, WORKER, "proxy", ("*",), START + timedelta(seconds=59))

    soon = stores.read([STORE], START)[0]
    later = stores.read([STORE], START + timedelta(minutes=2))[0]

    assert (soon.last_used_at, soon.live_references) == (START, 2)
    assert later.live_references == 1


def test_replace_writes_if_the_record_is_as_it_was_seen(stores: RedisStores) -> None:
    """Compare and set; and again gives the same answer."""
    store(stores)

    answers = [stores.replace(STORE, ACTIVE, NEXT) for _ in range(2)]

    assert answers == [True, True]
    assert stores.read([STORE], START)[0].line == NEXT


def test_replace_is_refused_when_the_record_has_changed(stores: RedisStores) -> None:
    """A decision made on an old record writes nothing."""
    store(stores)

    assert not stores.replace(STORE, b"1 pending 0 old", NEXT)
    assert stores.read([STORE], START)[0].line == ACTIVE


def test_replace_is_refused_while_somebody_is_issuing(stores: RedisStores) -> None:
    """The record under a lease belongs to the lease."""
    begin(stores)

    assert not stores.replace(STORE, ACTIVE, NEXT)
    assert stores.read([STORE], START)[0].line == ACTIVE


def test_replace_of_an_unknown_store_makes_none(stores: RedisStores) -> None:
    """Only ``begin`` makes stores known."""
    assert not stores.replace(STORE, ACTIVE, NEXT)
    assert stores.read([STORE], START)[0].line is None


def test_remove_leaves_nothing_but_unsettled_intents(
    stores: RedisStores, references: RedisReferences
) -> None:
    """Record, last use, index and place in the list go; intents prove what may still be upstream."""
    lease = begin(stores)
    stores.settle(STORE, lease, NEXT, keep_intent=True)
    accessor = mint(references, minted())
    references.use(accessor, WORKER, "proxy", ("*",), START)

    removed = [stores.remove(STORE, NEXT) for _ in range(2)]

    view = stores.read([STORE], START)[0]
    assert removed == [True, True]
    assert (view.line, view.last_used_at, view.live_references) == (None, None, 0)
    assert [a.attempt_id for a in view.attempts] == [lease.attempt_id]
    assert stores.page("", 10) == []


def test_remove_is_refused_when_the_record_has_changed(stores: RedisStores) -> None:
    """Nobody removes what they have not seen."""
    store(stores)

    assert not stores.remove(STORE, NEXT)
    assert stores.page("", 10) == [STORE]


def test_forgetting_attempts_drops_only_the_named_ones(stores: RedisStores) -> None:
    """What is settled goes, what is not stays."""
    leases: list[Lease] = []
    for _ in range(3):
        seen = ACTIVE if leases else None
        leases.append(begin(stores, seen=seen))
        stores.settle(STORE, leases[-1], None, keep_intent=True)

    stores.forget_attempts(STORE, [leases[0].attempt_id, leases[2].attempt_id, "unknown"])
    stores.forget_attempts(STORE, [])

    attempts = stores.read([STORE], START)[0].attempts
    assert [(a.attempt_id, a.fence) for a in attempts] == [(leases[1].attempt_id, leases[1].fence)]


@pytest.mark.parametrize("limit", [1, 3, 7, 100])
def test_pages_hold_every_store_once_in_order_over_all_partitions(
    stores: RedisStores, limit: int
) -> None:
    """The cursor is the last name of the page before, whatever its partition."""
    names = sorted(f"store{number:03d}" for number in range(20))
    for name in names:
        store(stores, store_hash=name)

    seen: list[str] = []
    while page := stores.page(seen[-1] if seen else "", limit):
        assert len(page) <= limit
        seen.extend(page)

    assert len({partition_of(name) for name in names}) > 5
    assert seen == names


def test_what_somebody_else_wrote_among_the_stores_is_passed_over(
    stores: RedisStores, client: "redis.Redis"
) -> None:
    """One who can write Redis can remove from a list, but neither make it fail nor have it end early."""
    for name in ("aaaa", "zzzz"):
        store(stores, store_hash=name)
    client.zadd(home("aaaa").stores, {b"b\xff%d" % number: 0 for number in range(5)})

    assert stores.page("", 2) == ["aaaa", "zzzz"]
