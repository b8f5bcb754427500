"""Showing stores: to those who may see them, page by page, and never with a secret."""

import pytest

from service.adapters.redis_link import home
from service.adapters.redis_stores import RedisStores
from service.core.errors import AuditError, ForbiddenError, LockedError, StoreUnknownError
from service.core.policy import AccessGrant, MintAsk, Policy
from tests.core.altering import alter, store_key
from tests.support.upstream import EMAIL, PASSWORD
from tests.support.world import CREDENTIAL, MINTER, OPERATOR, STORE, WORKER, World, call

HASHES = ["abc001", "abc002", "abc003", "xyz001", "xyz002"]
ABC_READER = Policy((AccessGrant("abc", ("corp:dev-*",), ("abc*",), ("store.read",)),))


@pytest.fixture
def full(world: World) -> World:
    """Five stores."""
    for store_hash in reversed(HASHES):
        world.active(store_hash)
    return world


def shown(world: World, after: str, limit: int) -> tuple[list[str], str | None]:
    """Return a page as somebody sees it who may see two of the three families."""
    documents, following = world.stores.page(call("corp:dev-bo", ABC_READER), after, limit)
    return [document.store_hash for document in documents], following


def test_pages_follow_each_other_without_gap_or_repetition(full: World) -> None:
    """Sorted by hash; the last page names no next one."""
    pages = []
    after: str | None = ""
    while after is not None:
        documents, after = full.stores.page(call(OPERATOR), after, 2)
        pages.append([document.store_hash for document in documents])

    assert pages == [HASHES[:2], HASHES[2:4], HASHES[4:]]


def test_a_page_shows_only_the_stores_that_the_caller_may_see(full: World) -> None:
    """It is full nevertheless, and its cursor tells of no other store."""
    assert shown(full, "", 2) == (["abc001", "abc002"], "abc002")
    assert shown(full, "abc002", 2) == (["abc003"], None)
    assert shown(full, "abc003", 2) == ([], None)
    assert shown(full, "", 3) == (["abc001", "abc002", "abc003"], None)


def test_whoever_may_see_few_of_many_stores_finds_them_on_one_page(full: World) -> None:
    """The stores in between are passed over, however many they are."""
    for number in range(250):
        store_hash = f"mno{number:03d}"
        full.redis.zadd(home(store_hash).stores, {store_hash: 0})
    few = Policy((AccessGrant("few", ("corp:dev-*",), ("abc001", "xyz*"), ("store.read",)),))

    documents, following = full.stores.page(call("corp:dev-bo", few), "", 10)

    assert [document.store_hash for document in documents] == ["abc001", "xyz001", "xyz002"]
    assert following is None
    assert shown(full, "", 2) == (["abc001", "abc002"], "abc002")


def test_whoever_may_see_no_store_is_denied_and_recorded(full: World) -> None:
    """Also the list."""
    with pytest.raises(ForbiddenError):
        full.stores.page(call(MINTER), "", 10)

    assert full.audit.told()[-1] == ("store.read", "denied", "actions")


def test_a_store_that_may_not_be_seen_looks_like_one_that_does_not_exist(full: World) -> None:
    """Both are forbidden; only who may see all learns which is unknown."""
    for store_hash in ("xyz001", "xyz999"):
        with pytest.raises(ForbiddenError):
            full.stores.get(call("corp:dev-bo", ABC_READER), store_hash)
    with pytest.raises(StoreUnknownError):
        full.stores.get(call(OPERATOR), "xyz999")
    assert full.audit.told()[-3:] == [
        ("store.read", "denied", "stores"),
        ("store.read", "denied", "stores"),
        ("store.read", "failed", "store_unknown"),
    ]


def test_a_store_that_is_removed_while_its_page_is_read_is_left_out(full: World) -> None:
    """The page is a listing and not a promise."""

    class Vanishing(RedisStores):
        """One store goes between the listing and the look."""

        def page(self, after: str, limit: int) -> list[str]:
            """See ``StoreTable.page``."""
            found = super().page(after, limit)
            full.redis.delete(store_key("abc002"))
            return found

    full.stores._table = Vanishing(full.link)

    assert shown(full, "", 3) == (["abc001", "abc003"], None)


def test_one_altered_record_does_not_hide_the_others(full: World) -> None:
    """It is shown as quarantined."""
    alter(full, store_key("abc002"), lambda line: line.replace(b'"abc002"', b'"abc003"'))

    documents, _ = full.stores.page(call(OPERATOR), "", 3)

    assert [document.status for document in documents] == ["active", "quarantined", "active"]
    assert full.observer.counts["security", "mac_mismatch"] == 1


def test_a_document_counts_live_references_and_tells_the_last_use(world: World) -> None:
    """To the minute, and without the references that are used up or revoked."""
    world.active()
    minted = [
        world.minter.mint(call(MINTER), STORE, MintAsk(audience=WORKER, max_uses=1))
        for _ in range(4)
    ]
    before = world.stores.get(call(OPERATOR), STORE)
    world.uses.take(call(WORKER), minted[0].reference, "proxy", lambda _grant: True)
    world.references.revoke(call(OPERATOR), minted[1].accessor)

    after = world.stores.get(call(OPERATOR), STORE)

    assert (before.live_references, before.last_used_at) == (4, None)
    assert (after.live_references, after.last_used_at) == (2, world.clock())


def test_no_document_shows_a_secret(world: World) -> None:
    """Not even in its ``repr``."""
    document, _ = world.stores.put(call(OPERATOR), STORE, CREDENTIAL, retain=True)

    text = repr(document)

    assert all(secret not in text for secret in (world.upstream.ledger[0].value, PASSWORD, EMAIL))


def test_nothing_is_shown_while_locked_or_unrecorded(full: World) -> None:
    """A record cannot be verified without keys, and no read goes unrecorded."""
    full.audit.broken = True
    with pytest.raises(AuditError):
        full.stores.get(call(OPERATOR), "abc001")
    with pytest.raises(AuditError):
        full.stores.page(call(OPERATOR), "", 3)
    full.audit.broken = False
    full.ring = None

    with pytest.raises(LockedError):
        full.stores.get(call(OPERATOR), "abc001")
    with pytest.raises(LockedError):
        full.stores.page(call(OPERATOR), "", 3)
