"""Several replicas, one of which maintains; being two at once does no harm either."""

from datetime import datetime, timedelta

import pytest

from service.adapters.redis_link import RedisLink
from service.adapters.redis_maintenance import RedisMaintenance
from service.core.errors import UpstreamTimeoutError
from service.core.maintenance import TERM
from service.core.policy import MintAsk
from tests.core.replicas import (
    MINUTE,
    SECOND,
    active_name,
    elapse,
    live_names,
    maintain_after,
    record,
    replica,
    shown,
)
from tests.support.world import CREDENTIAL, LEASE, MINTER, OPERATOR, STORE, World, call

ALMOST = TERM - SECOND


@pytest.fixture
def other(world: World) -> World:
    """Another replica."""
    return replica(world)


class CountingTable(RedisMaintenance):
    """Knows which stores were looked at through it."""

    def __init__(self, link: RedisLink) -> None:
        super().__init__(link)
        self.looked: list[str] = []

    def looked_at(self, store_hash: str, when: datetime, again: datetime | None) -> None:
        """See ``MaintenanceTable.looked_at``."""
        self.looked.append(store_hash)
        super().looked_at(store_hash, when, again)


def mount(world: World, *store_hashes: str) -> None:
    """Mount a good credential for stores that nobody knows yet."""
    for store_hash in store_hashes:
        world.mounted.credentials[store_hash] = CREDENTIAL


def known(world: World) -> list[str]:
    """Return the stores that there are."""
    return [document.store_hash for document in world.stores.page(call(OPERATOR), "", 99)[0]]


def test_one_replica_maintains_and_the_others_do_not(world: World, other: World) -> None:
    """Whoever has the term keeps it by coming back."""
    world.maintenance.run()
    mount(world, STORE)

    for _ in range(5):
        elapse(world, ALMOST)
        other.maintenance.run()
        nobody_else = known(world)
        world.maintenance.run()

    assert nobody_else == [STORE]
    assert {entry.caller for entry in world.audit.entries} >= {"broker:maintenance"}
    assert "broker:maintenance" not in {entry.caller for entry in other.audit.entries}


def test_another_takes_over_when_the_term_is_over(world: World, other: World) -> None:
    """The first is gone, and what it knew of mounts is found out again."""
    mount(world, "abc1")
    world.maintenance.run()
    mount(world, "abc2")
    other.maintenance.run()
    before = known(world)

    elapse(world, TERM)
    other.maintenance.run()
    mount(world, "abc3")
    world.maintenance.run()

    assert before == ["abc1"]
    assert known(world) == ["abc1", "abc2"]
    assert [world.upstream.live(name)[0].token_id for name in known(world)] == [1001, 1002]


def test_whoever_lost_the_term_in_the_middle_leaves_the_rest_to_the_other(
    world: World, other: World
) -> None:
    """A slow upstream takes longer than a term; nothing is done twice."""
    mount(world, "abc1", "abc2", "abc3")

    def be_slow() -> None:
        world.upstream.before_issue = lambda: None
        elapse(world, TERM)
        other.maintenance.run()

    looks = CountingTable(world.link)
    world.maintenance._agreed = looks
    world.upstream.before_issue = be_slow
    world.maintenance.run()

    assert len(looks.looked) == 1
    assert known(world) == ["abc1", "abc2", "abc3"]
    assert world.upstream.logins == 3
    own = {entry.store_hash for entry in world.audit.entries if entry.action == "store.write"}
    assert len(own) == 1


def test_two_that_renew_the_same_store_at_once_make_one_token(world: World, other: World) -> None:
    """The second decided on a record that is not the store's any more."""
    made: list[str] = []

    def expire_soon() -> None:
        made.append(world.upstream.ledger[-1].value)

    world.upstream.after_issue = expire_soon
    world.active()
    mount(world, STORE)
    world.upstream.failure = UpstreamTimeoutError("late", reason="upstream_timeout")
    with pytest.raises(UpstreamTimeoutError):
        world.stores.remove(call(OPERATOR), STORE)
    world.upstream.failure = None
    seen = world.reader.seen(world.keyring(), STORE)
    other.stores.put(call(OPERATOR), STORE, CREDENTIAL, retain=False)

    world.maintenance._get_token(world.keyring(), seen)

    assert world.upstream.logins == 2
    assert shown(world).generation == 2
    assert active_name(world) in live_names(world)


def test_the_others_show_the_count_of_the_one_that_counts(world: World, other: World) -> None:
    """Every replica says the same; what is too old is said by nobody."""
    world.active()
    for _ in range(3):
        world.minter.mint(call(MINTER), STORE, MintAsk())
    world.maintenance.run()

    other.maintenance.run()
    told = other.observer.stores
    live = other.observer.live_references
    elapse(world, timedelta(minutes=6))
    world.agreed.claim("maintenance", "somebody else", TERM)
    other.maintenance.run()

    assert told == world.observer.stores == {("active", "auth_token"): 1}
    assert live == world.observer.live_references == 3
    assert (other.observer.stores, other.observer.live_references) == ({}, 0)


def test_a_crash_of_the_one_that_maintains_is_made_good(world: World, other: World) -> None:
    """Its claim ends, its lease ends, and the other finishes what it began."""
    mount(world, STORE)

    def die() -> None:
        raise KeyboardInterrupt

    world.upstream.after_issue = die
    with pytest.raises(KeyboardInterrupt):
        world.maintenance.run()
    world.upstream.after_issue = lambda: None

    other.maintenance.run()
    during = shown(world).status
    maintain_after(other, LEASE + SECOND)

    assert during == "issuing"
    assert shown(world).status == "active"
    assert live_names(world) == [active_name(world)]
    assert record(world).generation == 1


def test_a_replica_whose_clock_is_behind_does_no_harm(world: World) -> None:
    """It sees less as due, and what it writes down is looked at early rather than never."""
    slow = World(world.redis, upstream=world.upstream)
    slow.clock.move(-MINUTE)
    mount(slow, STORE)
    slow.maintenance.run()

    maintain_after(world, LEASE + SECOND)
    maintain_after(world, LEASE + SECOND)

    assert shown(world).status == "active"
    assert world.upstream.logins == 1
