"""Refused credentials: one login for each, however often it is given; and none at all when many stores are refused at once."""

import pytest

from service.core.credential import AccessToken, B2BPassword, Credential
from service.core.errors import (
    BrokerError,
    CredentialRefusedError,
    IssuingPausedError,
    StorageError,
)
from service.core.login_pause import MOST_STORES, WINDOW
from service.core.secret import Secret
from tests.core.replicas import (
    SECOND,
    WRONG,
    access_token,
    elapse,
    maintain_after,
    replica,
    shown,
)
from tests.support.upstream import EMAIL
from tests.support.world import CREDENTIAL, OPERATOR, STORE, World, call

EVENT = ("security", "many_credentials_refused")


def put(world: World, store_hash: str, credential: Credential = WRONG) -> str:
    """Try to register a store, and return why it did not work; empty if it did."""
    try:
        world.stores.put(call(OPERATOR), store_hash, credential, retain=False)
    except BrokerError as error:
        return error.reason
    return ""


def refuse_many(world: World, count: int) -> list[str]:
    """Have the passwords of some stores refused, and return what each was told."""
    return [put(world, f"wrong{number}") for number in range(count)]


def test_a_wrong_password_is_sent_once_in_a_thousand_puts(world: World) -> None:
    """By whichever replica, before and after a restart."""
    replicas = [world, replica(world), replica(world)]

    told = {put(replicas[number % 3], STORE) for number in range(1000)}

    assert told == {"credential_incorrect"}
    assert world.upstream.logins == 1


def test_a_changed_credential_is_tried(world: World) -> None:
    """E-mail, password and store belong together."""
    put(world, STORE)
    put(world, STORE, B2BPassword(Secret(EMAIL), Secret("wrong2")))
    put(world, STORE, B2BPassword(Secret("x" + EMAIL), Secret("wrong")))
    put(world, "abc456")

    assert put(world, STORE, CREDENTIAL) == ""
    assert world.upstream.logins == 5


@pytest.mark.parametrize("count", [MOST_STORES, MOST_STORES + 1])
def test_after_a_few_stores_no_password_is_sent(world: World, count: int) -> None:
    """Five may have a wrong one each; the sixth is the alarm."""
    refuse_many(world, count)

    told = put(replica(world), STORE, CREDENTIAL)

    paused = count > MOST_STORES
    assert told == ("issuing_paused" if paused else "")
    assert world.observer.paused is paused
    assert world.observer.counts[EVENT] == int(paused)
    assert world.upstream.logins == (count if paused else count + 1)


def test_thousands_of_wrong_passwords_cost_a_few_logins(world: World) -> None:
    """A rollout that goes wrong reaches six accounts and no more."""
    told = refuse_many(world, 200)

    assert set(told) == {"credential_incorrect", "issuing_paused"}
    assert world.upstream.logins == MOST_STORES + 1
    assert world.observer.counts[EVENT] == 1


def test_the_pause_tells_when_to_come_back_and_is_recorded(world: World) -> None:
    """Nothing of the store was written, and the trail says why."""
    refuse_many(world, MOST_STORES + 1)

    with pytest.raises(IssuingPausedError) as paused:
        world.active()

    assert paused.value.retry_after == WINDOW
    assert world.audit.told()[-1] == ("store.write", "failed", "issuing_paused")
    assert world.stores_table.page("wrong9", 10) == []


@pytest.mark.parametrize(("span", "sent"), [(WINDOW, False), (WINDOW + SECOND, True)])
def test_the_pause_ends_a_minute_after_the_refusals(
    world: World, span: object, *, sent: bool
) -> None:
    """And the alarm with it."""
    refuse_many(world, MOST_STORES + 1)
    world.clock.move(span)  # type: ignore[arg-type]  # a timedelta

    told = put(world, STORE, CREDENTIAL)

    assert (told == "") is sent
    assert world.observer.paused is not sent


def test_refusals_that_are_spread_out_pause_nothing(world: World) -> None:
    """Five a minute is what honest mistakes look like."""
    for number in range(20):
        put(world, f"wrong{number}")
        elapse(world, 13 * SECOND)

    assert put(world, STORE, CREDENTIAL) == ""
    assert world.observer.counts[EVENT] == 0


def test_many_refusals_of_one_store_pause_nothing(world: World) -> None:
    """One operator who guesses hurts one account, and is told so each time."""
    for number in range(20):
        put(world, STORE, B2BPassword(Secret(EMAIL), Secret(f"wrong{number}")))

    assert put(world, "abc456", CREDENTIAL) == ""


def test_an_imported_token_is_neither_counted_nor_paused(world: World) -> None:
    """No account is locked by it."""
    for number in range(MOST_STORES + 3):
        put(world, f"bad{number}x", AccessToken(Secret(f"{number}" * 31)))
    counted = world.observer.counts[EVENT]
    refuse_many(world, MOST_STORES + 1)

    assert counted == 0
    assert put(world, STORE, access_token(world, "a")) == ""


def test_a_store_that_is_active_needs_no_login_and_is_not_paused(world: World) -> None:
    """Its retention can still be changed."""
    world.active()
    refuse_many(world, MOST_STORES + 1)

    assert put(world, STORE, CREDENTIAL) == ""


def test_the_alarm_is_raised_though_nobody_comes_after_it(world: World) -> None:
    """The refusal that was one too many says so itself."""
    refuse_many(world, MOST_STORES + 1)

    assert world.observer.paused


def test_the_alarm_ends_though_nobody_comes_after_it(world: World) -> None:
    """Whoever maintains looks."""
    refuse_many(world, MOST_STORES + 1)

    maintain_after(world, WINDOW + SECOND)

    assert not world.observer.paused


def test_two_that_are_refused_at_once_raise_one_alarm(world: World) -> None:
    """Noting and counting is one step."""
    refuse_many(world, MOST_STORES - 1)
    other, note = replica(world), world.agreed.note_refused

    def note_both(*noted: object) -> int:
        world.agreed.note_refused = note  # type: ignore[method-assign]  # once
        put(other, "wrong98")
        return note(*noted)  # type: ignore[arg-type]  # as they came

    world.agreed.note_refused = note_both  # type: ignore[method-assign,assignment]  # the other is faster
    put(world, "wrong99")

    assert world.observer.counts[EVENT] + other.observer.counts[EVENT] == 1


def test_a_refusal_is_told_though_it_cannot_be_counted(world: World) -> None:
    """The refusal itself is in the store's record."""

    def away(*_: object) -> int:
        raise StorageError("away", reason="redis_away")

    world.agreed.note_refused = away  # type: ignore[method-assign,assignment]  # Redis goes away in the middle

    with pytest.raises(CredentialRefusedError):
        world.stores.put(call(OPERATOR), STORE, WRONG, retain=False)

    assert shown(world).status == "rejected"
    assert put(world, STORE) == "credential_incorrect"
    assert world.upstream.logins == 1


def test_no_password_is_sent_when_nobody_knows_how_many_were_refused(world: World) -> None:
    """Without Redis there is no lease either."""

    def away(*_: object) -> int:
        raise StorageError("away", reason="redis_away")

    world.agreed.refused_since = away  # type: ignore[method-assign,assignment]  # Redis goes away before

    assert put(world, STORE, CREDENTIAL) == "redis_away"
    assert world.upstream.logins == 0
