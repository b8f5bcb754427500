"""Rotation: a new token that is shown to work before the old one gives way, and no token of ours that nobody knows."""

import pytest

from service.core.credential import AccessToken, Credential
from service.core.errors import (
    AuditError,
    CredentialNeededError,
    CredentialRefusedError,
    ForbiddenError,
    StoreBusyError,
    StoreNotActiveError,
    StoreUnknownError,
    UpstreamAnswerError,
    UpstreamTimeoutError,
)
from service.core.policy import MintAsk
from service.core.secret import Secret
from service.core.store_document import StoreDocument
from tests.core.altering import alter, store_key
from tests.core.leasing import end_lease
from tests.core.replicas import (
    HOUR,
    SECOND,
    WRONG,
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
    LEASE,
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
    """An active store whose password is retained."""
    made = World(upstream=upstream)
    made.stores.put(call(OPERATOR), STORE, CREDENTIAL, retain=True)
    return made


def rotate(world: World, credential: Credential | None = None) -> StoreDocument:
    """Give the store a new token."""
    return world.stores.rotate(call(OPERATOR), STORE, credential)


def test_a_rotation_makes_a_token_proves_it_and_keeps_the_old_one_for_a_while(
    world: World, upstream: WatchedUpstream
) -> None:
    """Both work; the document says until when."""
    document = rotate(world)

    assert (document.status, document.generation, document.retained) == ("active", 2, True)
    assert document.previous is not None
    assert document.previous.generation == 1
    assert document.previous.until == world.clock() + PREVIOUS
    assert len(live_names(world)) == 2
    assert (world.upstream.logins, upstream.checks) == (2, 1)
    assert world.audit.told()[-2:] == [
        ("store.write", "started", "issue"),
        ("store.write", "allowed", "rotated"),
    ]


def test_references_go_on_through_a_rotation(world: World) -> None:
    """They lead to the store, and not to one of its tokens."""
    minted = world.minter.mint(call(MINTER), STORE, MintAsk(audience=WORKER))

    rotate(world)
    used = world.uses.take(call(WORKER), minted.reference, "proxy", lambda _grant: True)

    assert used.token.secret.reveal() == world.upstream.ledger[1].value


def test_rotating_again_and_again_leaves_two_tokens(world: World) -> None:
    """The one before the previous is deleted at once."""
    for _ in range(4):
        rotate(world)

    assert len(live_names(world)) == 2
    assert shown(world).generation == 5
    look_if_due(world, HOUR + SECOND)
    assert live_names(world) == [active_name(world)]


def test_a_given_password_takes_the_place_of_the_retained_one(world: World) -> None:
    """Retention was asked for; the old password is most likely over."""
    before = record(world).credential

    document = rotate(world, CREDENTIAL)

    assert document.retained
    assert record(world).credential != before
    assert rotate(world).generation == document.generation + 1


def test_a_given_password_is_not_retained_where_none_was(world: World) -> None:
    """Nobody asked for it."""
    world.stores.put(call(OPERATOR), STORE, CREDENTIAL, retain=False)

    document = rotate(world, CREDENTIAL)

    assert not document.retained
    with pytest.raises(CredentialNeededError):
        rotate(world)


def test_a_mounted_credential_is_used_and_never_copied(world: World) -> None:
    """What is retained stays what it was: taking the mount away takes the password away."""
    sealed = record(world).credential
    world.mounted.credentials[STORE] = CREDENTIAL

    rotate(world)

    assert record(world).credential == sealed


def test_a_mounted_credential_is_not_retained_where_nothing_was(world: World) -> None:
    """Nobody asked for it."""
    world.stores.put(call(OPERATOR), STORE, CREDENTIAL, retain=False)
    world.mounted.credentials[STORE] = CREDENTIAL

    assert not rotate(world).retained


def test_without_a_credential_nothing_is_rotated(world: World) -> None:
    """The old token stays, and the operator is told what is missing."""
    world.stores.put(call(OPERATOR), STORE, CREDENTIAL, retain=False)

    with pytest.raises(CredentialNeededError):
        rotate(world)

    assert world.audit.told()[-1] == ("store.write", "failed", "credential_needed")
    assert shown(world).generation == 1


def test_an_unknown_store_cannot_be_rotated(world: World) -> None:
    """It would be registered by accident."""
    with pytest.raises(StoreUnknownError):
        world.stores.rotate(call(OPERATOR), "zzz999", CREDENTIAL)

    assert world.upstream.logins == 1


def test_whoever_may_not_write_may_not_rotate(world: World) -> None:
    """The denial is recorded and nothing is sent."""
    with pytest.raises(ForbiddenError):
        world.stores.rotate(call(MINTER), STORE, CREDENTIAL)

    assert world.upstream.logins == 1


def test_a_refused_credential_leaves_the_old_token_and_is_not_sent_again(world: World) -> None:
    """Not by this replica, not by another, not after a restart, not in a year."""
    for _ in range(3):
        with pytest.raises(CredentialRefusedError):
            rotate(world, WRONG)
    elapse(world, 365 * 24 * HOUR)
    for again in (replica(world), replica(world)):
        with pytest.raises(CredentialRefusedError) as refused:
            rotate(again, WRONG)

    assert refused.value.reason == "credential_incorrect"
    assert world.upstream.logins == 2
    assert (shown(world).status, shown(world).generation) == ("active", 1)


def test_a_retained_password_that_was_refused_is_not_at_hand_any_more(world: World) -> None:
    """The operator is asked for another one."""
    world.stores.put(call(OPERATOR), STORE, WRONG, retain=True)
    with pytest.raises(CredentialRefusedError):
        rotate(world)

    with pytest.raises(CredentialNeededError):
        rotate(world)

    assert world.upstream.logins == 2


def test_a_token_that_does_not_work_never_becomes_the_active_one(
    world: World, upstream: WatchedUpstream
) -> None:
    """It is left to be deleted, and the old one goes on."""

    def refuse() -> None:
        raise CredentialRefusedError("no", reason="token_rejected")

    upstream.before_check = refuse
    with pytest.raises(UpstreamAnswerError) as unproven:
        rotate(world)
    upstream.before_check = lambda: None
    shown_then = shown(world)
    look_if_due(world, LEASE + SECOND)

    assert unproven.value.reason == "token_unproven"
    assert (shown_then.status, shown_then.generation, len(shown_then.attempts)) == ("active", 1, 1)
    assert live_names(world) == [active_name(world)]
    assert shown(world).attempts == ()


def test_an_outcome_that_is_unknown_leaves_the_old_token(world: World) -> None:
    """The store stays active, and the attempt is shown until it is settled."""

    def time_out() -> None:
        raise UpstreamTimeoutError("late", reason="upstream_timeout")

    world.upstream.after_issue = time_out
    with pytest.raises(UpstreamTimeoutError):
        rotate(world)
    during = shown(world)
    look_if_due(world, LEASE + SECOND)

    assert (during.status, during.generation, len(during.attempts)) == ("active", 1, 1)
    assert live_names(world) == [active_name(world)]


def test_nothing_is_rotated_that_cannot_be_recorded(world: World) -> None:
    """The trail fails in the middle: the lease is held, and the upstream was not asked."""
    world.audit.broken = True

    with pytest.raises(AuditError):
        rotate(world)

    world.audit.broken = False
    assert world.upstream.logins == 1
    assert (shown(world).attempts, shown(world).generation) == ((), 1)
    assert rotate(world).generation == 2


def test_two_rotations_at_once_make_one_token(world: World) -> None:
    """The second waits for the first and gets what it asked for."""
    other, meanwhile = replica(world), []

    def come_too() -> None:
        world.upstream.before_issue = lambda: None
        with pytest.raises(StoreBusyError):
            rotate(other)
        meanwhile.append(world.upstream.logins)

    world.upstream.before_issue = come_too
    rotate(world)

    assert meanwhile == [2]
    assert world.upstream.logins == 2


def test_whoever_waited_for_a_rotation_does_not_make_another(world: World) -> None:
    """Somebody else did meanwhile what was asked for."""
    other = replica(world)
    first = world.reader.seen(world.keyring(), STORE)
    seen = iter([first])

    def known(*_: object) -> object:
        return next(seen)

    other.provision._known = known  # type: ignore[method-assign,assignment]  # what it saw before the other rotated
    rotate(world)

    document = rotate(other)

    assert document.generation == 2
    assert world.upstream.logins == 2


def test_a_rotation_whose_lease_ended_deletes_what_it_made(world: World) -> None:
    """Whoever came after it has deleted what it had made already; the other's token stays."""
    other = replica(world)

    def be_late() -> None:
        world.upstream.after_issue = lambda: None
        end_lease(world)
        rotate(other)

    world.upstream.after_issue = be_late
    with pytest.raises(UpstreamAnswerError):
        rotate(world)

    assert shown(world).generation == 2
    assert shown(world).attempts == ()
    assert sorted(live_names(world)) == sorted(
        token.name for token in (record(world).token, record(world).previous) if token
    )


def test_an_access_token_that_is_in_force_already_changes_nothing(world: World) -> None:
    """There is nothing to rotate to."""
    imported = access_token(world, "a")
    rotate(world, imported)

    document = rotate(world, imported)

    assert (document.generation, document.token_style) == (2, "x_auth_token")


def test_an_imported_token_gives_way_to_a_password_and_the_other_way_round(world: World) -> None:
    """What the broker had made is deleted, what was imported is only forgotten."""
    rotate(world, access_token(world, "a"))
    back = rotate(world, CREDENTIAL)
    again = rotate(world, access_token(world, "b"))

    assert (back.token_style, again.token_style) == ("auth_token", "x_auth_token")
    assert (back.generation, again.generation) == (3, 4)
    assert met(world).secret.reveal() == "b" * 31
    assert [made.deleted for made in world.upstream.ledger] == [True, False]


def test_an_access_token_that_does_not_work_is_refused_and_remembered(
    world: World, upstream: WatchedUpstream
) -> None:
    """It is checked once."""
    bad = AccessToken(Secret("z" * 31))
    for _ in range(3):
        with pytest.raises(CredentialRefusedError):
            rotate(world, bad)

    assert upstream.checks == 1
    assert shown(world).generation == 1


def test_a_quarantined_store_is_not_rotated(world: World) -> None:
    """Nothing is known of it that could be relied on."""
    alter(world, store_key(STORE), lambda line: line[:-2] + b"!}")

    with pytest.raises(StoreNotActiveError):
        rotate(world, CREDENTIAL)

    assert world.upstream.logins == 1
