"""Removing a store: references first, tokens upstream next, the record last."""

import pytest

from service.adapters.redis_stores import RedisStores
from service.core.credential import AccessToken
from service.core.errors import (
    ForbiddenError,
    ReferenceInvalidError,
    StoreBusyError,
    StoreUnknownError,
    UpstreamTimeoutError,
)
from service.core.policy import MintAsk
from service.core.secret import Secret
from tests.core.altering import alter, store_key
from tests.support.world import CREDENTIAL, MINTER, OPERATOR, STORE, WORKER, World, call


def remove(world: World) -> None:
    """Remove the store as an operator."""
    world.stores.remove(call(OPERATOR), STORE)


def test_a_removed_store_leaves_nothing_behind(world: World) -> None:
    """No token upstream, no record, and it is unknown."""
    world.active()

    remove(world)

    assert world.upstream.live(STORE) == []
    assert world.stores.page(call(OPERATOR), "", 10) == ([], None)
    with pytest.raises(StoreUnknownError):
        world.stores.get(call(OPERATOR), STORE)
    assert ("store.write", "started", "remove") in world.audit.told()
    assert ("store.write", "allowed", "removed") in world.audit.told()


def test_references_to_a_removed_store_end_for_ever(world: World) -> None:
    """Also when the store comes back."""
    world.active()
    minted = world.minter.mint(call(MINTER), STORE, MintAsk(audience=WORKER))
    remove(world)
    world.active()

    with pytest.raises(ReferenceInvalidError) as refused:
        world.uses.take(call(WORKER), minted.reference, "proxy", lambda _grant: True)

    assert refused.value.reason == "revoked"


def test_an_unknown_store_cannot_be_removed(world: World) -> None:
    """It is said so, and recorded."""
    with pytest.raises(StoreUnknownError):
        remove(world)

    assert world.audit.told() == [("store.write", "failed", "store_unknown")]


def test_removing_needs_policy(world: World) -> None:
    """A stranger does not even end the references."""
    world.active()
    minted = world.minter.mint(call(MINTER), STORE, MintAsk(audience=WORKER))

    with pytest.raises(ForbiddenError):
        world.stores.remove(call(MINTER), STORE)

    used = world.uses.take(call(WORKER), minted.reference, "proxy", lambda _grant: True)
    assert used.grant.store_hash == STORE
    assert len(world.upstream.live(STORE)) == 1


def test_a_store_stays_until_its_token_is_deleted_upstream(world: World) -> None:
    """Asking again finishes it; meanwhile it is closed and its references are dead."""
    world.active()
    minted = world.minter.mint(call(MINTER), STORE, MintAsk(audience=WORKER))
    world.upstream.failure = UpstreamTimeoutError("late", reason="upstream_timeout")
    with pytest.raises(UpstreamTimeoutError):
        remove(world)
    kept = world.stores.get(call(OPERATOR), STORE)
    with pytest.raises(ReferenceInvalidError):
        world.uses.take(call(WORKER), minted.reference, "proxy", lambda _grant: True)
    world.upstream.failure = None

    remove(world)

    assert (kept.status, kept.reason) == ("needs_credential", "removing")
    assert ("store.write", "failed", "upstream_timeout") in world.audit.told()
    assert world.upstream.live(STORE) == []


def test_a_store_whose_token_is_dead_upstream_can_be_removed(world: World) -> None:
    """It is gone already, which is what was wanted."""
    world.active()
    world.upstream.ledger[0].deleted = True

    remove(world)

    assert world.stores.page(call(OPERATOR), "", 10) == ([], None)


def test_the_previous_token_is_deleted_upstream_too(world: World) -> None:
    """An imported token cannot be deleted there; the issued one before it can."""
    world.active()
    world.upstream.access_tokens[STORE] = "a" * 31
    world.stores.put(call(OPERATOR), STORE, AccessToken(Secret("a" * 31)), retain=False)

    remove(world)

    assert world.upstream.live(STORE) == []


def test_removing_a_store_deletes_the_orphans_of_earlier_attempts(world: World) -> None:
    """The last token that could find them is the one that is about to go."""

    def time_out() -> None:
        raise UpstreamTimeoutError("late", reason="upstream_timeout")

    def lose_the_list() -> None:
        world.upstream.failure = UpstreamTimeoutError("late", reason="upstream_timeout")

    world.upstream.after_issue = time_out
    with pytest.raises(UpstreamTimeoutError):
        world.active()
    world.upstream.after_issue = lose_the_list
    world.active()
    orphaned = len(world.upstream.live(STORE))
    world.upstream.failure = None

    remove(world)

    assert orphaned == 2
    assert world.observer.counts["issue", "cleanup_deferred"] == 1
    assert world.upstream.live(STORE) == []
    assert world.stores_table.read([STORE], world.clock())[0].attempts == ()


def test_a_store_whose_record_was_altered_can_be_removed(world: World) -> None:
    """It names nothing that could be deleted upstream; that is a security event."""
    world.active()
    alter(world, store_key(STORE), lambda line: line + b" ")

    remove(world)

    assert world.observer.counts["security", "mac_mismatch"] == 1
    assert world.stores.page(call(OPERATOR), "", 10) == ([], None)


def test_a_store_that_changes_while_it_is_removed_stays(world: World) -> None:
    """What was decided on is no longer there; asking again decides anew."""
    world.active()

    class Overtaken(RedisStores):
        """Another one changes the record first."""

        def remove(self, store_hash: str, seen: bytes) -> bool:
            """See ``StoreTable.remove``."""
            World(world.redis).stores.put(call(OPERATOR), STORE, CREDENTIAL, retain=True)
            return super().remove(store_hash, seen)

    world.stores._table = Overtaken(world.link)

    with pytest.raises(StoreBusyError) as refused:
        remove(world)

    assert refused.value.reason == "changed"
    assert world.stores.get(call(OPERATOR), STORE).retained
