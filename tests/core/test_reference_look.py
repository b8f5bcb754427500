"""Looking at references: introspection, one by accessor, and pages; never the reference, never a use."""

from datetime import timedelta

import pytest

from service.core.errors import AccessorUnknownError, ForbiddenError, IntegrityError
from service.core.minting import MintedReference
from service.core.policy import MintAsk
from service.core.reference import new_reference
from service.core.references import KnownReference
from service.core.secret import Secret
from tests.core.altering import alter, reference_key
from tests.support.world import MINTER, OPERATOR, STORE, WORKER, World, call

STRANGER = "k8s:commerce/stranger"


@pytest.fixture
def ready(world: World) -> World:
    """A world with one active store."""
    return world.active()


def mint(world: World, seconds: int = 300) -> MintedReference:
    """Mint two uses for the worker."""
    ask = MintAsk(audience=WORKER, max_uses=2, ttl=timedelta(seconds=seconds))
    return world.minter.mint(call(MINTER), STORE, ask)


@pytest.mark.parametrize("identity", [WORKER, MINTER, OPERATOR])
def test_audience_minter_and_whoever_may_read_see_a_live_reference(
    ready: World, identity: str
) -> None:
    """By itself and by its accessor alike, and no use is taken."""
    minted = mint(ready)
    known = KnownReference(minted.accessor, minted.grant, 2)

    assert ready.references.introspect(call(identity), minted.reference) == known
    assert ready.references.get(call(identity), minted.accessor.text) == known
    assert ready.audit.told()[-2:] == [("reference.read", "allowed", "")] * 2
    assert ready.audit.entries[-1].store_hash == STORE


def test_a_stranger_learns_nothing(ready: World) -> None:
    """A reference that may not be known looks like one that is not live."""
    minted = mint(ready)

    assert ready.references.introspect(call(STRANGER), minted.reference) is None
    with pytest.raises(AccessorUnknownError):
        ready.references.get(call(STRANGER), minted.accessor.text)
    assert ready.audit.told()[-2:] == [("reference.read", "denied", "not_visible")] * 2


def test_what_is_not_live_is_not_shown(ready: World) -> None:
    """Unknown, malformed, used up, revoked, expired and altered are the same to whoever holds it, or has minted it."""
    used_up, revoked, expired, altered = (mint(ready, n) for n in (300, 300, 10, 300))
    for _ in range(2):
        ready.uses.take(call(WORKER), used_up.reference, "proxy", lambda _grant: True)
    ready.references.revoke(call(MINTER), revoked.accessor)
    ready.clock.move(timedelta(seconds=10))
    alter(ready, reference_key(altered.accessor), lambda line: line.replace(b"0000002", b"0000003"))
    references = [used_up, revoked, expired, altered]

    for reference in (Secret("garbage"), new_reference(STORE), *(m.reference for m in references)):
        assert ready.references.introspect(call(OPERATOR), reference) is None
    for text in ("garbage", "", *(m.accessor.text for m in references)):
        with pytest.raises(AccessorUnknownError):
            ready.references.get(call(MINTER), text)
    assert ready.observer.counts["security", "uses_altered"] == 2


def test_what_was_altered_is_told_to_whoever_may_read_all_references(ready: World) -> None:
    """F40k: it is not gone, it is broken; nobody can say whose it is, so nobody else is told."""
    minted = mint(ready)
    alter(ready, reference_key(minted.accessor), lambda line: line.replace(b"k1 ", b"k9 ", 1))

    with pytest.raises(IntegrityError):
        ready.references.get(call(OPERATOR), minted.accessor.text)

    assert ready.audit.told()[-1] == ("reference.read", "failed", "key_unavailable")


def test_pages_list_the_first_to_expire_first_without_gap_or_repetition(ready: World) -> None:
    """Every live reference of the store, and only of that store."""
    ready.active("abc456")
    minted = [mint(ready, seconds) for seconds in (50, 10, 40, 20, 30)]
    ready.minter.mint(call(MINTER), "abc456", MintAsk(audience=WORKER))

    pages = []
    after: str | None = ""
    while after is not None:
        known, after = ready.references.page(call(OPERATOR), STORE, after, 2)
        pages.append([entry.accessor for entry in known])

    in_order = [minted[place].accessor for place in (1, 3, 4, 2, 0)]
    assert [accessor for page in pages for accessor in page] == in_order
    assert [len(page) for page in pages] == [2, 2, 1]


def test_pages_leave_out_what_is_no_longer_live(ready: World) -> None:
    """Revoked, used up and altered references are not listed."""
    kept, revoked, used_up, altered, expired = (mint(ready, n) for n in (60, 60, 60, 60, 5))
    ready.references.revoke(call(OPERATOR), revoked.accessor)
    for _ in range(2):
        ready.uses.take(call(WORKER), used_up.reference, "proxy", lambda _grant: True)
    alter(ready, reference_key(altered.accessor), lambda line: line.replace(b"POST", b"GET"))
    ready.clock.move(timedelta(seconds=5))

    known, following = ready.references.page(call(OPERATOR), STORE, "", 10)

    assert [entry.accessor for entry in known] == [kept.accessor]
    assert following is None
    assert expired.accessor not in [entry.accessor for entry in known]


@pytest.mark.parametrize(
    "value", [b"", b"garbage", b"1 0000002 ---------------- 0.0.0.0 k1 mac {}", b"\xff" * 90]
)
def test_one_unreadable_value_does_not_break_a_page(ready: World, value: bytes) -> None:
    """Whoever writes Redis cannot hide the others, and looking at the value itself finds nothing."""
    kept, unreadable, other = (mint(ready, seconds) for seconds in (10, 20, 30))
    alter(ready, reference_key(unreadable.accessor), lambda _line: value)

    known, following = ready.references.page(call(OPERATOR), STORE, "", 10)

    assert [entry.accessor for entry in known] == [kept.accessor, other.accessor]
    assert following is None
    assert ready.references.introspect(call(OPERATOR), unreadable.reference) is None
    assert not ready.references.revoke(call(OPERATOR), unreadable.accessor)


def test_pages_need_policy(ready: World) -> None:
    """Having minted some of them is not enough for the list."""
    with pytest.raises(ForbiddenError):
        ready.references.page(call(MINTER), STORE, "", 10)
