"""Locks: who may, what they stop, what they leave possible, and that each is recorded."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from service.adapters.redis_link import home
from service.core.errors import (
    AuditError,
    ForbiddenError,
    StoreLockedError,
    StoreUnknownError,
    UpstreamTimeoutError,
)
from service.core.lock import Lock, read_note, write_note
from service.core.maintenance import AGAIN
from service.core.minting import MintedReference
from service.core.policy import AccessGrant, MintAsk, Policy
from tests.core.replicas import maintain_after
from tests.support.clock import START
from tests.support.world import CREDENTIAL, MINTER, OPERATOR, PREVIOUS, STORE, WORKER, World, call

REASON = "INC-42: token seen in a log"
ON_CALL = "corp:dev-bo"
ONE_FAMILY = Policy((AccessGrant("abc", ("corp:dev-*",), ("abc*",), ("store.lock", "store.read")),))
ON_STORE = Lock("store", OPERATOR, REASON, START)
ON_ALL = Lock("all", OPERATOR, REASON, START)


@pytest.fixture
def ready(world: World) -> World:
    """A world with an active store that has a previous token."""
    world.active()
    world.stores.rotate(call(OPERATOR), STORE, CREDENTIAL)
    return world


def lock(world: World, scope: str) -> None:
    """Put a lock on."""
    if scope == "store":
        assert world.locks.lock(call(OPERATOR), STORE, REASON) == ON_STORE
    else:
        assert world.locks.lock_all(call(OPERATOR), REASON) == ON_ALL


def unlock(world: World, scope: str) -> None:
    """Take it off."""
    if scope == "store":
        world.locks.unlock(call(OPERATOR), STORE)
    else:
        world.locks.unlock_all(call(OPERATOR))


def mint(world: World) -> MintedReference:
    """Mint for the worker."""
    return world.minter.mint(call(MINTER), STORE, MintAsk(audience=WORKER))


STOPPED: dict[str, Callable[[World, MintedReference], object]] = {
    "mint": lambda world, _: mint(world),
    "use": lambda world, minted: world.uses.take(
        call(WORKER), minted.reference, "proxy", lambda _grant: True
    ),
    "put": lambda world, _: world.stores.put(call(OPERATOR), STORE, CREDENTIAL, retain=True),
    "rotate": lambda world, _: world.stores.rotate(call(OPERATOR), STORE, CREDENTIAL),
    "rollback": lambda world, _: world.stores.roll_back(call(OPERATOR), STORE),
}


@pytest.mark.parametrize("scope", ["store", "all"])
@pytest.mark.parametrize("what", STOPPED)
def test_what_gives_or_uses_a_token_is_refused(ready: World, what: str, scope: str) -> None:
    """Recorded with the reason, without a word to the upstream, and possible again as soon as the lock is off."""
    minted = mint(ready)
    lock(ready, scope)
    logins = ready.upstream.logins
    ready.upstream.failure = UpstreamTimeoutError("asked", reason="asked")

    with pytest.raises(StoreLockedError) as refused:
        STOPPED[what](ready, minted)

    assert (refused.value.reason, ready.upstream.logins) == (f"{scope}_locked", logins)
    assert ready.audit.entries[-1].reason == f"{scope}_locked"
    ready.upstream.failure = None
    unlock(ready, scope)
    STOPPED[what](ready, minted)


def test_a_token_that_is_rejected_after_the_lock_is_not_repaired(ready: World) -> None:
    """Whoever was let through before the lock gets no second token through it."""
    minted = mint(ready)
    used = ready.uses.take(call(WORKER), minted.reference, "proxy", lambda _grant: True)
    lock(ready, "store")
    ready.upstream.failure = UpstreamTimeoutError("asked", reason="asked")

    with pytest.raises(StoreLockedError):
        ready.repair.look_into(call(WORKER), STORE, used.token)


@pytest.mark.parametrize("scope", ["store", "all"])
def test_what_takes_access_away_and_looking_stay_possible(ready: World, scope: str) -> None:
    """An incident is when they are needed."""
    minted = mint(ready)
    lock(ready, scope)

    document = ready.stores.get(call(OPERATOR), STORE)
    known = ready.references.introspect(call(WORKER), minted.reference)
    ready.references.revoke_store(call(OPERATOR), STORE)
    ready.stores.remove(call(OPERATOR), STORE)

    assert document.lock == (ON_STORE if scope == "store" else ON_ALL)
    assert document.status == "active"
    assert known is not None
    assert ready.upstream.live(STORE) == []


def test_a_store_that_was_removed_while_it_was_locked_cannot_be_registered(ready: World) -> None:
    """The lock is on the store's hash, and shown after the store is gone."""
    lock(ready, "store")
    ready.stores.remove(call(OPERATOR), STORE)

    with pytest.raises(StoreLockedError):
        ready.stores.put(call(OPERATOR), STORE, CREDENTIAL, retain=False)

    assert ready.locks.in_force(call(OPERATOR)).stores == {STORE: ON_STORE}
    ready.locks.unlock(call(OPERATOR), STORE)
    assert ready.stores.put(call(OPERATOR), STORE, CREDENTIAL, retain=False)[1]


@pytest.mark.parametrize("scope", ["store", "all"])
def test_maintenance_leaves_a_locked_store_alone_and_comes_back(ready: World, scope: str) -> None:
    """The previous token, whose time has come, lives until the lock is off."""
    lock(ready, scope)
    maintain_after(ready, PREVIOUS)
    alive = len(ready.upstream.live(STORE))

    unlock(ready, scope)
    maintain_after(ready, AGAIN)

    assert (alive, len(ready.upstream.live(STORE))) == (2, 1)


def test_an_unknown_store_cannot_be_locked(world: World) -> None:
    """Whoever mistypes a hash must not believe that the store is locked."""
    with pytest.raises(StoreUnknownError):
        world.locks.lock(call(OPERATOR), STORE, REASON)

    assert ("store.lock", "failed", "store_unknown") in world.audit.told()


def test_only_whom_policy_allows_locks_and_unlocks(ready: World) -> None:
    """A grant of some stores is none of all; each refusal is recorded."""
    bo, minter = call(ON_CALL, ONE_FAMILY), call(MINTER)
    ready.active("xyz123")

    ready.locks.lock(bo, STORE, REASON)
    refused = 0
    for act in (
        lambda: ready.locks.lock(minter, STORE, REASON),
        lambda: ready.locks.unlock(minter, STORE),
        lambda: ready.locks.lock(bo, "xyz123", REASON),
        lambda: ready.locks.lock_all(bo, REASON),
        lambda: ready.locks.unlock_all(bo),
        lambda: ready.locks.in_force(minter),
    ):
        with pytest.raises(ForbiddenError):
            act()
        refused += ready.audit.entries[-1].outcome == "denied"

    assert refused == 6


def test_only_locks_of_stores_that_the_caller_may_see_are_shown(ready: World) -> None:
    """The lock of all concerns everybody."""
    ready.active("xyz123")
    ready.locks.lock(call(OPERATOR), "xyz123", REASON)
    lock(ready, "all")

    seen = ready.locks.in_force(call(ON_CALL, ONE_FAMILY))

    assert (seen.on_all, seen.stores) == (ON_ALL, {})


@pytest.mark.parametrize("scope", ["store", "all"])
def test_a_lock_is_on_though_it_cannot_be_recorded(ready: World, scope: str) -> None:
    """Stopping does not depend on a disk that is full; whoever asked learns that the record is missing."""
    ready.audit.broken = True

    with pytest.raises(AuditError) as told:
        lock(ready, scope)

    assert told.value.detail.startswith("It is locked.")
    assert told.value.reason
    ready.audit.broken = False
    with pytest.raises(StoreLockedError):
        mint(ready)


@pytest.mark.parametrize("scope", ["store", "all"])
def test_nothing_is_unlocked_that_cannot_be_recorded(ready: World, scope: str) -> None:
    """No record, no release."""
    lock(ready, scope)
    ready.audit.broken = True

    with pytest.raises(AuditError):
        unlock(ready, scope)

    ready.audit.broken = False
    with pytest.raises(StoreLockedError):
        mint(ready)


def test_each_lock_and_unlock_is_recorded(ready: World) -> None:
    """With a fixed word; the operator's own are kept out of the audit trail, because anything may be in them."""
    before = len(ready.audit.entries)

    for change in (lock, unlock):
        for scope in ("store", "all"):
            change(ready, scope)

    told = [(e.outcome, e.reason, e.store_hash) for e in ready.audit.entries[before:]]
    assert told == [
        ("allowed", "locked", STORE),
        ("allowed", "all_locked", "*"),
        ("started", "unlock", STORE),
        ("allowed", "unlocked", STORE),
        ("started", "unlock_all", "*"),
        ("allowed", "all_unlocked", "*"),
    ]
    assert REASON not in repr(ready.audit.entries)


@pytest.mark.parametrize(
    "note",
    [
        b"",
        b"\xff",
        b"[]",
        b"{}",
        b'{"by":1,"reason":"b","since":1}',
        b'{"by":"a","reason":"b","since":1e99}',
        b'{"by":"a","reason":"b","since":"1"}',
        b'{"by":"a","reason":"\\u001b[2J","since":1}',
        b'{"by":"\\ud800","reason":"b","since":1}',
    ],
)
def test_a_note_that_cannot_be_read_locks_all_the_same(ready: World, note: bytes) -> None:
    """Whoever writes Redis cannot lift a lock by damaging what it says."""
    ready.redis.hset(home(STORE).locks, f"s:{STORE}", note)

    with pytest.raises(StoreLockedError):
        mint(ready)

    assert ready.stores.get(call(OPERATOR), STORE).lock == Lock("store", "", "", None)


def test_a_note_is_read_as_it_was_written() -> None:
    """In any script."""
    note = write_note(OPERATOR, "Störung ✓", START + timedelta(milliseconds=1))

    assert read_note("all", note) == Lock(
        "all", OPERATOR, "Störung ✓", START + timedelta(milliseconds=1)
    )


def test_locks_are_counted_for_whoever_watches(ready: World) -> None:
    """How many stores, and whether all; readiness names the latter."""
    counts = []
    for scope in ("store", "all"):
        lock(ready, scope)
        ready.locks.count()
        counts.append((ready.observer.locks, ready.locks.problem))
    ready.locks.unlock_all(call(OPERATOR))
    ready.locks.count()

    assert counts == [((False, 1), ""), ((True, 1), "all_locked")]
    assert (ready.observer.locks, ready.locks.problem) == ((False, 1), "")
