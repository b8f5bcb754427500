"""The use cases about keys: shown with what needs them, and let go of only when nothing does.

Source: security.md §3.3 F45k.
"""

from collections.abc import Iterator, Sequence
from datetime import timedelta

import pytest

from service.adapters.redis_keys import RedisKeys
from service.core.errors import (
    AuditError,
    ForbiddenError,
    KeyInUseError,
    KeyUnknownError,
    LockedError,
)
from service.core.keys import KnownKey, KnownKeys
from service.core.policy import AccessGrant, Policy
from service.core.rewrapping import Stored
from tests.core.altering import store_key
from tests.core.replicas import SECOND, elapse
from tests.core.rewrapping import BOTH, KEEPER, NEW, OLD, VALUES, Full
from tests.support.world import LEASE, STORE, World, call

ONE_STORE = call(
    "corp:ops-anna", Policy((AccessGrant("one", ("corp:*",), (STORE,), ("store.*",)),))
)
READER = call("corp:ops-anna", Policy((AccessGrant("r", ("corp:*",), ("*",), ("store.read",)),)))


@pytest.fixture
def full(world: World) -> Full:
    """Everything, under the old key, in one replica that has just changed over to the new one."""
    full = Full(world)
    ring = world.agreement.admit(OLD, None)
    world.agreement.admit(BOTH, world.agreement.admit(BOTH, ring))
    return full


def _rewrapped(full: Full) -> Full:
    """Come to where nothing is stored under the old key any more, and long enough after it sealed last."""
    full.ask()
    full.world.rewrapper.run()
    full.world.rewrapper.run()
    elapse(full.world, LEASE + SECOND)
    full.world.agreement.admit(BOTH, BOTH)
    return full


def _by_id(found: KnownKeys) -> dict[str, KnownKey]:
    return {key.key_id: key for key in found.keys}


def test_keys_are_shown_with_what_needs_them_and_who_has_them(full: Full) -> None:
    """By kind, and by replica; the key that is wanted and the one that seals may differ for a while."""
    full.world.another_agreement("replica-b").admit(OLD, OLD)

    found = full.world.keys.list(KEEPER)

    old, new = _by_id(found)["k1"], _by_id(found)["k2"]
    assert old.records == {"store": 2, "reference": 1, "intent": 2}
    assert sum(new.records.values()) == 0
    assert (old.primary, new.primary, found.wanted) == (False, True, "k2")
    assert (new.known_by, new.missing_in) == (("replica-a",), ("replica-b",))
    assert old.known_by == found.replicas == ("replica-a", "replica-b")
    assert (old.checked, new.checked, found.malformed) == (True, True, 0)
    assert full.world.audit.told()[-1] == ("store.read", "allowed", "keys")


def test_what_was_altered_beyond_reading_is_counted(full: Full) -> None:
    """It says no key, and may be anything."""
    full.world.redis.set(store_key(STORE), b"garbage")

    assert full.world.keys.list(KEEPER).malformed == 1


def test_nothing_is_sealed_again_before_all_replicas_seal_alike(full: Full) -> None:
    """One that has not changed over would undo it, or be asked to seal everything with the key that is to go."""
    late = full.world.another_agreement("replica-b")
    ring = late.admit(BOTH.sealing_with("k1"), BOTH.sealing_with("k1"))
    with pytest.raises(KeyInUseError) as refused:
        full.world.keys.rewrap(KEEPER)
    full.world.ring = ring
    with pytest.raises(KeyInUseError):
        full.world.keys.rewrap(KEEPER)
    full.world.ring = BOTH
    late.admit(BOTH, late.admit(BOTH, ring))

    assert refused.value.reason == "keys_differ"
    assert full.world.keys.rewrap(KEEPER).state == "wanted"


def test_nothing_is_sealed_again_under_a_key_that_is_about_to_go(world: World) -> None:
    """While a replica waits for the others, what it seals with now is not what everything is to need."""
    full = Full(world)
    world.another_agreement("replica-b").admit(OLD, OLD)
    world.ring = world.agreement.admit(BOTH, OLD)

    with pytest.raises(KeyInUseError) as refused:
        world.keys.rewrap(KEEPER)

    assert world.ring.primary.key_id == "k1"
    assert refused.value.reason == "keys_differ"
    assert full.needed() == {"k1": VALUES}


def test_a_key_that_nothing_needs_is_let_go_of(full: Full) -> None:
    """Its check goes, so that its file may; asking again says the same."""
    _rewrapped(full)

    found = full.world.keys.retire(KEEPER, "k1")
    again = full.world.keys.retire(KEEPER, "k1")

    assert (_by_id(found)["k1"].checked, _by_id(found)["k2"].checked) == (False, True)
    assert again == found
    assert set(full.world.key_table.checks()) == {"k2"}
    assert full.world.audit.told()[-1] == ("store.write", "allowed", "retire_key")
    assert full.world.agreement.admit(NEW, BOTH).key_ids == ("k2",)


def test_a_key_that_a_single_value_needs_is_kept(full: Full) -> None:
    """F45k: whatever kind it is of."""
    _rewrapped(full)
    full.world.ring = OLD
    full.world.active("abc777")
    full.world.ring = BOTH

    with pytest.raises(KeyInUseError) as refused:
        full.world.keys.retire(KEEPER, "k1")

    assert refused.value.reason == "key_needed"
    assert "k1" in full.world.key_table.checks()
    assert full.world.audit.told()[-1] == ("store.write", "denied", "key_needed")


class Blind(RedisKeys):
    """Redis, of which the first look sees nothing."""

    looks = 0

    def scan(self) -> Iterator[Sequence[Stored]]:
        """See ``KeyTable.scan``."""
        self.looks += 1
        return super().scan() if self.looks > 1 else iter([])


def test_one_look_is_not_enough(full: Full) -> None:
    """What is written while one looks may be where one has looked already."""
    _rewrapped(full)
    full.world.ring = OLD
    full.world.active("abc777")
    full.world.ring = BOTH
    full.world.keys._table = Blind(full.world.link)
    with pytest.raises(KeyInUseError):
        full.world.keys.retire(KEEPER, "k1")


def test_the_key_that_seals_is_kept(full: Full) -> None:
    """Whatever is stored."""
    with pytest.raises(KeyInUseError) as refused:
        full.world.keys.retire(KEEPER, "k2")

    assert refused.value.reason == "key_seals"


def test_a_key_that_another_replica_seals_with_is_kept(full: Full) -> None:
    """It would write under it at any moment."""
    _rewrapped(full)
    late = full.world.another_agreement("replica-b")
    late.admit(BOTH.sealing_with("k1"), BOTH.sealing_with("k1"))

    with pytest.raises(KeyInUseError) as refused:
        full.world.keys.retire(KEEPER, "k1")

    assert refused.value.reason == "key_seals"


def test_a_key_that_sealed_a_moment_ago_is_kept(full: Full) -> None:
    """A request that was begun with it may still write; that takes no longer than a lease."""
    full.ask()
    full.world.rewrapper.run()
    full.world.clock.move(LEASE - SECOND)
    full.world.agreement.admit(BOTH, BOTH)
    with pytest.raises(KeyInUseError) as refused:
        full.world.keys.retire(KEEPER, "k1")
    full.world.clock.move(timedelta(seconds=2))

    found = full.world.keys.retire(KEEPER, "k1")

    assert refused.value.reason == "key_sealed_lately"
    assert refused.value.retry_after == LEASE
    assert not _by_id(found)["k1"].checked


def test_a_replica_that_is_not_understood_keeps_every_key(full: Full) -> None:
    """It may seal with any."""
    _rewrapped(full)
    full.world.key_table.announce("replica-x", b"nonsense", LEASE)

    with pytest.raises(KeyInUseError) as refused:
        full.world.keys.retire(KEEPER, "k1")

    assert refused.value.reason == "replica_unknown"


def test_a_key_that_nobody_has_is_unknown(full: Full) -> None:
    """A slip of the finger lets go of nothing."""
    with pytest.raises(KeyUnknownError):
        full.world.keys.retire(KEEPER, "k9")


def test_only_whoever_may_write_all_stores_changes_anything(full: Full) -> None:
    """Keys concern all of them; some store is not enough, nor is reading."""
    keys = full.world.keys
    for refused in (
        lambda: keys.list(ONE_STORE),
        lambda: keys.rewrapping(ONE_STORE),
        lambda: keys.rewrap(ONE_STORE),
        lambda: keys.rewrap(READER),
        lambda: keys.retire(ONE_STORE, "k1"),
        lambda: keys.retire(READER, "k1"),
    ):
        with pytest.raises(ForbiddenError):
            refused()

    assert keys.rewrapping(READER).state == "none"
    assert len(keys.list(READER).keys) == 2


def test_nothing_is_begun_that_is_not_recorded(full: Full) -> None:
    """P5: neither resealing nor letting go."""
    _rewrapped(full)
    before = full.world.key_table.rewrapping()
    full.world.audit.broken = True

    with pytest.raises(AuditError):
        full.world.keys.rewrap(KEEPER)
    with pytest.raises(AuditError):
        full.world.keys.retire(KEEPER, "k1")

    assert full.world.key_table.rewrapping() == before
    assert "k1" in full.world.key_table.checks()


def test_nothing_is_told_while_locked(full: Full) -> None:
    """Without keys nobody knows what is right."""
    full.world.ring = None

    for ask in (full.world.keys.list, full.world.keys.rewrap, full.world.keys.rewrapping):
        with pytest.raises(LockedError):
            ask(KEEPER)


def test_how_far_it_is_is_shown(full: Full) -> None:
    """From the moment on at which it was asked for."""
    wanted = full.world.keys.rewrap(KEEPER)
    shown = full.world.keys.rewrapping(KEEPER)
    full.world.rewrapper.run()
    running = full.world.keys.rewrapping(KEEPER)

    assert wanted == shown
    assert (shown.state, shown.to, shown.caller) == ("wanted", "k2", "corp:ops-anna")
    assert (running.state, running.rewrapped) == ("running", VALUES)
