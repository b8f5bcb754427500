"""Rollback: back to the token before, while it lives, at once and as often as somebody wants."""

import pytest

from service.adapters.redis_stores import RedisStores
from service.core.errors import (
    AuditError,
    StorageError,
    StoreBusyError,
    StoreNotActiveError,
    StoreUnknownError,
    UpstreamTimeoutError,
)
from service.core.policy import MintAsk
from service.core.store_document import StoreDocument
from tests.core.replicas import (
    SECOND,
    WatchedUpstream,
    access_token,
    active_name,
    elapse,
    live_names,
    look_if_due,
    met,
    record,
    replica,
    shown,
)
from tests.support.world import (
    CREDENTIAL,
    MINTER,
    OPERATOR,
    PREVIOUS,
    STORE,
    WORKER,
    World,
    call,
)


@pytest.fixture
def upstream() -> WatchedUpstream:
    """An upstream that counts."""
    return WatchedUpstream()


@pytest.fixture
def world(upstream: WatchedUpstream) -> World:
    """A store that was rotated once."""
    made = World(upstream=upstream).active()
    made.stores.rotate(call(OPERATOR), STORE, CREDENTIAL)
    return made


def roll_back(world: World) -> StoreDocument:
    """Go back to the token before."""
    return world.stores.roll_back(call(OPERATOR), STORE)


def test_the_previous_token_is_checked_and_becomes_the_active_one(
    world: World, upstream: WatchedUpstream
) -> None:
    """The other one is now the previous, for as long again."""
    checks = upstream.checks
    elapse(world, PREVIOUS / 2)

    document = roll_back(world)

    assert (document.generation, document.status) == (1, "active")
    assert document.previous is not None
    assert document.previous.generation == 2
    assert document.previous.until == world.clock() + PREVIOUS
    assert upstream.checks == checks + 1
    assert world.audit.told()[-2:] == [
        ("store.write", "started", "rollback"),
        ("store.write", "allowed", "rolled_back"),
    ]


def test_references_go_on_through_a_rollback(world: World) -> None:
    """They lead to the store, whichever token it has."""
    minted = world.minter.mint(call(MINTER), STORE, MintAsk(audience=WORKER))

    roll_back(world)
    used = world.uses.take(call(WORKER), minted.reference, "proxy", lambda _grant: True)

    assert used.token.secret.reveal() == world.upstream.ledger[0].value


def test_rolling_back_twice_is_going_forward_again(world: World) -> None:
    """Nothing is deleted by it."""
    roll_back(world)
    document = roll_back(world)

    assert document.generation == 2
    assert len(live_names(world)) == 2


def test_the_token_that_was_left_is_deleted_when_its_time_has_come(world: World) -> None:
    """One is alive at the end, the one that was gone back to."""
    roll_back(world)

    look_if_due(world, PREVIOUS)
    look_if_due(world, PREVIOUS)

    assert live_names(world) == [active_name(world)]
    assert shown(world).generation == 1


def test_a_rotation_after_a_rollback_counts_on_from_the_highest(world: World) -> None:
    """A generation is never given twice, because sealed tokens are bound to it."""
    roll_back(world)

    document = world.stores.rotate(call(OPERATOR), STORE, CREDENTIAL)

    assert document.generation == 3
    assert document.previous is not None
    assert document.previous.generation == 1
    assert [made.deleted for made in world.upstream.ledger] == [False, True, False]


def test_there_is_nothing_to_go_back_to_after_the_time(world: World) -> None:
    """It was deleted, and the answer says so."""
    look_if_due(world, PREVIOUS)

    with pytest.raises(StoreNotActiveError) as refused:
        roll_back(world)

    assert refused.value.reason == "no_previous"
    assert world.audit.told()[-1] == ("store.write", "failed", "no_previous")


def test_a_previous_token_that_works_no_more_is_not_gone_back_to(world: World) -> None:
    """The active one stays."""
    world.upstream.ledger[0].deleted = True

    with pytest.raises(StoreNotActiveError) as refused:
        roll_back(world)

    assert refused.value.reason == "previous_rejected"
    assert shown(world).generation == 2


def test_an_upstream_that_does_not_say_changes_nothing(world: World) -> None:
    """A rollback is not made on a guess."""
    world.upstream.failure = UpstreamTimeoutError("late", reason="upstream_timeout")

    with pytest.raises(UpstreamTimeoutError):
        roll_back(world)

    assert shown(world).generation == 2


def test_an_unknown_store_has_nothing_to_go_back_to(world: World) -> None:
    """And the trail says who asked."""
    with pytest.raises(StoreUnknownError):
        world.stores.roll_back(call(OPERATOR), "zzz999")

    assert world.audit.told()[-1] == ("store.write", "failed", "store_unknown")


def test_nothing_is_rolled_back_that_cannot_be_recorded(
    world: World, upstream: WatchedUpstream
) -> None:
    """Not even the check is made."""
    before, checks = record(world), upstream.checks
    world.audit.broken = True

    with pytest.raises(AuditError):
        roll_back(world)

    assert record(world) == before
    assert upstream.checks == checks


def test_a_rotation_under_way_keeps_the_store_from_being_rolled_back(world: World) -> None:
    """Whoever comes in between is asked to come again, and the rotation ends well."""
    other = replica(world)

    def come_between() -> None:
        with pytest.raises(StoreBusyError) as busy:
            roll_back(other)
        assert busy.value.reason == "changed"

    world.upstream.before_issue = come_between
    document = world.stores.rotate(call(OPERATOR), STORE, CREDENTIAL)

    assert document.generation == 3


def test_a_rotation_during_the_check_wins(world: World, upstream: WatchedUpstream) -> None:
    """The rollback was decided on another record."""
    other = replica(world)

    def rotate_meanwhile() -> None:
        upstream.before_check = lambda: None
        other.stores.rotate(call(OPERATOR), STORE, CREDENTIAL)

    upstream.before_check = rotate_meanwhile
    with pytest.raises((StoreBusyError, StoreNotActiveError)):
        roll_back(world)

    assert shown(world).generation == 3


def test_two_rollbacks_at_once_are_one(world: World, upstream: WatchedUpstream) -> None:
    """The second is told that the store changed, and not sent back and forth."""
    other = replica(world)

    def come_too() -> None:
        upstream.before_check = lambda: None
        roll_back(other)
        elapse(world, SECOND)

    upstream.before_check = come_too
    with pytest.raises(StoreBusyError):
        roll_back(world)

    assert shown(world).generation == 1


def test_a_rollback_that_redis_does_not_write_down_has_not_happened(world: World) -> None:
    """Nothing else was changed, so that asking again is all there is to do."""

    class Away(RedisStores):
        """Does not answer."""

        def replace(self, store_hash: str, seen: bytes, line: bytes) -> bool:
            """See ``StoreTable.replace``."""
            del store_hash, seen, line
            raise StorageError("away", reason="redis_away")

    world.provision._table = Away(world.link)
    with pytest.raises(StorageError):
        roll_back(world)
    world.provision._table = world.stores_table

    assert shown(world).generation == 2
    assert roll_back(world).generation == 1


def test_the_way_back_crosses_styles(world: World) -> None:
    """From an imported token to the one that the broker had made, and forward again."""
    world.stores.put(call(OPERATOR), STORE, access_token(world, "a"), retain=False)

    back = roll_back(world)
    style = met(world).style
    forward = roll_back(world)

    assert (back.token_style, back.deprecated, style) == ("auth_token", True, "auth_token")
    assert (forward.token_style, forward.deprecated) == ("x_auth_token", False)
    assert met(world).secret.reveal() == "a" * 31


def test_an_imported_token_that_was_gone_back_from_is_only_forgotten(world: World) -> None:
    """The broker cannot delete what it did not make."""
    world.stores.put(call(OPERATOR), STORE, access_token(world, "a"), retain=False)
    roll_back(world)

    look_if_due(world, PREVIOUS)
    look_if_due(world, PREVIOUS)

    assert shown(world).previous is None
    assert live_names(world) == [active_name(world)]
    assert world.upstream.access_tokens == {STORE: "a" * 31}


def test_a_store_that_needs_a_credential_can_go_back(world: World) -> None:
    """The previous token may still work when the newer one is dead."""
    seen = world.reader.seen(world.keyring(), STORE)
    world.provision.give_up(world.keyring(), seen, SECOND)

    document = roll_back(world)

    assert (document.status, document.reason, document.generation) == ("active", "", 1)
