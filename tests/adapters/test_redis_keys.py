"""``KeyTable`` on every kind of Redis: announcements, key checks, and the exchange of one signed part for another."""

from datetime import timedelta

import pytest
import redis

from sandbox.demo.processes import wait_until
from service.adapters.redis_keys import RedisKeys
from service.adapters.redis_link import PARTITION, RedisLink, home
from service.adapters.redis_references import RedisReferences
from service.adapters.redis_stores import RedisStores
from service.core.errors import StorageError
from service.core.reference import Accessor
from service.core.rewrapping import Stored
from tests.adapters.making import ACTIVE, SPAN, begin, linked, mint, minted, store
from tests.support.clock import START
from tests.support.world import STORE, WORKER

HALF_A_MINUTE = timedelta(seconds=30)
MINUTE = timedelta(minutes=1)
OTHER_STORES = [f"xyz{number:03d}" for number in range(200)]


@pytest.fixture
def table(link: RedisLink) -> RedisKeys:
    """The table on each kind of Redis."""
    return RedisKeys(link)


def _all(table: RedisKeys) -> list[Stored]:
    return [stored for page in table.scan() for stored in page]


def _reference(link: RedisLink, table: RedisKeys) -> Stored:
    store(RedisStores(link))
    mint(RedisReferences(link), minted(max_uses=5))
    (found,) = [stored for stored in _all(table) if stored.kind == "reference"]
    return found


def test_whoever_announces_learns_what_all_say(table: RedisKeys) -> None:
    """The last word of each counts."""
    first = table.announce("a", b"one", HALF_A_MINUTE)
    table.announce("a", b"one two", HALF_A_MINUTE)

    both = table.announce("b", b"x \x00 y", HALF_A_MINUTE)

    assert first == {"a": b"one"}
    assert both == table.announcements() == {"a": b"one two", "b": b"x \x00 y"}


def test_an_announcement_ends_by_itself(real_link: RedisLink, valkey: "redis.Redis") -> None:
    """A replica that is gone keeps nobody waiting; what it said is cleared away by whoever speaks next."""
    table = RedisKeys(real_link)
    table.announce("gone", b"one", timedelta(milliseconds=100))
    table.announce("here", b"two", HALF_A_MINUTE)

    wait_until("one is gone", lambda: set(table.announcements()) == {"here"}, 5)
    table.announce("here", b"two", HALF_A_MINUTE)

    assert valkey.hkeys(f"{PARTITION['00'].prefix}announced") == [b"here"]


def test_the_first_key_check_stands_until_it_is_forgotten(table: RedisKeys) -> None:
    """Two replicas that write one at the same moment go by the same."""
    assert table.checks() == {}
    assert table.add_check("k1", b"\x01one") == b"\x01one"
    assert table.add_check("k1", b"two") == b"\x01one"
    table.add_check("k2", b"two")

    table.forget_check("k1")
    table.forget_check("k9")

    assert table.checks() == {"k2": b"two"}


def test_counts_are_told_as_a_whole(table: RedisKeys, client: "redis.Redis") -> None:
    """What somebody else wrote there is not shown."""
    table.note_counts({"k1": 3, "k2": 1}, MINUTE)
    table.note_counts({"k2": 4}, MINUTE)
    client.hset(f"{PARTITION['00'].prefix}keycounts", "BAD ID", "7")
    client.hset(f"{PARTITION['00'].prefix}keycounts", "k3", "-x")

    assert table.counts() == {"k2": 4}


def test_a_note_is_written_over_what_was_seen_only(table: RedisKeys) -> None:
    """Asking again gives the same answer."""
    assert table.rewrapping() == b""
    assert table.note_rewrapping(b"", b"one")
    assert table.note_rewrapping(b"", b"one")
    assert not table.note_rewrapping(b"", b"two")
    assert table.note_rewrapping(b"one", b"two")

    assert table.rewrapping() == b"two"


def test_everything_that_needs_a_key_is_found(link: RedisLink, table: RedisKeys) -> None:
    """Stores, references, and intents, also those of a store that is gone; on every node, and nothing else."""
    stores, references = RedisStores(link), RedisReferences(link)
    for name in OTHER_STORES:
        store(stores, store_hash=name)
    line = store(stores)
    accessor = mint(references, minted())
    lease = begin(stores, line + b" changed", seen=line)
    store(stores, store_hash="gone000")
    left = begin(stores, ACTIVE, store_hash="gone000", seen=ACTIVE)
    assert stores.settle("gone000", left, None, keep_intent=True)
    assert stores.remove("gone000", ACTIVE)

    found = _all(table)

    by_name = {(stored.kind, stored.name): stored for stored in found}
    assert by_name["store", STORE].value == line
    assert by_name["reference", accessor.text].kind == "reference"
    assert by_name["intent", STORE] == Stored("intent", STORE, lease.attempt_id, b"signed intent")
    assert by_name["intent", "gone000"].attempt_id == left.attempt_id
    assert len(found) == len(by_name) == len(OTHER_STORES) + 4


def test_a_reference_keeps_its_uses_and_its_end(
    link: RedisLink, table: RedisKeys, client: "redis.Redis"
) -> None:
    """Also those that were taken since it was read: only the signed part is compared and exchanged."""
    references = RedisReferences(link)
    seen = _reference(link, table)
    (key,) = [k for k in client.scan_iter("*") if b":ref:" in k]
    client.pexpire(key, 60_000)
    accessor = Accessor(seen.name, seen.name[4:6])
    assert references.use(accessor, WORKER, "proxy", ("*",), START).verdict == "ok"
    before = client.get(key)

    done = table.swap(seen, seen.signed.replace(b"k1 ", b"k2 "))
    again = table.swap(seen, seen.signed.replace(b"k1 ", b"k2 "))
    late = table.swap(seen, b"k3 x y")

    assert (done, again, late) == (True, True, False)
    assert isinstance(before, bytes)
    assert client.get(key) == before.replace(b" k1 ", b" k2 ")
    assert b" 0000004 " in before
    assert 0 < client.pttl(key) <= 60_000


def test_nothing_is_brought_back(link: RedisLink, table: RedisKeys, client: "redis.Redis") -> None:
    """What has gone since it was read stays gone."""
    seen = _reference(link, table)
    (key,) = [k for k in client.scan_iter("*") if b":ref:" in k]
    client.delete(key)

    assert not table.swap(seen, b"k2 x y")
    assert not table.swap(Stored("intent", STORE, "none", b"signed"), b"k2 x y")
    assert not table.swap(Stored("store", "gone000", "", ACTIVE), b"1 active 1 k2 x y")
    assert client.exists(key) == 0


def test_an_intent_keeps_its_fence(link: RedisLink, table: RedisKeys) -> None:
    """And the others of its store are left alone."""
    stores = RedisStores(link)
    store(stores)
    first = begin(stores, ACTIVE, seen=ACTIVE)
    assert stores.settle(STORE, first, None, keep_intent=True)
    second = begin(stores, ACTIVE, seen=ACTIVE, intent=b"another intent")
    seen = Stored("intent", STORE, first.attempt_id, b"signed intent")

    done = table.swap(seen, b"new intent")
    again = table.swap(seen, b"new intent")
    late = table.swap(seen, b"a third one")

    (view,) = stores.read([STORE], START)
    attempts = {attempt.attempt_id: attempt for attempt in view.attempts}
    assert (done, again, late) == (True, True, False)
    assert attempts[first.attempt_id].intent == b"new intent"
    assert attempts[first.attempt_id].fence < attempts[second.attempt_id].fence
    assert attempts[second.attempt_id].intent == b"another intent"


def test_a_store_is_left_alone_while_somebody_is_issuing(link: RedisLink, table: RedisKeys) -> None:
    """Otherwise the token that is being made could not be written."""
    stores = RedisStores(link)
    line = store(stores)
    lease = begin(stores, line, seen=line, span=SPAN)
    seen = Stored("store", STORE, "", line)

    during = table.swap(seen, b"1 active 1 k2 mac body")
    assert stores.settle(STORE, lease, None, keep_intent=False)
    afterwards = table.swap(seen, b"1 active 1 k2 mac body")

    assert (during, afterwards) == (False, True)
    assert stores.read([STORE], START)[0].line == b"1 active 1 k2 mac body"


def test_without_redis_each_is_a_storage_error() -> None:
    """No other error comes out."""
    with linked(1) as away:
        table = RedisKeys(away)
        with pytest.raises(StorageError):
            table.checks()
        with pytest.raises(StorageError):
            list(table.scan())


def test_keys_of_others_are_none_of_ours(table: RedisKeys, client: "redis.Redis") -> None:
    """A Redis may be shared, and what is named nearly like ours is left out."""
    client.set("{p00}:store:abc", "x")
    client.set(f"{home(STORE).prefix}used:{STORE}", "1")
    client.set("b2b-broker:{p00}:storey:abc", "x")

    assert _all(table) == []
