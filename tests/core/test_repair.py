"""When the upstream rejects the token itself: one check, one repair, one event; and nothing at all for any other reason."""

from dataclasses import replace
from datetime import timedelta

import pytest

from service.core.errors import (
    AuditError,
    StoreBusyError,
    StoreNotActiveError,
    TokenRejectedError,
    UpstreamAnswerError,
    UpstreamError,
    UpstreamRateLimitedError,
    UpstreamTimeoutError,
)
from service.core.records import ActiveToken
from service.core.repair import CHECK_EVERY, CHECK_SPAN, ONCE_IN
from tests.core.leasing import end_lease
from tests.core.replicas import (
    MINUTE,
    SECOND,
    WRONG,
    WatchedUpstream,
    access_token,
    elapse,
    kill_token,
    live_names,
    look_if_due,
    met,
    record,
    replica,
    shown,
)
from tests.support.world import CREDENTIAL, LEASE, OPERATOR, STORE, WORKER, World, call, keyring

EVENT = ("security", "token_rejected")


@pytest.fixture
def upstream() -> WatchedUpstream:
    """An upstream that counts."""
    return WatchedUpstream()


@pytest.fixture
def world(upstream: WatchedUpstream) -> World:
    """An active store whose password is retained."""
    made = World(upstream=upstream)
    made.stores.put(call(OPERATOR), STORE, CREDENTIAL, retain=True)
    return made


def look_into(world: World, token: ActiveToken) -> ActiveToken | None:
    """Look into an answer that a request got with a token."""
    return world.repair.look_into(call(WORKER), STORE, token)


def forget_password(world: World) -> None:
    """End the retention."""
    world.stores.put(call(OPERATOR), STORE, CREDENTIAL, retain=False)


def rotate(world: World) -> None:
    """Give the store a new token."""
    world.stores.rotate(call(OPERATOR), STORE, None)


def told(world: World) -> list[tuple[str, str, str]]:
    """Return what was told since the store was registered."""
    return [entry for entry in world.audit.told() if entry[0] == "store.write"][2:]


def test_a_token_that_works_is_not_touched_and_checked_once_a_minute(
    world: World, upstream: WatchedUpstream
) -> None:
    """An answer that only looks like a rejection is the caller's, and costs one read."""
    before = record(world)

    for _ in range(100):
        assert look_into(world, met(world)) is None
    elapse(world, CHECK_EVERY + SECOND)
    assert look_into(replica(world), met(world)) is None

    assert upstream.checks == 2
    assert record(world) == before
    assert told(world) == []
    assert world.observer.counts[EVENT] == 0


def test_a_dead_token_is_replaced_from_the_retained_password(world: World) -> None:
    """The request gets the new one, the dead one is no previous, and the trail says what was done."""
    old = met(world)
    kill_token(world)

    new = look_into(world, old)

    assert new is not None
    assert new.generation == 2
    assert new.secret.reveal() == world.upstream.ledger[1].value
    assert (shown(world).previous, shown(world).status) == (None, "active")
    assert world.observer.counts[EVENT] == 1
    assert told(world)[:3] == [
        ("store.write", "started", "repair"),
        ("store.write", "started", "issue"),
        ("store.write", "allowed", "repaired"),
    ]


def test_the_mounted_password_counts_before_the_retained_one(world: World) -> None:
    """It is what the operator says now; a wrong one is sent once, and never to be seen again."""
    world.mounted.credentials[STORE] = WRONG
    kill_token(world)
    with pytest.raises(TokenRejectedError):
        look_into(world, met(world))

    look_if_due(world, LEASE + SECOND)

    assert world.upstream.logins == 3
    assert (shown(world).status, shown(world).generation) == ("active", 2)


def test_a_dead_token_gives_way_to_the_previous_one(world: World) -> None:
    """Without a credential the way back is all there is; the dead one is retired."""
    rotate(world)
    forget_password(world)
    old = met(world)
    kill_token(world)

    new = look_into(world, old)
    look_if_due(world, SECOND)

    assert new is not None
    assert new.generation == 1
    assert (shown(world).generation, shown(world).previous) == (1, None)
    assert record(world).retired == ()
    assert ("store.write", "allowed", "rolled_back") in told(world)
    assert len(live_names(world)) == 1


def test_without_anything_at_hand_the_store_needs_a_credential(world: World) -> None:
    """One event; whoever comes later is refused by the state of the store, and the upstream is left alone."""
    forget_password(world)
    old = met(world)
    kill_token(world)

    with pytest.raises(TokenRejectedError) as rejected:
        look_into(world, old)

    assert (rejected.value.reason, rejected.value.retry_after) == ("needs_credential", None)
    assert (shown(world).status, shown(world).reason) == ("needs_credential", "token_rejected")
    assert world.observer.counts[EVENT] == 1
    assert ("store.write", "failed", "needs_credential") in told(world)
    assert world.upstream.logins == 1


def test_a_put_revives_a_store_that_needs_a_credential(world: World) -> None:
    """References that were minted before go on with the new token."""
    test_without_anything_at_hand_the_store_needs_a_credential(world)

    document, created = world.stores.put(call(OPERATOR), STORE, CREDENTIAL, retain=False)

    assert (document.status, document.reason, document.generation) == ("active", "", 2)
    assert not created


def test_a_refused_password_makes_way_for_the_previous_token(world: World) -> None:
    """It is sent once, and the store goes on."""
    rotate(world)
    world.stores.put(call(OPERATOR), STORE, WRONG, retain=True)
    kill_token(world)

    new = look_into(world, met(world))
    kill_token(world)
    elapse(world, ONCE_IN)
    with pytest.raises(TokenRejectedError):
        look_into(world, met(world))

    assert new is not None
    assert new.generation == 1
    assert world.upstream.logins == 3


@pytest.mark.parametrize(
    ("span", "generation"), [(CHECK_SPAN, None), (ONCE_IN - SECOND, None), (ONCE_IN, 3)]
)
def test_a_store_is_repaired_once_in_a_quarter_of_an_hour(
    world: World, span: timedelta, generation: int | None
) -> None:
    """A token that dies again at once is not made again and again; later it is."""
    kill_token(world)
    look_into(world, met(world))
    old = met(world)
    kill_token(world)
    elapse(world, span)

    if generation is None:
        with pytest.raises(TokenRejectedError):
            look_into(world, old)
    else:
        new = look_into(world, old)
        assert new is not None
        assert new.generation == generation

    assert world.upstream.logins == (generation or 2)


def test_a_store_that_came_too_often_is_repaired_later_by_maintenance(world: World) -> None:
    """The retained password is still good; nobody has to come and say so."""
    kill_token(world)
    look_into(world, met(world))
    look_if_due(world, LEASE + SECOND)
    kill_token(world)
    with pytest.raises(TokenRejectedError):
        look_into(world, met(world))
    closed = shown(world).status

    look_if_due(world, MINUTE)
    early = world.upstream.logins
    look_if_due(world, ONCE_IN)

    assert (closed, early) == ("needs_credential", 2)
    assert (shown(world).status, shown(world).generation) == ("active", 3)


def test_while_one_replica_finds_out_the_others_are_asked_to_come_back(
    world: World, upstream: WatchedUpstream
) -> None:
    """One check, one exchange; the answer says when."""
    old, other = met(world), replica(world)
    kill_token(world)
    refused: list[TokenRejectedError] = []

    def come_too() -> None:
        upstream.before_check = lambda: None
        with pytest.raises(TokenRejectedError) as busy:
            look_into(other, old)
        refused.append(busy.value)

    upstream.before_check = come_too
    look_into(world, old)

    assert [(error.reason, error.retry_after) for error in refused] == [
        ("repair_under_way", timedelta(seconds=2))
    ]
    assert world.upstream.logins == 2
    assert other.observer.counts[EVENT] == 0


def test_whoever_comes_later_with_the_dead_token_gets_the_new_one(
    world: World, upstream: WatchedUpstream
) -> None:
    """Without another check."""
    old = met(world)
    kill_token(world)
    look_into(world, old)
    checks = upstream.checks

    new = look_into(replica(world), old)

    assert new is not None
    assert new.generation == 2
    assert upstream.checks == checks


def test_a_rotation_under_way_is_waited_for_and_blocks_nothing_afterwards(world: World) -> None:
    """Asking during the rotation leaves no mark: if it fails, the next one finds out at once."""
    old, other = met(world), replica(world)
    kill_token(world)

    def ask_meanwhile() -> None:
        with pytest.raises(TokenRejectedError) as busy:
            look_into(other, old)
        assert busy.value.reason == "repair_under_way"
        raise UpstreamRateLimitedError("slow", reason="upstream_rate_limited")

    world.upstream.before_issue = ask_meanwhile
    with pytest.raises(UpstreamRateLimitedError):
        rotate(world)
    world.upstream.before_issue = lambda: None

    new = look_into(other, old)

    assert new is not None
    assert new.generation == 2


def test_a_token_that_the_operator_gives_meanwhile_is_kept(
    world: World, upstream: WatchedUpstream
) -> None:
    """The decision to repair was about the old one; an imported token could not be had again."""
    old, other = met(world), replica(world)
    kill_token(world)

    def give() -> None:
        upstream.before_check = lambda: None
        other.stores.put(call(OPERATOR), STORE, access_token(world, "a"), retain=False)

    upstream.before_check = give
    new = look_into(world, old)

    assert new is not None
    assert (new.generation, new.style) == (2, "x_auth_token")
    assert shown(world).token_style == "x_auth_token"
    assert world.upstream.logins == 1


def test_an_operators_rotation_meanwhile_is_enough(world: World, upstream: WatchedUpstream) -> None:
    """The repair does not make another token."""
    old, other = met(world), replica(world)
    kill_token(world)

    def rotate_meanwhile() -> None:
        upstream.before_check = lambda: None
        rotate(other)

    upstream.before_check = rotate_meanwhile
    new = look_into(world, old)

    assert new is not None
    assert new.generation == 2
    assert world.upstream.logins == 2


def test_an_operators_token_meanwhile_is_no_reason_to_close_the_store(
    world: World, upstream: WatchedUpstream
) -> None:
    """With nothing at hand the repair would have closed it; now there is nothing to repair."""
    forget_password(world)
    old, other = met(world), replica(world)
    kill_token(world)

    def give() -> None:
        upstream.before_check = lambda: None
        other.stores.rotate(call(OPERATOR), STORE, CREDENTIAL)

    upstream.before_check = give
    new = look_into(world, old)

    assert new is not None
    assert new.generation == 2
    assert shown(world).status == "active"


@pytest.mark.parametrize(
    "error",
    [
        UpstreamTimeoutError("late", reason="upstream_timeout"),
        UpstreamRateLimitedError("slow", reason="upstream_rate_limited"),
        UpstreamAnswerError("odd", reason="upstream_answer_unusable"),
    ],
)
def test_an_upstream_that_does_not_say_condemns_nothing(world: World, error: UpstreamError) -> None:
    """An outage is no rejection."""
    world.upstream.failure = error

    assert look_into(world, met(world)) is None

    world.upstream.failure = None
    assert shown(world).status == "active"
    assert told(world) == []


def test_nothing_is_repaired_that_cannot_be_recorded(world: World) -> None:
    """No record, no new token, no change; when the trail is back the repair is."""
    kill_token(world)
    old, before = met(world), record(world)
    world.audit.broken = True
    with pytest.raises(AuditError):
        look_into(world, old)
    unchanged = record(world) == before
    world.audit.broken = False
    elapse(world, CHECK_SPAN)

    new = look_into(world, old)

    assert unchanged
    assert new is not None
    assert world.upstream.logins == 2


def test_a_pause_of_logins_does_not_keep_a_store_from_its_previous_token(world: World) -> None:
    """Nothing is sent, and the store goes on."""
    rotate(world)
    kill_token(world)
    for number in range(6):
        world.agreed.note_refused(f"other{number}", world.clock(), MINUTE)

    new = look_into(world, met(world))

    assert new is not None
    assert new.generation == 1
    assert world.upstream.logins == 2


def test_a_pause_of_logins_is_not_the_end_of_a_store(world: World) -> None:
    """There is no previous token; maintenance makes a new one when the pause is over."""
    kill_token(world)
    for number in range(6):
        world.agreed.note_refused(f"other{number}", world.clock(), MINUTE)
    with pytest.raises(TokenRejectedError):
        look_into(world, met(world))

    look_if_due(world, ONCE_IN)

    assert shown(world).status == "active"


def test_a_retained_password_that_cannot_be_opened_makes_way_for_the_previous_token(
    world: World,
) -> None:
    """Its key is gone, the record's is not."""
    forget_password(world)
    world.ring = keyring("k1", "k2", primary="k2")
    world.stores.put(call(OPERATOR), STORE, CREDENTIAL, retain=True)
    world.ring = keyring("k1", "k2", primary="k1")
    world.stores.rotate(call(OPERATOR), STORE, None)
    world.ring = keyring("k1", "k2", primary="k2")
    world.stores.put(call(OPERATOR), STORE, CREDENTIAL, retain=True)
    sealed = record(world).credential
    world.ring = keyring("k1", "k2", primary="k1")
    seen = world.reader.seen(world.keyring(), STORE)
    world.provision.replace(world.keyring(), seen, seen.record)
    world.ring = keyring("k1")
    kill_token(world)

    new = look_into(world, met(world))

    assert sealed == record(world).credential
    assert new is not None
    assert new.generation == 1
    assert world.observer.counts["security", "key_unavailable"] == 1


def test_a_mounted_access_token_that_is_dead_itself_repairs_nothing(world: World) -> None:
    """It is the one that was rejected; the previous token is the way back."""
    mounted = access_token(world, "a")
    world.mounted.credentials[STORE] = mounted
    world.stores.put(call(OPERATOR), STORE, mounted, retain=False)
    old = met(world)
    kill_token(world)

    new = look_into(world, old)

    assert new is not None
    assert (new.generation, new.style) == (1, "auth_token")
    assert ("store.write", "allowed", "rolled_back") in told(world)


def test_an_imported_token_gives_way_to_the_mounted_password(world: World) -> None:
    """Styles may change in either direction."""
    world.stores.put(call(OPERATOR), STORE, access_token(world, "a"), retain=False)
    world.mounted.credentials[STORE] = CREDENTIAL
    old = met(world)
    kill_token(world)

    new = look_into(world, old)

    assert new is not None
    assert (new.generation, new.style) == (3, "auth_token")
    assert len(live_names(world)) == 1


def test_a_store_that_is_closed_meanwhile_is_not_revived(world: World) -> None:
    """Its token is neither replaced nor given out."""
    old = met(world)
    world.upstream.failure = UpstreamTimeoutError("late", reason="upstream_timeout")
    with pytest.raises(UpstreamTimeoutError):
        world.stores.remove(call(OPERATOR), STORE)
    world.upstream.failure = None
    kill_token(world)

    with pytest.raises((TokenRejectedError, StoreNotActiveError)):
        look_into(world, old)

    assert (shown(world).status, shown(world).reason) == ("needs_credential", "removing")
    assert world.upstream.logins == 1


def test_a_store_that_is_gone_is_not_active(world: World) -> None:
    """A request that was on its way finds nothing."""
    old = met(world)
    world.stores.remove(call(OPERATOR), STORE)

    with pytest.raises(StoreNotActiveError):
        look_into(world, old)


def test_a_repair_that_was_cut_off_by_its_lease_is_finished_by_maintenance(world: World) -> None:
    """The new token was made and not committed; it is found, and the store gets another."""
    kill_token(world)
    old = met(world)

    def die() -> None:
        raise KeyboardInterrupt

    world.upstream.after_issue = die
    with pytest.raises(KeyboardInterrupt):
        look_into(world, old)
    world.upstream.after_issue = lambda: None
    end_lease(world)
    elapse(world, CHECK_SPAN)
    with pytest.raises(TokenRejectedError):
        look_into(world, old)

    look_if_due(world, LEASE + SECOND)

    assert shown(world).status == "active"
    assert len(live_names(world)) == 1


def test_without_a_previous_token_that_works_the_store_needs_a_credential(world: World) -> None:
    """All of its tokens died at once."""
    rotate(world)
    forget_password(world)
    old = met(world)
    for made in world.upstream.ledger:
        made.deleted = True

    with pytest.raises(TokenRejectedError):
        look_into(world, old)

    assert (shown(world).status, shown(world).reason) == ("needs_credential", "token_rejected")


def test_a_rotation_that_begins_during_the_way_back_wins(
    world: World, upstream: WatchedUpstream
) -> None:
    """The way back was decided on another record; the caller is asked to come again."""
    rotate(world)
    forget_password(world)
    old, other = met(world), replica(world)
    kill_token(world)

    def rotate_during_the_second_check() -> None:
        if upstream.checks == 3:
            other.stores.put(call(OPERATOR), STORE, CREDENTIAL, retain=True)

    upstream.before_check = rotate_during_the_second_check
    with pytest.raises(StoreBusyError):
        look_into(world, old)

    assert shown(world).status == "active"


def test_a_store_that_came_too_often_and_has_another_token_by_now_stays_open(
    world: World, upstream: WatchedUpstream
) -> None:
    """There is nothing left to repair, and nothing to close."""
    old, other = met(world), replica(world)
    kill_token(world)
    world.agreed.claim_store("repaired", STORE, "an earlier repair", ONCE_IN)

    def rotate_meanwhile() -> None:
        upstream.before_check = lambda: None
        rotate(other)

    upstream.before_check = rotate_meanwhile
    new = look_into(world, old)

    assert new is not None
    assert new.generation == 2
    assert shown(world).status == "active"
    assert ("store.write", "allowed", "replaced_meanwhile") in told(world)


def test_a_store_that_is_closed_during_the_repair_stays_closed(
    world: World, upstream: WatchedUpstream
) -> None:
    """Its removal began while the token was being checked; the retained password does not revive it."""
    old, other = met(world), replica(world)
    kill_token(world)

    def close() -> None:
        upstream.before_check = lambda: None
        seen = other.reader.seen(other.keyring(), STORE)
        closed = replace(seen.record, status="needs_credential", reason="removing")
        other.provision.replace(other.keyring(), seen, closed)

    upstream.before_check = close
    with pytest.raises(TokenRejectedError):
        look_into(world, old)

    assert (shown(world).status, shown(world).reason) == ("needs_credential", "removing")
    assert world.upstream.logins == 1
