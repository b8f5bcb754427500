"""Defences that the model shows to be needed, met in the code itself: each test is a short form of a trace that the exploration gives."""

from collections.abc import Iterator
from datetime import timedelta

import pytest

from service.core.credential import B2BPassword
from service.core.errors import (
    CredentialRefusedError,
    StorageError,
    StoreBusyError,
    UpstreamTimeoutError,
)
from service.core.orphans import LATE_EFFECT
from service.core.secret import Secret
from service.core.store_ports import Lease
from tests.core.leasing import end_lease
from tests.support.upstream import EMAIL
from tests.support.world import CREDENTIAL, OPERATOR, STORE, World, call

SECOND = timedelta(seconds=1)
WRONG = B2BPassword(Secret(EMAIL), Secret("wrong"))


def stored_token_is_alive(world: World) -> bool:
    """Tell whether the token of the store's record opens anything upstream."""
    seen = world.reader.seen(world.keyring(), STORE)
    assert seen.record.token is not None
    return seen.record.token.name in {made.name for made in world.upstream.live(STORE)}


def test_a_commit_whose_reply_is_lost_is_not_taken_for_overtaken_after_another_attempt() -> None:
    """While the winner of the first asks again, somebody's rotation is refused: ``settled`` names that attempt now."""
    world = World()
    settle = world.stores_table.settle

    def settle_and_lose_the_reply(
        store_hash: str, lease: Lease, line: bytes | None, *, keep_intent: bool
    ) -> bool:
        world.stores_table.settle = settle  # type: ignore[method-assign]  # only the first reply is lost
        settle(store_hash, lease, line, keep_intent=keep_intent)
        with pytest.raises(CredentialRefusedError):
            world.stores.rotate(call(OPERATOR), STORE, WRONG)
        raise StorageError("lost", reason="redis_away")

    world.stores_table.settle = settle_and_lose_the_reply  # type: ignore[method-assign]  # a lost reply

    world.stores.put(call(OPERATOR), STORE, CREDENTIAL, retain=False)

    assert stored_token_is_alive(world)


def test_a_worker_that_slept_through_its_lease_does_not_commit_what_maintenance_has_deleted() -> (
    None
):
    """Its process stops before the commit; the lease ends, its token is found and deleted as abandoned, and it goes on."""
    world = World().active()
    settle = world.stores_table.settle

    def sleep_then_settle(
        store_hash: str, lease: Lease, line: bytes | None, *, keep_intent: bool
    ) -> bool:
        world.stores_table.settle = settle  # type: ignore[method-assign]  # it sleeps once
        end_lease(world)
        world.maintenance.look_after(world.keyring(), STORE)
        return settle(store_hash, lease, line, keep_intent=keep_intent)

    world.stores_table.settle = sleep_then_settle  # type: ignore[method-assign]  # a process that is stopped

    with pytest.raises(StoreBusyError):
        world.stores.rotate(call(OPERATOR), STORE, CREDENTIAL)

    assert stored_token_is_alive(world)
    assert len(world.upstream.live(STORE)) == 1


def test_an_attempt_that_was_not_over_when_tokens_were_listed_is_not_forgotten() -> None:
    """The upstream carries it out in the last moment, while a long list is being read."""
    world = World()

    def time_out() -> None:
        raise UpstreamTimeoutError("late", reason="upstream_timeout")

    world.upstream.after_issue = time_out
    with pytest.raises(UpstreamTimeoutError):
        world.active()
    world.upstream.after_issue = lambda: None
    late = world.upstream.ledger.pop()
    world.active()
    world.clock.move(LATE_EFFECT - SECOND)
    tokens = world.upstream.tokens

    def list_slowly(token: Secret) -> Iterator[tuple[int, str]]:
        rows = list(tokens(token))
        world.upstream.ledger.append(late)
        world.clock.move(2 * SECOND)
        return iter(rows)

    world.upstream.tokens = list_slowly  # type: ignore[method-assign]  # an upstream with many tokens
    world.maintenance.look_after(world.keyring(), STORE)
    world.upstream.tokens = tokens  # type: ignore[method-assign]  # as before

    world.maintenance.look_after(world.keyring(), STORE)

    assert len(world.upstream.live(STORE)) == 1
