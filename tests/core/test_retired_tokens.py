"""Retired tokens: what the broker had made and a store needs no more is deleted upstream, and known until then."""

from collections.abc import Iterator

import pytest

from service.core.credential import AccessToken
from service.core.errors import IntegrityError, UpstreamTimeoutError
from service.core.records import StoreRecord, decode_record
from service.core.secret import Secret
from service.core.store_document import StoreDocument
from tests.core.altering import store_key, stored
from tests.support.upstream import FakeUpstream
from tests.support.world import INSTANCE, OPERATOR, STORE, World, call


class Silent(FakeUpstream):
    """Does not answer when tokens are listed."""

    def tokens(self, token: Secret) -> Iterator[tuple[int, str]]:
        """See ``Upstream.tokens``."""
        del token
        raise UpstreamTimeoutError("late", reason="upstream_timeout")


def record(world: World) -> StoreRecord:
    """Return the stored record."""
    return decode_record(world.keyring(), INSTANCE, STORE, stored(world, store_key(STORE)))


def use_token(world: World, letter: str) -> StoreDocument:
    """Import an access token."""
    world.upstream.access_tokens[STORE] = letter * 31
    credential = AccessToken(Secret(letter * 31))
    return world.stores.put(call(OPERATOR), STORE, credential, retain=False)[0]


@pytest.fixture
def moved(world: World) -> World:
    """A store that moved from an issued token to an imported one."""
    use_token(world.active(), "a")
    return world


def test_a_second_import_deletes_the_issued_token_upstream(moved: World) -> None:
    """It was kept for the way back, which is now to the first import."""
    kept = len(moved.upstream.live(STORE))

    document = use_token(moved, "b")

    assert kept == 1
    assert document.generation == 3
    assert document.previous is not None
    assert document.previous.token_style == "x_auth_token"
    assert moved.upstream.live(STORE) == []
    assert record(moved).retired == ()


def test_a_retired_token_that_could_not_be_deleted_is_deleted_by_the_next_import(
    moved: World,
) -> None:
    """The import itself stands, and the record still knows the token."""
    silent = Silent()
    silent.ledger = moved.upstream.ledger
    moved.cleaner._upstream = silent
    document = use_token(moved, "b")
    known = [token.name for token in record(moved).retired]
    moved.cleaner._upstream = moved.upstream
    use_token(moved, "c")

    assert document.status == "active"
    assert known == [moved.upstream.ledger[0].name]
    assert moved.observer.counts["issue", "cleanup_deferred"] == 1
    assert moved.upstream.live(STORE) == []
    assert record(moved).retired == ()


def test_a_retired_token_that_could_not_be_deleted_is_deleted_with_the_store(moved: World) -> None:
    """Nothing that the broker had made outlives the store."""
    silent = Silent()
    silent.ledger = moved.upstream.ledger
    moved.cleaner._upstream = silent
    use_token(moved, "b")
    moved.cleaner._upstream = moved.upstream

    moved.stores.remove(call(OPERATOR), STORE)

    assert moved.upstream.live(STORE) == []
    assert moved.stores.page(call(OPERATOR), "", 10) == ([], None)


def test_a_retired_token_that_is_dead_upstream_stands_in_nobodys_way(moved: World) -> None:
    """Neither of an import nor of the removal."""
    moved.upstream.ledger[0].deleted = True

    document = use_token(moved, "b")
    moved.stores.remove(call(OPERATOR), STORE)

    assert document.status == "active"
    assert moved.observer.counts["issue", "cleanup_deferred"] == 0
    assert moved.stores.page(call(OPERATOR), "", 10) == ([], None)


def test_a_token_that_cannot_be_opened_is_never_sent(moved: World) -> None:
    """Cleaning is no way around the checks."""
    token = record(moved).previous
    assert token is not None

    with pytest.raises(IntegrityError):
        moved.cleaner.clean_all(
            World().keyring(), StoreRecord("abc456", moved.clock(), token=token)
        )

    assert len(moved.upstream.live(STORE)) == 1
