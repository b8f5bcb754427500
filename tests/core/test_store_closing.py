"""Removing a store is closing it first: whatever comes between, it is visible, and another request finishes or revives it."""

from collections.abc import Callable, Iterator

import pytest

from service.adapters.redis_stores import RedisStores
from service.core.errors import (
    CredentialRefusedError,
    ReferenceInvalidError,
    StoreBusyError,
    StoreNotActiveError,
    StoreUnknownError,
    UpstreamRefusedError,
    UpstreamTimeoutError,
)
from service.core.policy import MintAsk
from service.core.secret import Secret
from tests.support.upstream import FakeUpstream
from tests.support.world import CREDENTIAL, MINTER, OPERATOR, STORE, WORKER, World, call, keyring


class Killed(BaseException):
    """The process ends here."""


class DyingStores(RedisStores):
    """The process ends when the record is to be removed."""

    def remove(self, store_hash: str, seen: bytes) -> bool:
        """See ``StoreTable.remove``."""
        del store_hash, seen
        raise Killed


class DyingBeforeTheList(FakeUpstream):
    """The process ends before any token is looked for."""

    def tokens(self, token: Secret) -> Iterator[tuple[int, str]]:
        """See ``Upstream.tokens``."""
        del token
        raise Killed


class DyingBehindTheDeletion(FakeUpstream):
    """The process ends as soon as a token was deleted."""

    def delete(self, token: Secret, token_id: int) -> None:
        """See ``Upstream.delete``."""
        super().delete(token, token_id)
        raise Killed


class Unlisting(FakeUpstream):
    """Lets a token do everything but list tokens."""

    def tokens(self, token: Secret) -> Iterator[tuple[int, str]]:
        """See ``Upstream.tokens``."""
        del token
        raise CredentialRefusedError("refused", reason="token_rejected")


def remove(world: World) -> None:
    """Remove the store as an operator."""
    world.stores.remove(call(OPERATOR), STORE)


def in_place_of(world: World, upstream: FakeUpstream) -> None:
    """Have tokens deleted through another upstream with the same ledger."""
    upstream.ledger = world.upstream.ledger
    world.cleaner._upstream = upstream


def kill_before_the_list(world: World) -> None:
    """End the process when the store is closed."""
    in_place_of(world, DyingBeforeTheList())


def kill_behind_the_deletion(world: World) -> None:
    """End the process when the token is gone."""
    in_place_of(world, DyingBehindTheDeletion())


def kill_before_the_removal(world: World) -> None:
    """End the process when only the record is left."""
    world.stores._table = DyingStores(world.link)


PLACES = [kill_before_the_list, kill_behind_the_deletion, kill_before_the_removal]


@pytest.fixture(params=PLACES)
def killed(world: World, request: pytest.FixtureRequest) -> World:
    """A store whose removal was cut off at one of its steps, in a process that was started again."""
    place: Callable[[World], None] = request.param
    world.active()
    place(world)
    with pytest.raises(Killed):
        remove(world)
    world.cleaner._upstream = world.upstream
    world.stores._table = world.stores_table
    return world


def test_a_store_whose_removal_was_cut_off_stays_closed(killed: World) -> None:
    """Its token may be gone upstream, so nothing is minted for it."""
    document = killed.stores.get(call(OPERATOR), STORE)

    with pytest.raises(StoreNotActiveError) as refused:
        killed.minter.mint(call(MINTER), STORE, MintAsk(audience=WORKER))

    assert (document.status, document.reason) == ("needs_credential", "removing")
    assert refused.value.reason == "needs_credential"


def test_asking_again_finishes_a_removal_that_was_cut_off(killed: World) -> None:
    """Nothing is left, here or upstream."""
    remove(killed)

    assert killed.upstream.live(STORE) == []
    with pytest.raises(StoreUnknownError):
        killed.stores.get(call(OPERATOR), STORE)


def test_a_put_revives_a_store_whose_removal_was_cut_off(killed: World) -> None:
    """It gets a new token, and a later removal finds the old one too."""
    document, created = killed.stores.put(call(OPERATOR), STORE, CREDENTIAL, retain=False)
    minted = killed.minter.mint(call(MINTER), STORE, MintAsk(audience=WORKER))
    used = killed.uses.take(call(WORKER), minted.reference, "proxy", lambda _grant: True)
    remove(killed)

    assert (document.status, document.reason, document.generation) == ("active", "", 2)
    assert not created
    assert used.token.secret.reveal() == killed.upstream.ledger[1].value
    assert killed.upstream.live(STORE) == []


def test_a_store_that_is_being_issued_cannot_be_removed(world: World) -> None:
    """Whoever issues finishes; asking again removes what came of it."""
    other = World(world.redis)
    seen = []

    def remove_meanwhile() -> None:
        with pytest.raises(StoreBusyError) as busy:
            remove(other)
        seen.append(busy.value.reason)

    world.upstream.before_issue = remove_meanwhile
    world.active()

    assert seen == ["changed"]
    assert world.stores.get(call(OPERATOR), STORE).status == "active"
    assert other.audit.told()[-1] == ("store.write", "failed", "changed")


def test_a_store_with_an_attempt_that_cannot_be_cleaned_stays(world: World) -> None:
    """There may be a token upstream that nobody could find without the intent; a put with a good password helps."""

    def time_out() -> None:
        raise UpstreamTimeoutError("late", reason="upstream_timeout")

    world.upstream.after_issue = time_out
    with pytest.raises(UpstreamTimeoutError):
        world.active()
    world.upstream.after_issue = lambda: None
    with pytest.raises(StoreNotActiveError) as refused:
        remove(world)
    kept = world.stores.get(call(OPERATOR), STORE)
    told = world.audit.told()[-2]
    world.active()
    remove(world)

    assert refused.value.reason == "uncertain"
    assert (kept.status, kept.reason) == ("needs_credential", "removing")
    assert told == ("store.write", "failed", "uncertain")
    assert world.upstream.live(STORE) == []
    assert world.stores_table.read([STORE], world.clock())[0].attempts == ()


def test_a_store_whose_key_is_missing_stays_as_it_is(world: World) -> None:
    """The remedy is to bring the key back, and then its tokens can be deleted."""
    world.active()
    minted = world.minter.mint(call(MINTER), STORE, MintAsk(audience=WORKER))
    world.ring = keyring("k2", primary="k2")
    with pytest.raises(StoreNotActiveError) as refused:
        remove(world)
    world.ring = keyring()
    kept = world.stores.get(call(OPERATOR), STORE)
    with pytest.raises(ReferenceInvalidError):
        world.uses.take(call(WORKER), minted.reference, "proxy", lambda _grant: True)
    remove(world)

    assert refused.value.reason == "key_unavailable"
    assert kept.status == "active"
    assert world.upstream.live(STORE) == []


def test_a_token_that_works_but_may_not_list_is_not_taken_for_dead(world: World) -> None:
    """One refusal may have another reason, and the store would be forgotten while its token lives."""
    world.active()
    in_place_of(world, Unlisting())

    with pytest.raises(UpstreamRefusedError) as refused:
        remove(world)

    assert refused.value.reason == "listing_refused"
    assert world.stores.get(call(OPERATOR), STORE).reason == "removing"
    assert len(world.upstream.live(STORE)) == 1


def test_a_store_without_a_token_is_removed_without_the_upstream(world: World) -> None:
    """A refused password left nothing there."""

    def refuse() -> None:
        raise CredentialRefusedError("no", reason="role_forbidden")

    world.upstream.before_issue = refuse
    with pytest.raises(CredentialRefusedError):
        world.active()
    world.upstream.failure = UpstreamTimeoutError("late", reason="upstream_timeout")

    remove(world)

    assert world.stores.page(call(OPERATOR), "", 10) == ([], None)
