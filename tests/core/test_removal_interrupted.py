"""Removing a store that is in the middle of something: nothing is forgotten, and asking again finishes it."""

from datetime import timedelta

import pytest

from service.adapters.redis_link import home
from service.core.credential import AccessToken
from service.core.errors import (
    BrokerError,
    StoreBusyError,
    StoreNotActiveError,
    UpstreamTimeoutError,
)
from service.core.orphans import LATE_EFFECT
from service.core.secret import Secret
from service.core.store_ports import Start
from tests.core.altering import store_key, stored
from tests.support.upstream import MadeToken
from tests.support.world import CREDENTIAL, OPERATOR, STORE, World, call, keyring

LATE = UpstreamTimeoutError("late", reason="upstream_timeout")


def remove(world: World) -> None:
    """Remove the store as an operator."""
    world.stores.remove(call(OPERATOR), STORE)


def with_lost_attempt() -> tuple[World, MadeToken]:
    """Return an active store with an attempt before it whose token the upstream has not made yet."""
    world = World()

    def time_out() -> None:
        raise LATE

    world.upstream.after_issue = time_out
    with pytest.raises(UpstreamTimeoutError):
        world.active()
    world.upstream.after_issue = lambda: None
    lost = world.upstream.ledger.pop()
    return world.active(), lost


def import_token(world: World, letter: str) -> str:
    """Import an access token of 31 equal letters and return the store's status."""
    token = letter * 31
    world.upstream.access_tokens[STORE] = token
    credential = AccessToken(Secret(token))
    document, _ = world.stores.put(call(OPERATOR), STORE, credential, retain=False)
    return document.status


def with_missing_key() -> World:
    """Return a store whose previous token was sealed with a key that is no longer in the ring."""
    world = World().active()
    world.ring = keyring("k1", "k2", primary="k2")
    import_token(world, "a")
    world.ring = keyring("k2", primary="k2")
    return world


def closed() -> World:
    """Return a store whose removal was interrupted by the upstream."""
    world = World().active()
    world.upstream.failure = LATE
    with pytest.raises(UpstreamTimeoutError):
        remove(world)
    world.upstream.failure = None
    return world


def test_an_attempt_that_may_still_have_an_effect_keeps_the_stores_own_token() -> None:
    """Without it nothing could be found any more; once the attempt is over, removing succeeds."""
    world, _lost = with_lost_attempt()
    with pytest.raises(StoreNotActiveError) as refused:
        remove(world)
    alive = len(world.upstream.live(STORE))
    world.clock.move(LATE_EFFECT + timedelta(seconds=1))

    remove(world)

    assert (refused.value.reason, alive) == ("uncertain", 1)
    assert world.upstream.live(STORE) == []


def test_a_token_that_was_made_late_is_deleted_by_the_next_removal() -> None:
    """The upstream carried the lost attempt out after all."""
    world, lost = with_lost_attempt()
    with pytest.raises(StoreNotActiveError):
        remove(world)
    world.upstream.ledger.append(lost)

    remove(world)

    assert world.upstream.live(STORE) == []


def test_an_intent_that_proves_nothing_does_not_stop_a_removal() -> None:
    """Whoever can write Redis could otherwise keep a store for ever."""
    world = World().active()
    world.redis.hset(home(STORE).key("intents", STORE), "forged", b"7 k1 AAAA {}")

    remove(world)

    assert world.stores_table.read([STORE], world.clock())[0].line is None


def test_a_committed_import_is_served_though_an_older_tokens_key_is_missing() -> None:
    """What cannot be cleaned now stays written down."""
    world = with_missing_key()

    assert import_token(world, "b") == "active"


def test_a_store_whose_tokens_key_is_missing_is_not_removed() -> None:
    """Its token could not be deleted upstream; the key may come back."""
    world = with_missing_key()

    with pytest.raises(StoreNotActiveError) as refused:
        remove(world)

    assert refused.value.reason == "key_unavailable"
    assert world.stores.get(call(OPERATOR), STORE).status == "active"


def test_a_closed_store_is_not_removed_under_a_running_issue() -> None:
    """The second removal waits its turn and deletes nothing."""
    world = closed()
    told: list[tuple[str, int]] = []

    def meanwhile() -> None:
        with pytest.raises(BrokerError) as refused:
            remove(world)
        told.append((refused.value.reason, len(world.upstream.live(STORE))))

    world.upstream.before_issue = meanwhile

    world.stores.put(call(OPERATOR), STORE, CREDENTIAL, retain=False)

    assert told == [("changed", 1)]


def test_a_closed_store_is_not_removed_under_a_running_import() -> None:
    """The same, where no intent shows that somebody is at work."""
    world = closed()
    line = stored(world, store_key(STORE))
    world.stores_table.begin(
        Start(STORE, "o", "0123", line, line, None, world.clock()), timedelta(minutes=1)
    )

    with pytest.raises(StoreBusyError):
        remove(world)
