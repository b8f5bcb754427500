"""Putting a store: what is kept, what is exchanged, and what is imported."""

import pytest

from service.core.credential import AccessToken, B2BPassword
from service.core.errors import (
    CredentialRefusedError,
    ForbiddenError,
    IntegrityError,
    LockedError,
    StoreNotActiveError,
    UpstreamTimeoutError,
)
from service.core.records import StoreRecord, active_token, decode_record
from service.core.sealing import Context, open_sealed
from service.core.secret import Secret
from service.core.store_document import PreviousToken
from tests.core.altering import store_key, stored
from tests.support.upstream import EMAIL, PASSWORD
from tests.support.world import (
    CREDENTIAL,
    INSTANCE,
    MINTER,
    OPERATOR,
    PREVIOUS,
    STORE,
    World,
    call,
    keyring,
)

OTHER_PASSWORD = B2BPassword(Secret(EMAIL), Secret("wrong"))
IMPORTED = AccessToken(Secret("a" * 31))


def record(world: World) -> StoreRecord:
    """Return the stored record."""
    return decode_record(world.keyring(), INSTANCE, STORE, stored(world, store_key(STORE)))


def test_a_new_store_gets_one_token_which_is_stored_sealed(world: World) -> None:
    """What is in Redis names neither token nor password, and opens to the token that was made."""
    document, created = world.stores.put(call(OPERATOR), STORE, CREDENTIAL, retain=False)

    line = stored(world, store_key(STORE))
    made = world.upstream.ledger[0].value
    assert (document.status, document.token_style, document.deprecated) == (
        "active",
        "auth_token",
        True,
    )
    assert (document.generation, document.issued_at, created) == (1, world.clock(), True)
    assert made.encode() not in line
    assert PASSWORD.encode() not in line
    assert active_token(keyring(), INSTANCE, STORE, line).secret.reveal() == made
    assert world.audit.told() == [
        ("store.write", "started", "issue"),
        ("store.write", "allowed", "created"),
    ]


def test_putting_an_active_store_again_keeps_its_token(world: World) -> None:
    """No second exchange, whatever the password says."""
    world.active()

    document, created = world.stores.put(call(OPERATOR), STORE, OTHER_PASSWORD, retain=False)

    assert (document.generation, created) == (1, False)
    assert world.upstream.logins == 1
    assert world.audit.told()[-1] == ("store.write", "allowed", "changed")


def test_a_password_is_stored_only_when_retention_is_asked_for(world: World) -> None:
    """Sealed then, and forgotten by a put that does not ask for it."""
    retained, _ = world.stores.put(call(OPERATOR), STORE, CREDENTIAL, retain=True)
    sealed = record(world).credential
    forgotten, _ = world.stores.put(call(OPERATOR), STORE, CREDENTIAL, retain=False)

    assert (retained.retained, forgotten.retained) == (True, False)
    assert sealed is not None
    assert PASSWORD.encode() in open_sealed(
        keyring(), sealed, Context(INSTANCE, "credential", STORE, 0)
    )
    assert record(world).credential is None
    assert world.upstream.logins == 1


def test_retention_can_be_asked_for_later(world: World) -> None:
    """The token stays as it is."""
    world.active()

    document, _ = world.stores.put(call(OPERATOR), STORE, CREDENTIAL, retain=True)

    assert (document.retained, document.generation) == (True, 1)
    assert world.upstream.logins == 1


def test_an_access_token_is_checked_and_imported(world: World) -> None:
    """Nothing is made upstream, and retention has no meaning for it."""
    world.upstream.access_tokens[STORE] = "a" * 31

    document, created = world.stores.put(call(OPERATOR), STORE, IMPORTED, retain=True)

    assert (document.token_style, document.deprecated, created) == ("x_auth_token", False, True)
    assert not document.retained
    assert not world.upstream.ledger
    token = record(world).token
    assert token is not None
    assert token.name == ""


def test_an_access_token_replaces_an_issued_one_which_stays_as_previous(world: World) -> None:
    """The move to the new style can be taken back, so the old token is not deleted."""
    world.active()
    world.upstream.access_tokens[STORE] = "a" * 31

    document, created = world.stores.put(call(OPERATOR), STORE, IMPORTED, retain=False)

    assert (document.status, document.generation, created) == ("active", 2, False)
    assert document.previous == PreviousToken(1, "auth_token", world.clock() + PREVIOUS)
    assert len(world.upstream.live(STORE)) == 1


def test_the_same_access_token_again_changes_nothing(world: World) -> None:
    """Neither a generation nor a byte of the record."""
    world.upstream.access_tokens[STORE] = "a" * 31
    world.stores.put(call(OPERATOR), STORE, IMPORTED, retain=False)
    before = stored(world, store_key(STORE))

    document, created = world.stores.put(call(OPERATOR), STORE, IMPORTED, retain=False)

    assert (document.generation, created) == (1, False)
    assert stored(world, store_key(STORE)) == before


def test_another_access_token_is_a_new_generation(world: World) -> None:
    """This is how an imported token is rotated."""
    world.upstream.access_tokens[STORE] = "a" * 31
    world.stores.put(call(OPERATOR), STORE, IMPORTED, retain=False)
    world.upstream.access_tokens[STORE] = "b" * 31

    document, _ = world.stores.put(
        call(OPERATOR), STORE, AccessToken(Secret("b" * 31)), retain=False
    )

    assert document.generation == 2
    assert document.previous == PreviousToken(1, "x_auth_token", world.clock() + PREVIOUS)


def test_an_access_token_that_does_not_work_leaves_an_active_store_as_it_is(world: World) -> None:
    """It is remembered as refused, and the working token stays."""
    world.active()

    for _ in range(2):
        with pytest.raises(CredentialRefusedError) as refused:
            world.stores.put(call(OPERATOR), STORE, IMPORTED, retain=False)

    document = world.stores.get(call(OPERATOR), STORE)
    assert refused.value.reason == "token_rejected"
    assert (document.status, document.generation) == ("active", 1)
    assert world.observer.counts["issue", "token_rejected"] == 1


def test_an_upstream_that_fails_to_check_leaves_an_active_store_as_it_is(world: World) -> None:
    """The outcome of a read is never uncertain."""
    world.active()
    world.upstream.failure = UpstreamTimeoutError("late", reason="upstream_timeout")

    with pytest.raises(UpstreamTimeoutError):
        world.stores.put(call(OPERATOR), STORE, IMPORTED, retain=False)

    document = world.stores.get(call(OPERATOR), STORE)
    assert (document.status, document.reason, document.generation) == ("active", "", 1)


def test_putting_a_store_needs_policy(world: World) -> None:
    """The denial is recorded, and nothing is done."""
    with pytest.raises(ForbiddenError):
        world.stores.put(call(MINTER), STORE, CREDENTIAL, retain=False)

    assert world.audit.told() == [("store.write", "denied", "actions")]
    assert world.upstream.logins == 0


def test_nothing_is_exchanged_while_locked(world: World) -> None:
    """A token that could not be sealed is not asked for."""
    world.ring = None

    with pytest.raises(LockedError):
        world.active()

    assert world.upstream.logins == 0
    assert not world.redis.keys()


def test_a_stored_record_without_a_usable_token_gives_none() -> None:
    """Only an active record releases its token."""
    record = StoreRecord(STORE, World().clock())

    with pytest.raises(StoreNotActiveError) as refused:
        active_token(keyring(), INSTANCE, STORE, record.encode(keyring(), INSTANCE))
    with pytest.raises(IntegrityError):
        active_token(keyring(), INSTANCE, "zzz999", record.encode(keyring(), INSTANCE))

    assert refused.value.reason == "pending"
