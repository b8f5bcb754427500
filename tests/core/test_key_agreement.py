"""Which keyring is in force: the key check, and what the replicas agree on.

Source: DESIGN §10; security.md §3.3 F42k, F45k, §4.5, §4.6.
"""

import re
from collections.abc import Callable, Mapping

import pytest

from service.adapters.redis_keys import RedisKeys
from service.adapters.redis_link import PARTITION, RedisLink
from service.core.errors import StorageError
from service.core.key_agreement import KeyAgreement
from service.core.keyring import Key, Keyring, KeyringError
from tests.adapters.making import linked
from tests.core.altering import store_key
from tests.core.replicas import SECOND
from tests.support.clock import ManualClock
from tests.support.world import INSTANCE, STORE, World, keyring

K1, K1_K2, K2 = keyring("k1"), keyring("k1", "k2"), keyring("k2", primary="k2")
TO_K2 = keyring("k1", "k2", primary="k2")
_CHECKS = f"{PARTITION['00'].prefix}keychecks"
_ANNOUNCED = f"{PARTITION['00'].prefix}announced"


def _primary(ring: Keyring) -> str:
    return ring.primary.key_id


class Overtaken(RedisKeys):
    """Redis, with something that happens right after announcements were read."""

    def __init__(self, link: RedisLink, then: Callable[[], object]) -> None:
        super().__init__(link)
        self._then = then

    def announcements(self) -> Mapping[str, bytes]:
        """See ``KeyTable.announcements``."""
        said = super().announcements()
        self._then()
        return said


def _forget_announcements(world: World) -> None:
    """Let all replicas be gone for long enough."""
    world.redis.delete(_ANNOUNCED)


def _keys_in_redis(world: World) -> set[str]:
    return {key.decode().rpartition(":")[2] for key in world.redis.scan_iter()}


# --- the key check


def test_the_first_ring_is_taken_and_leaves_a_check_of_each_key(world: World) -> None:
    """It is sealed: whoever reads Redis learns nothing but the ids."""
    ring = world.agreement.admit(K1_K2, None)

    assert (ring.key_ids, _primary(ring)) == (("k1", "k2"), "k1")
    assert set(world.key_table.checks()) == {"k1", "k2"}
    assert all(b"key check" not in check for check in world.key_table.checks().values())


def test_a_key_with_the_same_id_and_other_bytes_is_refused(world: World) -> None:
    """It would seal what the right one cannot open: a second universe."""
    world.agreement.admit(K1, None)
    other = Keyring({"k1": Key("k1", b"other bytes".ljust(32, b"*"))}, "k1")

    with pytest.raises(KeyringError, match=re.escape("k1 does not open its key check (key_mism")):
        world.another_agreement("replica-b").admit(other, None)


def test_a_ring_of_another_installation_is_refused_and_leaves_no_trace(world: World) -> None:
    """It has none of the keys that are in use, whatever its own are called."""
    world.agreement.admit(K1, None)
    _forget_announcements(world)
    before = _keys_in_redis(world)

    with pytest.raises(KeyringError, match=r"none of the keys that are in use \(k1\)"):
        world.another_agreement("replica-b").admit(K2, None)

    assert _keys_in_redis(world) == before
    assert set(world.key_table.checks()) == {"k1"}


def test_a_ring_with_one_wrong_key_is_refused_as_a_whole(world: World) -> None:
    """A good primary does not make up for it, and no check of a new key is left."""
    world.agreement.admit(K1_K2, None)
    mixed = {
        "k1": K1.primary,
        "k2": Key("k2", b"wrong".ljust(32, b"*")),
        "k3": Key("k3", b"3" * 32),
    }

    with pytest.raises(KeyringError, match="k2 does not open"):
        world.another_agreement("replica-b").admit(Keyring(mixed, "k1"), None)

    assert set(world.key_table.checks()) == {"k1", "k2"}


def test_every_bit_of_a_key_check_counts(world: World) -> None:
    """F40k: whoever alters it causes a refusal."""
    world.agreement.admit(K1, None)
    _forget_announcements(world)
    good = world.key_table.checks()["k1"]

    for bit in range(len(good) * 8):
        altered = bytearray(good)
        altered[bit // 8] ^= 1 << bit % 8
        world.redis.hset(_CHECKS, "k1", bytes(altered))
        with pytest.raises(KeyringError, match="does not open its key check"):
            world.another_agreement("replica-b").admit(K1, None)


def test_a_check_of_another_key_or_installation_does_not_count(world: World) -> None:
    """F41k: it is bound to both."""
    world.agreement.admit(K1_K2, None)
    _forget_announcements(world)
    other = KeyAgreement(world.key_table, world.observer, "other", "replica-c", world.clock)

    with pytest.raises(KeyringError, match="k1 does not open"):
        other.admit(K1, None)
    world.redis.hset(_CHECKS, "k1", world.key_table.checks()["k2"])
    with pytest.raises(KeyringError, match="k1 does not open"):
        world.another_agreement("replica-b").admit(K1_K2, None)


def test_without_redis_nothing_is_taken(world: World) -> None:
    """It cannot be told whether it is the right one."""
    with linked(1) as away, pytest.raises(StorageError):
        KeyAgreement(RedisKeys(away), world.observer, INSTANCE, "a", world.clock).admit(K1, None)


# --- what is in force and goes away


def test_a_key_that_stored_values_need_may_not_go(world: World) -> None:
    """F45k: the ring before stays in force; putting the key back is all that it takes."""
    in_force = world.agreement.admit(TO_K2, None)
    world.ring = K1
    world.active()

    with pytest.raises(KeyringError, match="k1 is missing, and stored values need it"):
        world.agreement.admit(K2, in_force)

    assert world.agreement.admit(TO_K2, in_force).key_ids == ("k1", "k2")


def test_a_ring_that_lacks_a_key_is_not_counted_for_at_every_look(world: World) -> None:
    """Counting reads everything; once a minute is often enough to notice that nothing needs the key any more."""
    in_force = world.agreement.admit(TO_K2, None)
    world.ring = K1
    world.active()
    with pytest.raises(KeyringError):
        world.agreement.admit(K2, in_force)
    world.redis.delete(store_key(STORE))

    with pytest.raises(KeyringError):
        world.agreement.admit(K2, in_force)
    world.clock.move(60 * SECOND)

    assert world.agreement.admit(K2, in_force).key_ids == ("k2",)


def test_a_key_that_nothing_needs_may_go(world: World) -> None:
    """Its file is taken away after it was retired, and in the end it is nowhere."""
    in_force = world.agreement.admit(TO_K2, None)
    world.ring = TO_K2
    world.active()

    assert world.agreement.admit(K2, in_force).key_ids == ("k2",)
    assert set(world.key_table.checks()) == {"k2"}


def test_a_key_that_another_replica_seals_with_may_not_go(world: World) -> None:
    """What that one writes next could not be opened here."""
    other = world.another_agreement("replica-b")
    mine = world.agreement.admit(K1_K2, None)
    theirs = other.admit(K1_K2, None)
    mine = world.agreement.admit(TO_K2, mine)

    with pytest.raises(KeyringError, match="or another replica seals with it"):
        world.agreement.admit(K2, mine)

    assert "k1" in world.key_table.checks()
    theirs = other.admit(TO_K2, theirs)
    other.admit(TO_K2, theirs)
    world.clock.move(60 * SECOND)
    assert world.agreement.admit(K2, mine).key_ids == ("k2",)


# --- agreement


def test_a_key_seals_once_every_live_replica_has_it(world: World) -> None:
    """Until then a replica that lacks it could not open what it met."""
    other = world.another_agreement("replica-b")
    mine, theirs = world.agreement.admit(K1, None), other.admit(K1, None)

    early = world.agreement.admit(TO_K2, mine)
    waiting = world.observer.pending
    theirs = other.admit(K1_K2, theirs)
    late = world.agreement.admit(TO_K2, early)

    assert (_primary(early), waiting) == ("k1", True)
    assert _primary(theirs) == "k1"
    assert (_primary(late), world.observer.pending) == ("k2", False)


def test_whoever_cannot_read_an_announcement_waits(world: World) -> None:
    """Somebody wrote nonsense, or a replica has other keys; it ends by itself."""
    mine = world.agreement.admit(K1, None)
    world.redis.hset(_ANNOUNCED, "replica-x", "9999999999999 nonsense")

    during = world.agreement.admit(TO_K2, mine)
    world.redis.hdel(_ANNOUNCED, "replica-x")

    assert _primary(during) == "k1"
    assert _primary(world.agreement.admit(TO_K2, during)) == "k2"


def test_an_announcement_that_was_forged_chooses_no_key(world: World) -> None:
    """What a replica says is signed for its name: copied to another name it says nothing."""
    mine = world.agreement.admit(K1_K2, None)
    said = world.redis.hget(_ANNOUNCED, "replica-a")
    assert said is not None
    world.redis.hset(_ANNOUNCED, "replica-x", said)

    heard = {each.replica: each for each in world.agreement.heard(mine)}

    assert heard["replica-a"].key_ids == {"k1", "k2"}
    assert heard["replica-x"].key_ids == set()


def test_a_replica_that_starts_seals_with_what_the_others_have(world: World) -> None:
    """Its own files name the new primary already, and one of the others lacks it."""
    world.agreement.admit(K1, None)
    starting = world.another_agreement("replica-b")

    first = starting.admit(TO_K2, None)
    world.agreement.admit(K1_K2, K1)
    later = starting.admit(TO_K2, first)

    assert (_primary(first), _primary(later)) == ("k1", "k2")


@pytest.mark.parametrize("wanted_only", [False, True])
def test_a_replica_that_lacks_the_key_that_seals_does_not_start(
    world: World,
    *,
    wanted_only: bool,
) -> None:
    """It would meet what it cannot open; its mounted files are old."""
    if wanted_only:
        world.another_agreement("replica-c").admit(K1, None)
    world.agreement.admit(TO_K2, world.agreement.admit(K1, None))
    starting = world.another_agreement("replica-b")

    with pytest.raises(KeyringError, match="another replica seals with k2"):
        starting.admit(K1, None)

    assert "replica-b" not in world.key_table.announcements()
    assert _primary(starting.admit(K1_K2, None)) in ("k1", "k2")


def test_of_two_replicas_at_the_same_moment_one_knows_of_the_other(world: World) -> None:
    """Between the look and the announcement of one that starts, another one begins to want a key that the first lacks."""
    mine = world.agreement.admit(K1, None)
    starting = world.another_agreement("replica-b")
    starting._table = Overtaken(world.link, lambda: world.agreement.admit(TO_K2, mine))

    with pytest.raises(KeyringError, match="another replica seals with k2"):
        starting.admit(K1, None)


def test_what_was_left_lately_is_announced(world: World) -> None:
    """So that nobody lets go of a key while something that was begun with it may still be written."""
    mine = world.agreement.admit(K1, None)
    mine = world.agreement.admit(TO_K2, mine)
    world.clock.move(SECOND)
    world.agreement.admit(TO_K2, mine)

    (heard,) = world.agreement.heard(mine)

    assert heard.left == {"k1": ManualClock()()}
    assert (heard.seals, heard.wants) == ("k2", "k2")
