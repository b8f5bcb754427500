"""Putting a store when something is wrong: what is remembered, and what state it leaves."""

from dataclasses import replace

import pytest

from service.core.credential import AccessToken, B2BPassword
from service.core.errors import (
    CredentialRefusedError,
    ForeignTokenError,
    StoreNotActiveError,
    UpstreamRateLimitedError,
    UpstreamTimeoutError,
    UpstreamUnreachableError,
)
from service.core.records import StoreRecord, decode_record
from service.core.secret import Secret
from tests.core.altering import alter, store_key, stored
from tests.support.upstream import EMAIL
from tests.support.world import (
    CREDENTIAL,
    INSTANCE,
    OPERATOR,
    STORE,
    World,
    call,
    keyring,
)

OTHER_PASSWORD = B2BPassword(Secret(EMAIL), Secret("wrong"))


def record(world: World) -> StoreRecord:
    """Return the stored record."""
    return decode_record(world.keyring(), INSTANCE, STORE, stored(world, store_key(STORE)))


def test_a_refused_password_is_remembered_across_processes_until_it_changes(world: World) -> None:
    """The merchant's account is not hammered, whoever asks and however often; a right password ends it."""
    with pytest.raises(CredentialRefusedError):
        world.stores.put(call(OPERATOR), STORE, OTHER_PASSWORD, retain=False)
    other = World(world.redis)
    with pytest.raises(CredentialRefusedError) as again:
        other.stores.put(call(OPERATOR), STORE, OTHER_PASSWORD, retain=False)
    rejected = other.stores.get(call(OPERATOR), STORE)
    document, _ = other.stores.put(call(OPERATOR), STORE, CREDENTIAL, retain=False)

    assert (rejected.status, rejected.reason) == ("rejected", "credential_incorrect")
    assert again.value.reason == "credential_incorrect"
    assert (document.status, document.reason) == ("active", "")
    assert (world.upstream.logins, other.upstream.logins) == (1, 1)


def test_several_refused_passwords_are_remembered_and_the_oldest_is_forgotten(
    world: World,
) -> None:
    """Whoever takes turns with wrong passwords does not send them again; only so many are noted."""
    wrong = [B2BPassword(Secret(EMAIL), Secret(f"wrong {number}")) for number in range(17)]

    def refused(credential: B2BPassword) -> int:
        """Put it, and return how often the upstream was asked so far."""
        with pytest.raises(CredentialRefusedError):
            world.stores.put(call(OPERATOR), STORE, credential, retain=False)
        return world.upstream.logins

    sixteen = [refused(credential) for credential in wrong[:16]]
    again = [refused(credential) for credential in wrong[:16]]
    seventeenth, first_again, third_again = map(refused, (wrong[16], wrong[0], wrong[2]))

    assert sixteen == list(range(1, 17))
    assert again == [16] * 16
    assert (seventeenth, first_again, third_again) == (17, 18, 18)


def test_a_token_does_not_end_the_memory_of_refusals(world: World) -> None:
    """A mounted or retained password that is wrong must not be sent again at the next need."""
    with pytest.raises(CredentialRefusedError):
        world.stores.put(call(OPERATOR), STORE, OTHER_PASSWORD, retain=False)
    noted = record(world).refusals

    world.active()

    assert len(noted) == 1
    assert record(world).refusals == noted
    with pytest.raises(CredentialRefusedError):
        world.stores.rotate(call(OPERATOR), STORE, OTHER_PASSWORD)
    assert world.upstream.logins == 2


def test_a_refusal_whose_key_is_gone_is_forgotten(world: World) -> None:
    """It cannot be compared any more, so the credential is tried once more and noted under the new key."""
    with pytest.raises(CredentialRefusedError):
        world.stores.put(call(OPERATOR), STORE, OTHER_PASSWORD, retain=False)
    world.ring = keyring("k1", "k2", primary="k2")
    with pytest.raises(CredentialRefusedError):
        world.stores.put(
            call(OPERATOR), STORE, B2BPassword(Secret(EMAIL), Secret("other")), retain=False
        )
    refusals = record(world).refusals
    unknown = tuple(replace(refusal, key_id="k0") for refusal in refusals)
    line = replace(record(world), refusals=unknown)
    world.redis.set(store_key(STORE), line.encode(world.keyring(), INSTANCE))

    document, _ = world.stores.put(call(OPERATOR), STORE, CREDENTIAL, retain=False)

    assert [refusal.key_id for refusal in refusals] == ["k1", "k2"]
    assert document.status == "active"
    assert world.upstream.logins == 3


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (UpstreamUnreachableError("no", reason="upstream_unreachable"), "pending"),
        (UpstreamRateLimitedError("no", reason="upstream_rate_limited"), "pending"),
        (UpstreamTimeoutError("no", reason="upstream_timeout"), "uncertain"),
    ],
)
def test_a_failed_issue_is_uncertain_only_if_a_token_may_exist(
    world: World, error: UpstreamTimeoutError | UpstreamUnreachableError, status: str
) -> None:
    """The state says what is known, and the next put tries again."""

    def fail() -> None:
        raise error

    world.upstream.before_issue = fail
    with pytest.raises(type(error)):
        world.active()
    failed = world.stores.get(call(OPERATOR), STORE)
    world.upstream.before_issue = lambda: None
    world.active()

    assert (failed.status, failed.reason) == (status, error.reason)
    assert world.audit.told()[1] == ("store.write", "failed", error.reason)
    assert len(world.upstream.live(STORE)) == 1


def test_a_token_of_another_store_quarantines_the_store(world: World) -> None:
    """It is not used, it is a security event, and a new password does not undo it."""

    def answer_foreign() -> None:
        raise ForeignTokenError("foreign", reason="token_of_another_store")

    world.upstream.after_issue = answer_foreign
    with pytest.raises(ForeignTokenError):
        world.active()
    with pytest.raises(StoreNotActiveError) as again:
        world.active()

    document = world.stores.get(call(OPERATOR), STORE)
    assert (document.status, document.reason) == ("quarantined", "token_of_another_store")
    assert again.value.reason == "quarantined"
    assert world.observer.counts["security", "foreign_token"] == 1
    assert world.upstream.logins == 1


def test_a_store_whose_token_is_sealed_with_a_missing_key_gets_no_other_by_a_put(
    world: World,
) -> None:
    """The record verifies, the token in it does not open: that is for an operator to look at."""
    world.upstream.access_tokens[STORE] = "a" * 31
    world.stores.put(call(OPERATOR), STORE, AccessToken(Secret("a" * 31)), retain=False)
    signed_anew = record(world).encode(keyring("k2", primary="k2"), INSTANCE)
    world.redis.set(store_key(STORE), signed_anew)
    world.ring = keyring("k2", primary="k2")

    with pytest.raises(StoreNotActiveError) as refused:
        world.stores.put(call(OPERATOR), STORE, AccessToken(Secret("b" * 31)), retain=False)

    assert refused.value.reason == "quarantined"
    assert world.audit.told()[-1] == ("store.write", "failed", "key_unavailable")
    assert world.observer.counts["security", "key_unavailable"] == 1
    assert stored(world, store_key(STORE)) == signed_anew


def test_a_store_whose_record_was_altered_is_quarantined(world: World) -> None:
    """Nothing is exchanged for it, and whoever looks is told why."""
    world.active()
    alter(world, store_key(STORE), lambda line: line.replace(b'"reason":""', b'"reason":"x"'))

    with pytest.raises(StoreNotActiveError) as refused:
        world.active()

    document = world.stores.get(call(OPERATOR), STORE)
    assert refused.value.reason == "quarantined"
    assert (document.status, document.reason, document.generation) == (
        "quarantined",
        "mac_mismatch",
        0,
    )
    assert world.observer.counts["security", "mac_mismatch"] == 2
    assert world.upstream.logins == 1
