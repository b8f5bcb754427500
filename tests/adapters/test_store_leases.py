"""``StoreTable``: beginning and settling attempts."""

import pytest

from sandbox.demo.processes import wait_until
from service.adapters.redis_link import RedisLink
from service.adapters.redis_stores import RedisStores
from service.core.store_ports import Attempt, Lease, Start, StoreView
from tests.adapters.making import ACTIVE, SPAN, begin, store
from tests.support.clock import START
from tests.support.world import STORE

PENDING = b"1 pending 0 k1 mac body"
NEXT = b"1 active 2 k1 mac body"


def _start(owner: str, seen: bytes | None = None, intent: bytes | None = b"intent") -> Start:
    return Start(STORE, owner, f"attempt-of-{owner}", seen, PENDING, intent, START)


def test_begin_writes_record_and_intent_and_holds_the_lease(stores: RedisStores) -> None:
    """Everything that a crash must leave behind is written in one step."""
    fence = stores.begin(_start("a"), SPAN)

    view = stores.read([STORE], START)[0]
    assert fence == 1
    assert view.line == PENDING
    assert view.attempts == (Attempt("attempt-of-a", 1, b"intent"),)
    assert view.lease_left is not None
    assert SPAN / 2 < view.lease_left <= SPAN
    assert stores.page("", 10) == [STORE]


def test_begin_without_an_intent_leaves_none(stores: RedisStores) -> None:
    """An import makes nothing upstream, so there is nothing to find later."""
    stores.begin(_start("a", intent=None), SPAN)

    assert stores.read([STORE], START)[0].attempts == ()


def test_begin_of_a_known_store_leaves_its_record(stores: RedisStores) -> None:
    """A store that is active stays active while it is issued for again."""
    store(stores)

    begin(stores, seen=ACTIVE)

    assert stores.read([STORE], START)[0].line == ACTIVE


def test_begin_repeated_by_its_owner_gives_the_same_fence(stores: RedisStores) -> None:
    """A reply that was lost is asked for again and changes nothing."""
    first = stores.begin(_start("a"), SPAN)
    again = stores.begin(_start("a"), SPAN)

    assert (first, again) == (1, 1)
    assert len(stores.read([STORE], START)[0].attempts) == 1


def test_begin_is_refused_while_another_holds_the_lease(stores: RedisStores) -> None:
    """One issues, the others wait."""
    stores.begin(_start("a"), SPAN)

    other = stores.begin(_start("b", seen=PENDING), SPAN)

    assert other is None
    assert [a.attempt_id for a in stores.read([STORE], START)[0].attempts] == ["attempt-of-a"]


@pytest.mark.parametrize("seen", [None, PENDING])
def test_begin_is_refused_when_the_record_is_not_as_it_was_seen(
    stores: RedisStores, seen: bytes | None
) -> None:
    """A decision made on an old record begins nothing."""
    store(stores)

    assert stores.begin(_start("a", seen=seen), SPAN) is None
    assert stores.read([STORE], START)[0].lease_left is None


def test_fences_only_rise(stores: RedisStores) -> None:
    """Each lease has a higher fence than the one before, also across a removal."""
    first = begin(stores)
    stores.settle(STORE, first, None, keep_intent=False)
    second = begin(stores, seen=ACTIVE)
    stores.settle(STORE, second, None, keep_intent=False)
    stores.remove(STORE, ACTIVE)
    third = begin(stores)

    assert first.fence < second.fence < third.fence


@pytest.mark.parametrize("keep_intent", [True, False])
def test_settle_writes_the_record_and_ends_the_attempt(
    stores: RedisStores, *, keep_intent: bool
) -> None:
    """Record, lease and intent change together; an intent of an unknown outcome stays."""
    lease = begin(stores)

    settled = stores.settle(STORE, lease, NEXT, keep_intent=keep_intent)

    view = stores.read([STORE], START)[0]
    assert settled
    assert (view.line, view.lease_left) == (NEXT, None)
    assert [a.attempt_id for a in view.attempts] == ([lease.attempt_id] if keep_intent else [])


def test_settle_repeated_gives_the_same_answer(stores: RedisStores) -> None:
    """A reply that was lost is asked for again and changes nothing."""
    lease = begin(stores)

    answers = [stores.settle(STORE, lease, NEXT, keep_intent=False) for _ in range(3)]

    assert answers == [True, True, True]
    assert stores.read([STORE], START)[0].line == NEXT


def test_settle_repeated_after_a_later_change_gives_the_same_answer(stores: RedisStores) -> None:
    """The record has moved on since, and the attempt did write: whoever asks for a lost reply is told so."""
    lease = begin(stores)
    stores.settle(STORE, lease, NEXT, keep_intent=False)
    assert stores.replace(STORE, NEXT, PENDING)

    again = stores.settle(STORE, lease, NEXT, keep_intent=False)

    assert again
    assert stores.read([STORE], START)[0].line == PENDING


def test_settle_repeated_after_a_removal_gives_the_same_answer(stores: RedisStores) -> None:
    """The store is gone, and is not written back."""
    lease = begin(stores)
    stores.settle(STORE, lease, NEXT, keep_intent=False)
    assert stores.remove(STORE, NEXT)

    again = stores.settle(STORE, lease, NEXT, keep_intent=False)

    assert again
    assert stores.read([STORE], START)[0].line is None


def test_settle_without_a_line_ends_a_stale_attempt_too(stores: RedisStores) -> None:
    """There is nothing to write, so nothing that could be stale; its intent goes."""
    lease = begin(stores)
    stores.remove(STORE, ACTIVE)

    assert stores.settle(STORE, lease, None, keep_intent=False)
    assert stores.read([STORE], START) == [StoreView(None, None, (), None, 0)]


def test_settle_repeated_after_another_began_leaves_the_others_lease(stores: RedisStores) -> None:
    """Reading back an outcome does not end the attempt of somebody else."""
    lease = begin(stores)
    stores.settle(STORE, lease, NEXT, keep_intent=False)
    begin(stores, NEXT, seen=NEXT)

    again = stores.settle(STORE, lease, NEXT, keep_intent=False)

    assert again
    assert stores.read([STORE], START)[0].lease_left is not None


def test_settle_without_a_line_only_ends_the_attempt(stores: RedisStores) -> None:
    """An attempt that was called off leaves the record."""
    lease = begin(stores)

    assert stores.settle(STORE, lease, None, keep_intent=False)
    view = stores.read([STORE], START)[0]
    assert (view.line, view.lease_left, view.attempts) == (ACTIVE, None, ())


def test_settle_with_a_stale_fence_writes_nothing_and_keeps_the_intent(stores: RedisStores) -> None:
    """After a removal the winner of the race learns that it lost, and its token can still be found."""
    lease = begin(stores)
    stores.remove(STORE, ACTIVE)

    settled = stores.settle(STORE, lease, NEXT, keep_intent=False)

    view = stores.read([STORE], START)[0]
    assert not settled
    assert view.line is None
    assert [a.attempt_id for a in view.attempts] == [lease.attempt_id]


def test_settle_of_an_older_fence_does_not_overwrite_a_later_lease(real_link: RedisLink) -> None:
    """A lease that ended by itself gives way, and its late owner is stale."""
    stores = RedisStores(real_link)
    late = begin(stores, span=SPAN / 2000)
    wait_until("the lease ended", lambda: stores.read([STORE], START)[0].lease_left is None, 5)
    begin(stores, seen=ACTIVE)

    settled = stores.settle(STORE, late, NEXT, keep_intent=False)

    view = stores.read([STORE], START)[0]
    assert not settled
    assert view.line == ACTIVE
    assert view.lease_left is not None


def test_settle_is_refused_when_the_record_was_changed_under_the_lease(stores: RedisStores) -> None:
    """A current fence alone is not enough: the record must be the one that was decided on."""
    lease = begin(stores)
    wrong = Lease(lease.owner, lease.attempt_id, lease.fence, b"1 pending 0 other", START)

    assert not stores.settle(STORE, wrong, NEXT, keep_intent=False)
    assert stores.read([STORE], START)[0].line == ACTIVE


def test_settle_by_somebody_who_never_began_writes_nothing(stores: RedisStores) -> None:
    """A made-up lease opens nothing and ends nobody's lease."""
    begin(stores)
    forged = Lease("nobody", "attempt-0", 99, ACTIVE, START)

    assert not stores.settle(STORE, forged, NEXT, keep_intent=False)
    assert stores.read([STORE], START)[0].lease_left is not None
