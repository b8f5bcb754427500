"""Requests for one store that overtake each other: whoever is stale cleans up after itself and sends nothing twice."""

from datetime import timedelta

import pytest

from service.adapters.redis_stores import RedisStores
from service.core.credential import AccessToken
from service.core.errors import StoreBusyError, UpstreamError, UpstreamTimeoutError
from service.core.secret import Secret
from service.core.store_ports import Lease, Start, StoreView
from tests.core.altering import store_key, stored
from tests.core.leasing import end_lease
from tests.support.world import CREDENTIAL, OPERATOR, STORE, World, call


def remove_during_issue(world: World, then: UpstreamError | None = None) -> None:
    """Have the record removed while the first issue is on its way back, whose lease has run out; perhaps break the upstream then."""
    removed: list[bool] = []

    def remove() -> None:
        if not removed:
            end_lease(world)
            removed.append(world.stores_table.remove(STORE, stored(world, store_key(STORE))))
            world.upstream.failure = then

    world.upstream.after_issue = remove


def test_a_store_that_changes_between_look_and_lease_is_looked_at_again(world: World) -> None:
    """The lease is given only for the record that the decision was made on."""
    other = World(world.redis)

    class Overtaken(RedisStores):
        """Another one is faster, once."""

        def begin(self, start: Start, span: timedelta) -> int | None:
            """See ``StoreTable.begin``."""
            if not other.upstream.logins:
                other.active()
            return super().begin(start, span)

    world.issuer._table = Overtaken(world.link)

    document, created = world.stores.put(call(OPERATOR), STORE, CREDENTIAL, retain=False)

    assert (document.generation, created) == (1, False)
    assert (world.upstream.logins, other.upstream.logins) == (0, 1)


def test_a_change_of_retention_that_is_overtaken_is_made_on_the_newer_record(world: World) -> None:
    """No update is lost."""
    world.active()
    other = World(world.redis)

    class Overtaken(RedisStores):
        """Another one is faster, once."""

        done = False

        def replace(self, store_hash: str, seen: bytes, line: bytes) -> bool:
            """See ``StoreTable.replace``."""
            if not self.done:
                self.done = True
                other.stores.put(call(OPERATOR), STORE, CREDENTIAL, retain=True)
            return super().replace(store_hash, seen, line)

    table = Overtaken(world.link)
    world.provision._table = table

    document, _ = world.stores.put(call(OPERATOR), STORE, CREDENTIAL, retain=True)

    assert table.done
    assert document.retained


def test_an_issue_that_was_overtaken_by_another_deletes_its_own_token_and_keeps_the_others(
    world: World,
) -> None:
    """Its fence is stale, so its token is not stored but deleted upstream, and its intent is forgotten."""
    other = World(world.redis)

    def issue_meanwhile() -> None:
        end_lease(world)
        other.active()

    world.upstream.after_issue = issue_meanwhile

    document, created = world.stores.put(call(OPERATOR), STORE, CREDENTIAL, retain=False)

    assert (document.status, document.generation, created) == ("active", 1, False)
    assert [made.deleted for made in world.upstream.ledger] == [True]
    assert [made.deleted for made in other.upstream.ledger] == [False]
    assert world.stores_table.read([STORE], world.clock())[0].attempts == ()


def test_an_issue_that_was_overtaken_by_a_removal_is_not_begun_again(world: World) -> None:
    """Whoever removed the store meant it, and one put sends its credential once."""
    remove_during_issue(world)

    with pytest.raises(StoreBusyError) as refused:
        world.active()

    assert refused.value.reason == "changed"
    assert refused.value.retry_after == timedelta(seconds=1)
    assert world.upstream.logins == 1
    assert [made.deleted for made in world.upstream.ledger] == [True]
    assert world.stores_table.read([STORE], world.clock()) == [
        StoreView(None, None, (), None, 0),
    ]
    assert world.audit.told()[-1] == ("store.write", "failed", "changed")


def test_a_store_that_is_put_again_after_that_has_one_live_token(world: World) -> None:
    """The operator decides, and nothing is left of before."""
    remove_during_issue(world)
    with pytest.raises(StoreBusyError):
        world.active()

    document, created = world.stores.put(call(OPERATOR), STORE, CREDENTIAL, retain=False)

    view = world.stores_table.read([STORE], world.clock())[0]
    assert (document.generation, created) == (1, True)
    assert [made.deleted for made in world.upstream.ledger] == [True, False]
    assert (view.attempts, view.lease_left) == ((), None)


def test_a_removal_that_overtakes_an_issue_deletes_what_that_has_made(world: World) -> None:
    """A store that is still closed from an earlier removal can be removed once the lease has run out."""
    world.active()
    world.upstream.failure = UpstreamTimeoutError("late", reason="upstream_timeout")
    with pytest.raises(UpstreamTimeoutError):
        world.stores.remove(call(OPERATOR), STORE)
    world.upstream.failure = None

    def remove_meanwhile() -> None:
        end_lease(world)
        world.stores.remove(call(OPERATOR), STORE)

    world.upstream.after_issue = remove_meanwhile
    with pytest.raises(StoreBusyError):
        world.active()

    assert [made.deleted for made in world.upstream.ledger] == [True, True]
    assert world.stores_table.read([STORE], world.clock())[0].attempts == ()


def test_a_stale_issue_that_cannot_delete_its_token_leaves_its_intent(world: World) -> None:
    """The next issue finds the token by its name and deletes it."""
    remove_during_issue(world, then=UpstreamTimeoutError("late", reason="upstream_timeout"))
    with pytest.raises(StoreBusyError):
        world.active()
    left = world.stores_table.read([STORE], world.clock())[0].attempts
    world.upstream.failure = None
    world.active()

    assert len(left) == 1
    assert [made.deleted for made in world.upstream.ledger] == [True, False]
    assert world.observer.counts["issue", "cleanup_deferred"] == 1
    assert world.stores_table.read([STORE], world.clock())[0].attempts == ()


def test_an_import_that_was_overtaken_deletes_nothing_upstream(world: World) -> None:
    """The token is the operator's and has no name of ours."""
    world.active()
    world.upstream.access_tokens[STORE] = "a" * 31
    imported = AccessToken(Secret("a" * 31))

    class Overtaken(RedisStores):
        """Another one removes the store before the commit, once."""

        done = False

        def settle(
            self, store_hash: str, lease: Lease, line: bytes | None, *, keep_intent: bool
        ) -> bool:
            """See ``StoreTable.settle``."""
            if not self.done:
                self.done = True
                world.redis.delete(store_key(store_hash))
            return super().settle(store_hash, lease, line, keep_intent=keep_intent)

    world.issuer._table = Overtaken(world.link)
    with pytest.raises(StoreBusyError):
        world.stores.put(call(OPERATOR), STORE, imported, retain=False)

    document, created = world.stores.put(call(OPERATOR), STORE, imported, retain=False)

    assert (document.generation, document.token_style, created) == (1, "x_auth_token", True)
    assert len(world.upstream.live(STORE)) == 1
    assert world.observer.counts["issue", "cleanup_deferred"] == 0
