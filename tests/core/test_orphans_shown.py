"""Orphans as the operator sees them: looked for without deleting, deleted when asked, forgotten only on the operator's word."""

import pytest

from service.adapters.redis_link import home
from service.core.cleaning import Found
from service.core.errors import (
    AuditError,
    CredentialRefusedError,
    ForbiddenError,
    StoreNotActiveError,
    StoreUnknownError,
    UpstreamRefusedError,
    UpstreamTimeoutError,
)
from service.core.policy import AccessGrant, Policy
from tests.core.altering import alter, store_key
from tests.core.replicas import (
    MINUTE,
    access_token,
    active_name,
    elapse,
    live_names,
    replica,
    shown,
)
from tests.support.upstream import MadeToken
from tests.support.world import (
    CREDENTIAL,
    LEASE,
    OPERATOR,
    STORE,
    TOKEN_PREFIX,
    World,
    call,
)

UNPROVEN = f"{TOKEN_PREFIX}/{STORE}/0123"


@pytest.fixture
def world(world: World) -> World:
    """An active store with an orphan, and other tokens beside it."""

    def time_out() -> None:
        raise UpstreamTimeoutError("late", reason="upstream_timeout")

    world.active()
    world.upstream.after_issue = time_out
    with pytest.raises(UpstreamTimeoutError):
        world.stores.rotate(call(OPERATOR), STORE, CREDENTIAL)
    world.upstream.after_issue = lambda: None
    world.upstream.ledger += [
        MadeToken(1, STORE, UNPROVEN, "u" * 20),
        MadeToken(2, STORE, "the merchant's own", "m" * 20),
    ]
    return world


def orphan(world: World) -> MadeToken:
    """Return the orphan."""
    return world.upstream.ledger[1]


def find(world: World) -> Found:
    """Look for orphans."""
    return world.stores.orphans(call(OPERATOR), STORE)


def delete(world: World, *, forget: bool = False) -> Found:
    """Delete orphans."""
    return world.stores.delete_orphans(call(OPERATOR), STORE, forget=forget)


def test_looking_deletes_nothing(world: World) -> None:
    """It shows what is ours, alive or not, and what only looks like it."""
    found = find(world)

    assert [(o.token_name, o.started_at, o.alive) for o in found.orphans] == [
        (orphan(world).name, world.clock(), True)
    ]
    assert orphan(world).name.endswith(found.orphans[0].attempt)
    assert found.unproven == (UNPROVEN,)
    assert len(live_names(world)) == 4
    assert world.audit.told()[-1] == ("store.read", "allowed", "orphans")


def test_deleting_deletes_what_is_proven_and_shows_what_there_was(world: World) -> None:
    """Once; the second time there is nothing."""
    found = delete(world)
    again = delete(world)

    assert [o.alive for o in found.orphans] == [True]
    assert orphan(world).deleted
    assert live_names(world) == [active_name(world), UNPROVEN, "the merchant's own"]
    assert (again.orphans, again.unproven) == ((), (UNPROVEN,))
    assert world.audit.told()[-2:] == [
        ("store.write", "started", "delete_orphans"),
        ("store.write", "allowed", "deleted_orphans"),
    ]


def test_nothing_is_deleted_that_cannot_be_recorded(world: World) -> None:
    """No record, no effect."""
    world.audit.broken = True

    with pytest.raises(AuditError):
        delete(world)

    assert not orphan(world).deleted


def test_an_attempt_whose_token_is_not_there_yet_is_kept(world: World) -> None:
    """The upstream may still carry it out."""
    made = orphan(world)
    world.upstream.ledger.remove(made)

    found = delete(world)
    kept = len(shown(world).attempts)
    world.upstream.ledger.append(made)
    elapse(world, MINUTE)
    delete(world)

    assert [o.alive for o in found.orphans] == [False]
    assert kept == 1
    assert made.deleted
    assert shown(world).attempts == ()


def test_forgetting_is_the_operators_word(world: World) -> None:
    """No token at hand can look: the operator has."""
    world.upstream.ledger[0].deleted = True
    world.stores.rotate(call(OPERATOR), STORE, access_token(world, "a"))

    before = find(world)
    kept = delete(world)
    delete(world, forget=True)

    assert [o.alive for o in before.orphans] == [None] == [o.alive for o in kept.orphans]
    assert before.unproven == ()
    assert find(world).orphans == ()
    assert not orphan(world).deleted
    assert world.audit.told()[-2] == ("store.write", "allowed", "forgot_orphans")


def test_forgetting_leaves_what_can_be_looked_up(world: World) -> None:
    """The upstream may still carry it out; the broker looks again by itself."""
    orphan(world).deleted = True

    delete(world, forget=True)

    assert [o.alive for o in find(world).orphans] == [False]


def test_an_attempt_under_way_is_no_orphan(world: World) -> None:
    """It is neither shown nor deleted nor forgotten while somebody works on it."""
    delete(world)
    other, seen = replica(world), []

    def look() -> None:
        seen.append(delete(other, forget=True).orphans)

    world.upstream.after_issue = look
    world.stores.rotate(call(OPERATOR), STORE, CREDENTIAL)

    assert seen == [()]
    assert shown(world).generation == 2
    assert active_name(world) in live_names(world)


def test_an_attempt_whose_process_died_is_an_orphan_when_its_lease_has_ended(world: World) -> None:
    """Not before."""
    delete(world)

    def die() -> None:
        raise KeyboardInterrupt

    world.upstream.after_issue = die
    with pytest.raises(KeyboardInterrupt):
        world.stores.rotate(call(OPERATOR), STORE, CREDENTIAL)
    during = find(world).orphans
    elapse(world, LEASE)

    assert during == ()
    assert [o.alive for o in find(world).orphans] == [True]


def test_previous_and_retired_tokens_are_no_orphans(world: World) -> None:
    """The record knows them."""
    delete(world)
    world.stores.rotate(call(OPERATOR), STORE, CREDENTIAL)

    assert find(world) == Found((), (UNPROVEN,))


@pytest.mark.parametrize("forget", [False, True])
def test_a_store_that_nobody_knows_has_none(world: World, *, forget: bool) -> None:
    """And nothing is asked upstream."""
    with pytest.raises(StoreUnknownError):
        world.stores.orphans(call(OPERATOR), "zzz999")
    with pytest.raises(StoreUnknownError):
        world.stores.delete_orphans(call(OPERATOR), "zzz999", forget=forget)


def test_whoever_may_read_may_not_delete(world: World) -> None:
    """Looking and deleting are two actions."""
    reader = Policy((AccessGrant("reader", (OPERATOR,), ("*",), ("store.read",)),))
    world.stores.orphans(call(OPERATOR, reader), STORE)

    with pytest.raises(ForbiddenError):
        world.stores.delete_orphans(call(OPERATOR, reader), STORE, forget=True)

    assert not orphan(world).deleted


@pytest.mark.parametrize("act", [find, delete])
def test_an_upstream_that_does_not_list_is_an_error(world: World, act: object) -> None:
    """Nothing is concluded from no answer, and the trail says that it failed."""
    world.upstream.failure = UpstreamTimeoutError("late", reason="upstream_timeout")

    with pytest.raises(UpstreamTimeoutError):
        act(world)  # type: ignore[operator]  # one of the two functions

    assert world.audit.told()[-1][1:] == ("failed", "upstream_timeout")
    assert len(shown(world).attempts) == 1


def test_a_token_that_works_but_may_not_list_is_an_error(world: World) -> None:
    """It is not taken for dead."""

    def refuse(_token: object) -> object:
        raise CredentialRefusedError("no", reason="token_rejected")

    world.upstream.tokens = refuse  # type: ignore[method-assign,assignment]  # refuses only this

    with pytest.raises(UpstreamRefusedError):
        find(world)


def test_an_altered_store_has_no_orphans_that_could_be_relied_on(world: World) -> None:
    """Nothing is deleted on its account."""
    alter(world, store_key(STORE), lambda line: line[:-2] + b"!}")

    with pytest.raises(StoreNotActiveError):
        delete(world, forget=True)

    assert not orphan(world).deleted


def test_an_altered_intent_is_neither_shown_nor_forgotten_nor_used(world: World) -> None:
    """Whoever writes Redis cannot have the evidence deleted by us."""
    key = home(STORE).key("intents", STORE)
    for field in world.redis.hkeys(key):
        world.redis.hset(key, field, b"1 k1 forged {}")

    found = delete(world, forget=True)

    assert found.orphans == ()
    assert world.redis.hlen(key) == 1
    assert not orphan(world).deleted
