"""Orphans: only a name that a signed intent proves to be ours is ever deleted."""

from datetime import timedelta

import pytest

from service.adapters.redis_link import home
from service.core.errors import UpstreamTimeoutError
from service.core.orphans import (
    LATE_EFFECT,
    Intent,
    delete_named,
    is_over,
    read_intent,
    sign_intent,
)
from service.core.records import decode_record
from service.core.secret import Secret
from service.core.store_ports import Attempt, Start
from tests.core.altering import store_key, stored
from tests.core.leasing import end_lease
from tests.support.clock import START
from tests.support.upstream import MadeToken
from tests.support.world import INSTANCE, OPERATOR, STORE, World, call, keyring

INTENT = Intent("b2b-broker/test/abc123/0123", START)
FROZEN = (
    b"k1 14utU8SPia1SW6_ok-FkI3ZS1nFFHWBnOmGlDzizRJI "
    b'{"name": "b2b-broker/test/abc123/0123", "started_at": 1795435200000}'
)


def read(intent: bytes, attempt_id: str = "0123", store_hash: str = STORE) -> Intent | None:
    """Read an intent where it is stored."""
    return read_intent(keyring(), INSTANCE, store_hash, Attempt(attempt_id, 1, intent))


def lost_attempt(world: World) -> MadeToken:
    """Make a token upstream whose answer never came."""

    def time_out() -> None:
        raise UpstreamTimeoutError("late", reason="upstream_timeout")

    world.upstream.after_issue = time_out
    with pytest.raises(UpstreamTimeoutError):
        world.active()
    world.upstream.after_issue = lambda: None
    return world.upstream.ledger[-1]


def clean(world: World) -> None:
    """Clean the store as it is."""
    line = stored(world, store_key(STORE))
    world.cleaner.clean(keyring(), decode_record(keyring(), INSTANCE, STORE, line), line)


def test_an_intent_written_by_the_first_release_is_read_and_still_written_so() -> None:
    """An orphan can be found whatever was updated meanwhile."""
    assert read(FROZEN) == INTENT
    assert sign_intent(keyring(), INSTANCE, STORE, "0123", INTENT) == FROZEN


@pytest.mark.parametrize(
    ("intent", "attempt_id", "store_hash"),
    [
        (FROZEN.replace(b"b2b-broker/test", b"b2b-broker/prod"), "0123", STORE),
        (FROZEN, "0124", STORE),
        (FROZEN, "0123", "abc124"),
        (b"garbage", "0123", STORE),
        (b"", "0123", STORE),
    ],
)
def test_an_altered_or_moved_intent_proves_nothing(
    intent: bytes, attempt_id: str, store_hash: str
) -> None:
    """Whoever can write Redis cannot make the broker delete a token of their choice."""
    assert read(intent, attempt_id, store_hash) is None


@pytest.mark.parametrize(
    ("age", "over"),
    [(timedelta(0), False), (LATE_EFFECT, False), (LATE_EFFECT + timedelta(seconds=1), True)],
)
def test_an_attempt_is_over_when_the_upstream_can_no_longer_carry_it_out(
    age: timedelta, *, over: bool
) -> None:
    """A request that timed out may succeed later."""
    assert is_over(INTENT, START + age) is over


def test_only_the_named_tokens_are_deleted(world: World) -> None:
    """A token with another name is somebody else's."""
    world.active()
    token = Secret(world.upstream.ledger[0].value)
    world.upstream.ledger += [
        MadeToken(1, STORE, "ours", "x"),
        MadeToken(2, STORE, "theirs", "y"),
        MadeToken(3, "zzz999", "ours", "z"),
    ]

    found = delete_named(world.upstream, token, ["ours", "never made"])

    assert found == {"ours"}
    assert [made.deleted for made in world.upstream.ledger] == [False, True, False, False]


def test_the_token_that_does_the_deleting_goes_last(world: World) -> None:
    """Once it is deleted it can delete nothing any more."""
    world.active()
    own = world.upstream.ledger[0]
    world.upstream.ledger.append(MadeToken(1, STORE, "another of ours", "x"))

    found = delete_named(
        world.upstream, Secret(own.value), [own.name, "another of ours"], last=own.name
    )

    assert found == {own.name, "another of ours"}
    assert world.upstream.live(STORE) == []


def test_an_attempt_that_is_still_under_way_is_left_alone(world: World) -> None:
    """While somebody holds the lease, the newest attempt is theirs; the ones before it are cleaned."""
    orphan = lost_attempt(world)
    world.upstream.ledger.remove(orphan)
    world.active()
    world.upstream.ledger += [orphan, MadeToken(1, STORE, INTENT.name, "x")]
    line = stored(world, store_key(STORE))
    intent = sign_intent(keyring(), INSTANCE, STORE, "0123", INTENT)
    world.stores_table.begin(
        Start(STORE, "somebody else", "0123", line, line, intent, world.clock()),
        timedelta(minutes=1),
    )

    clean(world)
    during = {made.name for made in world.upstream.live(STORE)}
    end_lease(world)
    clean(world)

    assert orphan.deleted
    assert INTENT.name in during
    assert INTENT.name not in {made.name for made in world.upstream.live(STORE)}
    assert world.stores_table.read([STORE], world.clock())[0].attempts == ()


def test_a_forged_intent_deletes_nothing(world: World) -> None:
    """Cleaning leaves alone what it cannot prove, and keeps the store's own token."""
    orphan = lost_attempt(world)
    key = home(STORE).key("intents", STORE)
    world.redis.hset(key, "forged", b'7 k1 AAAA {"name": "owner made", "started_at": 0}')
    world.upstream.ledger.append(MadeToken(1, STORE, "owner made", "x"))

    world.active()

    assert orphan.deleted
    assert {made.name for made in world.upstream.live(STORE)} >= {"owner made"}
    assert len(world.upstream.live(STORE)) == 2


def test_an_attempt_whose_token_is_not_there_is_kept_until_it_cannot_come_any_more(
    world: World,
) -> None:
    """The upstream may still carry it out; after that the intent is forgotten."""
    orphan = lost_attempt(world)
    world.upstream.ledger.remove(orphan)
    world.active()
    soon = world.stores_table.read([STORE], world.clock())[0].attempts
    world.clock.move(LATE_EFFECT + timedelta(seconds=1))

    clean(world)

    assert len(soon) == 1
    assert world.stores_table.read([STORE], world.clock())[0].attempts == ()


def test_a_token_that_the_record_still_holds_is_never_deleted(world: World) -> None:
    """Even if an intent by its name is still there."""
    world.active()
    made = world.upstream.ledger[0]
    attempt_id = made.name.rpartition("/")[2]
    intent = sign_intent(keyring(), INSTANCE, STORE, attempt_id, Intent(made.name, world.clock()))
    key = home(STORE).key("intents", STORE)
    world.redis.hset(key, attempt_id, b"1 " + intent)
    noted = world.stores_table.read([STORE], world.clock())[0].attempts

    clean(world)

    assert len(noted) == 1
    assert not made.deleted
    assert world.stores.get(call(OPERATOR), STORE).status == "active"
