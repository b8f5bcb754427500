"""Maintenance: what a crash left is found, what has come to its end is deleted, and no appointment is lost or kept without end."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from service.adapters.redis_link import home
from service.adapters.redis_stores import RedisStores
from service.core.clock import from_millis
from service.core.credential import Credential
from service.core.errors import (
    LockedError,
    StorageError,
    UpstreamTimeoutError,
    UpstreamUnreachableError,
)
from service.core.maintenance import AGAIN
from service.core.orphans import LATE_EFFECT, Intent, sign_intent
from tests.core.altering import alter, store_key, stored
from tests.core.leasing import end_lease
from tests.core.replicas import (
    HOUR,
    MAINTENANCE,
    MINUTE,
    SECOND,
    access_token,
    active_name,
    live_names,
    look_if_due,
    maintain_after,
    maintain_for,
    record,
    replica,
    shown,
)
from tests.support.upstream import MadeToken
from tests.support.world import (
    CREDENTIAL,
    INSTANCE,
    LEASE,
    OPERATOR,
    PREVIOUS,
    STORE,
    TOKEN_PREFIX,
    World,
    call,
)


def appointment(world: World, store_hash: str = STORE) -> datetime | None:
    """Return when a store is to be looked at."""
    at = world.redis.zscore(home(store_hash).due, store_hash)
    return None if at is None else from_millis(int(at))


def time_out() -> None:
    """Do not answer."""
    raise UpstreamTimeoutError("late", reason="upstream_timeout")


def lose_an_answer(world: World) -> None:
    """Have the upstream make a token whose answer never comes."""
    world.upstream.after_issue = time_out
    with pytest.raises(UpstreamTimeoutError):
        world.active()
    world.upstream.after_issue = lambda: None


def told_of_itself(world: World) -> list[tuple[str, str]]:
    """Return outcome and reason of what maintenance recorded."""
    own = [entry for entry in world.audit.entries if entry.caller == MAINTENANCE]
    assert {entry.action for entry in own} <= {"store.write"}
    return [(entry.outcome, entry.reason) for entry in own]


def test_a_store_whose_outcome_is_unknown_gets_a_token_and_loses_the_orphan(world: World) -> None:
    """Nobody has to come: the credential is mounted."""
    lose_an_answer(world)
    world.mounted.credentials[STORE] = CREDENTIAL
    uncertain = shown(world)

    maintain_after(replica(world))

    assert (uncertain.status, uncertain.reason) == ("uncertain", "upstream_timeout")
    assert [attempt.token_name for attempt in uncertain.attempts] == [world.upstream.ledger[0].name]
    assert uncertain.attempts[0].started_at == world.audit.entries[0].time
    assert shown(world).status == "active"
    assert shown(world).attempts == ()
    assert live_names(world) == [active_name(world)]


def test_without_a_credential_the_store_stays_uncertain_and_is_not_looked_at_all_the_time(
    world: World,
) -> None:
    """Only the operator can go on from there."""
    lose_an_answer(world)

    maintain_after(world)

    assert shown(world).status == "uncertain"
    assert appointment(world) == world.clock() + AGAIN
    assert told_of_itself(world) == []


def test_a_token_that_comes_late_is_deleted_too(world: World) -> None:
    """The upstream carries a request out long after it gave no answer."""
    world.active()
    world.upstream.before_issue = time_out
    with pytest.raises(UpstreamTimeoutError):
        world.stores.rotate(call(OPERATOR), STORE, CREDENTIAL)
    name = shown(world).attempts[0].token_name
    look_if_due(world, LEASE + SECOND)
    world.upstream.ledger.append(MadeToken(1, STORE, name, "late"))

    look_if_due(world, LATE_EFFECT / 2)
    look_if_due(world, LATE_EFFECT)

    assert live_names(world) == [active_name(world)]
    assert shown(world).attempts == ()


def test_a_name_that_nothing_proves_to_be_ours_is_left_alone(world: World) -> None:
    """Another installation may have the same prefix, and an operator the same idea."""
    lose_an_answer(world)
    looks_like_ours = f"{TOKEN_PREFIX}/{STORE}/0123456789abcdef0123456789abcdef"
    world.upstream.ledger += [
        MadeToken(1, STORE, looks_like_ours, "a" * 20),
        MadeToken(2, STORE, "", "b" * 20),
        MadeToken(3, STORE, f"b2b-broker/prod/{STORE}/01", "c" * 20),
    ]
    world.mounted.credentials[STORE] = CREDENTIAL

    maintain_after(world)

    assert world.upstream.ledger[0].deleted
    assert [made.deleted for made in world.upstream.ledger[1:4]] == [False] * 3


@pytest.mark.parametrize("which", ["token", "previous"])
def test_a_token_that_is_kept_is_not_deleted_though_its_intent_is_still_there(
    world: World, which: str
) -> None:
    """A Redis that was restored may have both; the record counts."""
    world.active()
    world.stores.rotate(call(OPERATOR), STORE, CREDENTIAL)
    name = getattr(record(world), which).name
    intent = Intent(name, world.clock())
    signed = sign_intent(world.keyring(), INSTANCE, STORE, "0123", intent)
    world.redis.hset(home(STORE).key("intents", STORE), "0123", b"1 " + signed)

    look_if_due(world, LEASE + SECOND)
    world.stores.delete_orphans(call(OPERATOR), STORE, forget=False)

    assert name in live_names(world)
    assert len(live_names(world)) == 2
    assert shown(world).status == "active"


def test_nothing_is_deleted_that_cannot_be_recorded(world: World) -> None:
    """No record, no effect, for the broker itself as well; when the trail is back it is done."""
    lose_an_answer(world)
    orphan = world.upstream.ledger[0]
    world.upstream.ledger.remove(orphan)
    world.active()
    world.upstream.ledger.append(orphan)
    world.audit.broken = True

    look_if_due(world, LEASE + SECOND)
    alive = not orphan.deleted
    world.audit.broken = False
    look_if_due(world, AGAIN)

    assert alive
    assert orphan.deleted
    assert told_of_itself(world) == [("started", "clean"), ("allowed", "clean")]


def test_nothing_is_issued_that_cannot_be_recorded(world: World) -> None:
    """A mounted credential is not sent while the trail is broken."""
    world.mounted.credentials[STORE] = CREDENTIAL
    world.audit.broken = True

    world.maintenance.run()
    sent = world.upstream.logins
    world.audit.broken = False
    maintain_after(world, AGAIN)

    assert sent == 0
    assert shown(world).status == "active"
    assert told_of_itself(world) == [("started", "issue"), ("allowed", "issued")]


def test_a_previous_token_is_deleted_at_its_time_and_not_before(world: World) -> None:
    """Until then it is there for a rollback."""
    world.active()
    look_if_due(world, LEASE + SECOND)
    world.stores.rotate(call(OPERATOR), STORE, CREDENTIAL)
    until = record(world).previous_until
    look_if_due(world, LEASE + SECOND)

    before = (appointment(world), len(live_names(world)))
    look_if_due(world, PREVIOUS - LEASE - 2 * SECOND)
    just_before = len(live_names(world))
    look_if_due(world, SECOND)

    assert before == (until, 2)
    assert just_before == 2
    assert live_names(world) == [active_name(world)]
    assert (shown(world).previous, record(world).retired) == (None, ())
    assert appointment(world) is None


def test_a_previous_token_of_the_first_release_is_kept_until_the_next_one(world: World) -> None:
    """Its record says no time, so that no time comes."""
    world.active()
    world.stores.rotate(call(OPERATOR), STORE, CREDENTIAL)
    seen = world.reader.seen(world.keyring(), STORE)
    world.provision.replace(world.keyring(), seen, replace(seen.record, previous_until=None))

    look_if_due(world, LEASE + SECOND)
    look_if_due(world, 100 * HOUR)
    kept = (len(live_names(world)), appointment(world))
    document = shown(world)
    world.stores.rotate(call(OPERATOR), STORE, CREDENTIAL)

    assert kept == (2, None)
    assert document.previous is not None
    assert document.previous.until is None
    assert len(live_names(world)) == 2
    assert record(world).generation == 3


@pytest.mark.parametrize("first_failure", [time_out, None])
def test_an_upstream_that_fails_is_asked_three_times_in_ten_minutes_at_the_most(
    world: World, first_failure: Callable[[], None] | None
) -> None:
    """Each of these attempts may leave a token."""

    def unreachable() -> None:
        raise UpstreamUnreachableError("away", reason="upstream_unreachable")

    world.upstream.after_issue = first_failure or unreachable
    world.mounted.credentials[STORE] = CREDENTIAL

    maintain_for(world, 10 * MINUTE, 20 * SECOND)

    assert 2 <= world.upstream.logins <= 3


@pytest.mark.parametrize(
    "prepare",
    [
        lambda world: world.stores.get(call(OPERATOR), STORE),
        lambda world: world.stores.rotate(call(OPERATOR), STORE, CREDENTIAL),
        lambda world: world.stores.put(
            call(OPERATOR), STORE, access_token(world, "a"), retain=False
        ),
        lambda world: world.mounted.credentials.update({STORE: access_token(world, "a")}),
        lambda world: setattr(world.upstream, "failure", UpstreamTimeoutError("late")),
        lambda world: setattr(world.audit, "broken", True),
    ],
)
def test_whatever_a_look_finds_the_next_one_is_in_the_future(
    world: World, prepare: Callable[[World], object]
) -> None:
    """Maintenance never turns on one spot."""
    world.active()
    prepare(world)
    logins = world.upstream.logins

    for span in (LEASE + SECOND, AGAIN, PREVIOUS, AGAIN, AGAIN):
        maintain_after(world, span)
        again = appointment(world)
        assert again is None or again > world.clock()

    assert world.upstream.logins == logins


def test_an_appointment_stands_while_redis_is_away(world: World) -> None:
    """The look that could not be finished is made again."""
    lose_an_answer(world)
    world.mounted.credentials[STORE] = CREDENTIAL

    class Away(RedisStores):
        """Does not answer."""

        def begin(self, *_: object) -> int | None:
            """See ``StoreTable.begin``."""
            raise StorageError("away", reason="redis_away")

    world.issuer._table = Away(world.link)
    with pytest.raises(StorageError):
        maintain_after(world)
    stands = appointment(world)
    world.issuer._table = world.stores_table

    world.maintenance.run()

    assert stands is not None
    assert stands <= world.clock()
    assert shown(world).status == "active"


def test_a_locked_broker_maintains_nothing(world: World) -> None:
    """It says so, and goes on when the keys are there."""
    lose_an_answer(world)
    world.mounted.credentials[STORE] = CREDENTIAL
    ring, world.ring = world.ring, None

    with pytest.raises(LockedError):
        maintain_after(world)

    world.ring = ring
    maintain_after(world, AGAIN)
    assert shown(world).status == "active"


def test_a_rollback_during_a_look_keeps_its_appointment(world: World) -> None:
    """Whoever looks has read the store before, and says that nothing is left to do; the next count of stores finds it."""
    world.active()
    world.stores.rotate(call(OPERATOR), STORE, CREDENTIAL)
    seen = world.reader.seen(world.keyring(), STORE)
    world.provision.replace(world.keyring(), seen, replace(seen.record, previous_until=None))
    other = replica(world)
    find = world.mounted.find
    done: list[str] = []

    def roll_back(store_hash: str) -> Credential | None:
        if not done:
            done.append(store_hash)
            other.stores.roll_back(call(OPERATOR), STORE)
        return find(store_hash)

    world.mounted.find = roll_back  # type: ignore[method-assign]  # the moment between looking and writing down
    look_if_due(world, LEASE + SECOND)
    lost = appointment(world)
    maintain_after(world, SECOND)
    maintain_after(world, PREVIOUS)

    assert (done, lost) == ([STORE], None)
    assert shown(world).previous is None
    assert live_names(world) == [active_name(world)]


@pytest.mark.parametrize("left", ["attempt", "previous", "retired"])
def test_a_store_without_an_appointment_is_found_by_the_count(world: World, left: str) -> None:
    """Such are those that an earlier release left, and those that Redis has lost."""
    if left == "attempt":
        lose_an_answer(world)
        orphan = world.upstream.ledger[0]
        world.upstream.ledger.remove(orphan)
        world.active()
        world.upstream.ledger.append(orphan)
    else:
        world.active()
        world.stores.rotate(call(OPERATOR), STORE, CREDENTIAL)
        if left == "retired":
            seen = world.reader.seen(world.keyring(), STORE)
            world.provision.replace(world.keyring(), seen, seen.record.without_previous())
    world.redis.delete(home(STORE).due)
    end_lease(world)

    maintain_after(world, SECOND)
    maintain_after(world, PREVIOUS)

    assert live_names(world) == [active_name(world)]


def test_an_attempt_that_nothing_can_look_up_is_kept_until_the_operator_forgets_it(
    world: World,
) -> None:
    """An access token lists no tokens of the other style; asking again now and then costs nothing."""
    lose_an_answer(world)
    world.stores.put(call(OPERATOR), STORE, access_token(world, "a"), retain=False)
    look_if_due(world, LEASE + SECOND)
    look_if_due(world, LATE_EFFECT)
    kept = len(shown(world).attempts)

    world.stores.delete_orphans(call(OPERATOR), STORE, forget=True)
    look_if_due(world, AGAIN)

    assert kept == 1
    assert shown(world).attempts == ()
    assert appointment(world) is None


def test_a_retired_token_that_is_dead_upstream_is_forgotten(world: World) -> None:
    """Somebody deleted it in the control panel; an access token could not even see it."""
    world.active()
    world.stores.put(call(OPERATOR), STORE, access_token(world, "a"), retain=False)
    world.upstream.ledger[0].deleted = True

    look_if_due(world, PREVIOUS)
    look_if_due(world, LEASE)

    assert record(world).retired == ()
    assert appointment(world) is None


def test_no_retired_token_is_forgotten_where_every_token_is_refused(world: World) -> None:
    """That may be the upstream's mistake, and then it would live for ever."""
    world.active()
    world.stores.rotate(call(OPERATOR), STORE, CREDENTIAL)
    seen = world.reader.seen(world.keyring(), STORE)
    world.provision.replace(world.keyring(), seen, seen.record.without_previous())
    hidden, world.upstream.ledger = world.upstream.ledger, []
    look_if_due(world, LEASE + SECOND)
    kept = [token.generation for token in record(world).retired]
    world.upstream.ledger = hidden

    look_if_due(world, AGAIN)

    assert kept == [1]
    assert live_names(world) == [active_name(world)]


def test_a_quarantined_store_is_left_alone_and_the_others_are_not(world: World) -> None:
    """What is stored cannot be relied on, so that nothing is done about it."""
    for store_hash in ("abc1", "abc2"):
        world.active(store_hash)
        world.stores.rotate(call(OPERATOR), store_hash, CREDENTIAL)
    alter(world, store_key("abc1"), lambda line: line[:-2] + b"!}")
    before = stored(world, store_key("abc1"))

    maintain_after(world, PREVIOUS)

    assert stored(world, store_key("abc1")) == before
    assert appointment(world, "abc1") is None
    assert len(live_names(world, "abc1")) == 2
    assert len(live_names(world, "abc2")) == 1


def test_a_store_that_meets_a_defect_does_not_hold_up_the_others(world: World) -> None:
    """Its look fails loudly and is put off; the next run goes on."""
    stores = [f"abc{number}" for number in range(4)]
    for store_hash in stores:
        world.mounted.credentials[store_hash] = CREDENTIAL

    find = world.mounted.find

    def fail(store_hash: str) -> Credential | None:
        if store_hash == "abc1":
            raise ValueError("a defect")
        return find(store_hash)

    world.mounted.find = fail  # type: ignore[method-assign]  # what no credential of a test could bring to light
    with pytest.raises(ValueError, match="a defect"):
        world.maintenance.run()
    failed_at = world.clock()
    maintain_after(world, 3 * SECOND)

    known = [document.store_hash for document in world.stores.page(call(OPERATOR), "", 9)[0]]
    assert known == ["abc0", "abc2", "abc3"]
    assert appointment(world, "abc1") == failed_at + AGAIN


def test_a_store_that_is_gone_needs_no_look(world: World) -> None:
    """Its appointment is dropped."""
    world.active()
    world.stores.remove(call(OPERATOR), STORE)

    maintain_after(world)

    assert appointment(world) is None
    assert told_of_itself(world) == []


def test_a_store_that_is_being_removed_gets_no_token(world: World) -> None:
    """The mounted credential is no reason to revive it."""
    world.active()
    world.upstream.failure = UpstreamTimeoutError("late", reason="upstream_timeout")
    with pytest.raises(UpstreamTimeoutError):
        world.stores.remove(call(OPERATOR), STORE)
    world.upstream.failure = None
    world.mounted.credentials[STORE] = CREDENTIAL

    maintain_after(world)

    assert (shown(world).status, shown(world).reason) == ("needs_credential", "removing")
    assert world.upstream.logins == 1


def test_a_store_that_is_being_issued_is_looked_at_when_that_is_over(world: World) -> None:
    """The lease says when that is at the latest."""
    seen: list[datetime | None] = []

    def look() -> None:
        world.maintenance.look_after(world.keyring(), STORE)
        seen.append(appointment(world))

    world.upstream.before_issue = look
    started = world.clock()
    world.active()

    assert seen == [started + LEASE]
    assert world.upstream.logins == 1


def test_the_stores_are_counted_once_a_minute(world: World) -> None:
    """By status and style; an altered one is quarantined."""
    world.active("abc1").active("abc2").active("abc3")
    world.stores.put(call(OPERATOR), "abc2", access_token(world, "a", "abc2"), retain=False)
    alter(world, store_key("abc3"), lambda line: line[:-2] + b"!}")
    lose_an_answer(world)
    expected = {
        ("active", "auth_token"): 1,
        ("active", "x_auth_token"): 1,
        ("quarantined", ""): 1,
        ("uncertain", ""): 1,
    }

    world.maintenance.run()
    first = world.observer.stores
    world.active("abc4")
    maintain_after(world, MINUTE - SECOND)
    second = world.observer.stores
    maintain_after(world, SECOND)

    assert first == second == expected
    assert world.observer.stores == {**expected, ("active", "auth_token"): 2}


def test_a_store_that_is_removed_while_they_are_counted_is_not_counted(world: World) -> None:
    """It is no altered one."""
    world.active("abc1").active("abc2")

    class Removing(RedisStores):
        """A store is removed between the page and the reading."""

        def page(self, after: str, limit: int) -> list[str]:
            """See ``StoreTable.page``."""
            found = super().page(after, limit)
            if found:
                world.stores.remove(call(OPERATOR), "abc1")
            return found

    world.maintenance._table = Removing(world.link)
    world.maintenance.run()

    assert world.observer.stores == {("active", "auth_token"): 1}


def test_a_signed_intent_is_needed_for_every_deletion(world: World) -> None:
    """Whoever writes Redis cannot name a token of their choice."""
    world.active()
    victim = MadeToken(7, STORE, "somebody else's", "v" * 20)
    world.upstream.ledger.append(victim)
    key = home(STORE).key("intents", STORE)
    world.redis.hset(key, "0123", b'1 k1 mac {"name": "somebody else\'s", "started_at": 0}')

    look_if_due(world, LEASE + SECOND)
    look_if_due(world, timedelta(days=1))

    assert not victim.deleted
