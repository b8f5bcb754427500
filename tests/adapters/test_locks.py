"""``LockTable``: what is locked is refused by the step that would mint, use or begin, on every kind of Redis."""

import pytest
import redis

from service.adapters.redis_link import PARTITION, RedisLink, home
from service.adapters.redis_locks import RedisLocks
from service.adapters.redis_references import RedisReferences
from service.adapters.redis_stores import RedisStores
from service.core.errors import StoreLockedError
from service.core.store_ports import LockNotes, Start
from tests.adapters.making import ACTIVE, SPAN, begin, mint, minted, store
from tests.support.clock import START
from tests.support.world import STORE, WORKER

OTHER = "zzzz99"
NOTE, LATER = b"first note", b"second note"


@pytest.fixture
def locks(link: RedisLink) -> RedisLocks:
    """The locks."""
    return RedisLocks(link)


def _put_on(locks: RedisLocks, scope: str) -> None:
    if scope == "store":
        assert locks.lock(STORE, NOTE) == NOTE
    else:
        assert locks.lock_all(NOTE) == NOTE


def _take_off(locks: RedisLocks, scope: str) -> None:
    if scope == "store":
        locks.unlock(STORE)
    else:
        locks.unlock_all()


@pytest.mark.parametrize("scope", ["store", "all"])
def test_a_locked_store_mints_uses_and_begins_nothing(
    stores: RedisStores, references: RedisReferences, locks: RedisLocks, scope: str
) -> None:
    """And everything goes on where it was when the lock is off: no use was taken."""
    store(stores)
    accessor = mint(references, minted(max_uses=1))
    start = Start(STORE, "owner", "attempt", ACTIVE, ACTIVE, b"intent", START)

    _put_on(locks, scope)
    used = references.use(accessor, WORKER, "proxy", ("*",), START)
    outcome = references.mint(minted(), START)
    with pytest.raises(StoreLockedError) as refused:
        stores.begin(start, SPAN)
    view = stores.read([STORE], START)[0]
    _take_off(locks, scope)

    assert [used.verdict, outcome, refused.value.reason] == [f"{scope}_locked"] * 3
    assert (used.reference, used.store, view.attempts, view.lease_left) == (None, None, (), None)
    assert references.use(accessor, WORKER, "proxy", ("*",), START).verdict == "ok"
    assert stores.begin(start, SPAN) is not None


def test_the_lock_of_a_store_is_not_the_lock_of_another(
    stores: RedisStores, references: RedisReferences, locks: RedisLocks
) -> None:
    """Only what is named stops."""
    store(stores)
    store(stores, store_hash=OTHER)

    locks.lock(STORE, NOTE)

    assert references.mint(minted(), START) == "store_locked"
    assert references.mint(minted(store_hash=OTHER), START) == "ok"


def test_whoever_may_not_use_a_reference_does_not_learn_of_the_lock(
    stores: RedisStores, references: RedisReferences, locks: RedisLocks
) -> None:
    """Somebody else's is refused as ever."""
    store(stores)
    accessor = mint(references, minted())

    locks.lock(STORE, NOTE)

    assert references.use(accessor, "key:x", "proxy", ("*",), START).verdict == "wrong_caller"


def test_an_issue_under_way_ends_as_it_would_have(stores: RedisStores, locks: RedisLocks) -> None:
    """A token that exists upstream by now has to be written down, and is used by nobody."""
    store(stores)
    lease = begin(stores, seen=ACTIVE)

    locks.lock(STORE, NOTE)

    assert stores.settle(STORE, lease, b"1 active 2 k1 mac body", keep_intent=False)


@pytest.mark.parametrize("scope", ["store", "all"])
def test_the_first_lock_stays(stores: RedisStores, locks: RedisLocks, scope: str) -> None:
    """Since when it is locked, and why, is what those want to know who find it so; a reply that was lost is asked for again."""
    store(stores)
    _put_on(locks, scope)

    again = locks.lock(STORE, LATER) if scope == "store" else locks.lock_all(LATER)

    assert again == NOTE


def test_a_store_that_is_not_known_cannot_be_locked(
    locks: RedisLocks, client: "redis.Redis"
) -> None:
    """Whoever mistypes is told; nothing is written."""
    assert locks.lock(STORE, NOTE) is None
    assert client.exists(home(STORE).locks) == 0


def test_a_lock_outlives_its_store(stores: RedisStores, locks: RedisLocks) -> None:
    """Removing and registering a store is no way round it."""
    line = store(stores)
    locks.lock(STORE, NOTE)
    assert stores.remove(STORE, line)

    with pytest.raises(StoreLockedError):
        stores.begin(Start(STORE, "owner", "attempt", None, ACTIVE, None, START), SPAN)

    assert locks.read() == LockNotes(None, {STORE: NOTE})
    assert locks.lock(STORE, LATER) == NOTE


def test_the_lock_of_all_is_in_every_partition(locks: RedisLocks, client: "redis.Redis") -> None:
    """So that a use asks one slot only; half a lock is shown as a lock."""
    locks.lock_all(NOTE)
    everywhere = {tag for tag, where in PARTITION.items() if client.hget(where.locks, "all")}
    for where in list(PARTITION.values())[:-1]:
        client.hdel(where.locks, "all")

    half = locks.read()
    locks.unlock_all()

    assert everywhere == set(PARTITION)
    assert half.on_all == NOTE
    assert locks.read() == LockNotes(None, {})


def test_unlocking_all_leaves_stores_that_are_locked_by_themselves(
    stores: RedisStores, locks: RedisLocks
) -> None:
    """Whoever locked that one had a reason of their own."""
    store(stores)
    locks.lock(STORE, NOTE)
    locks.lock_all(LATER)

    both = stores.read([STORE], START)[0]
    locks.unlock_all()
    one = stores.read([STORE], START)[0]

    assert (both.store_lock, both.all_lock) == (NOTE, LATER)
    assert (one.store_lock, one.all_lock) == (NOTE, None)
