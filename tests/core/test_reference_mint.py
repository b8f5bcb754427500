"""Minting: what the grant allows, of a store that is active, and recorded."""

from datetime import timedelta

import pytest

from service.core.errors import (
    AuditError,
    CredentialRefusedError,
    ForbiddenError,
    LockedError,
    StoreNotActiveError,
    StoreUnknownError,
)
from service.core.grant import Grant
from service.core.policy import MintAsk
from service.core.reference import accessor_of
from tests.core.altering import alter, reference_key, store_key, stored
from tests.support.upstream import PASSWORD
from tests.support.world import MINTER, OPERATOR, STORE, WORKER, World, call


def test_a_reference_is_minted_as_policy_decides(world: World) -> None:
    """The grant is what was asked, narrowed to the limits, and the reference is shown nowhere but here."""
    world.active()

    minted = world.minter.mint(call(MINTER), STORE, MintAsk(audience=WORKER, max_uses=3))

    assert minted.grant == Grant(
        store_hash=STORE,
        audience=WORKER,
        access="proxy",
        requests=("GET /api/v3/io/companies/**", "POST /api/v3/io/orders"),
        max_uses=3,
        minted_by=MINTER,
        minted_at=world.clock(),
        expires_at=world.clock() + timedelta(minutes=5),
    )
    assert minted.accessor == accessor_of(minted.reference)
    assert world.observer.counts["reference", "mint", "ok"] == 1
    entry = world.audit.entries[-1]
    assert (entry.accessor, entry.subject) == (minted.accessor.text, WORKER)
    assert world.audit.told()[-1] == ("reference.mint", "allowed", "minter")


def test_neither_reference_nor_token_is_readable_in_redis(world: World) -> None:
    """A stolen dump gives no usable reference."""
    world.active()

    minted = world.minter.mint(call(MINTER), STORE, MintAsk(audience=WORKER))

    dump = b"".join(
        [*map(str.encode, map(str, world.redis.keys())), stored(world, store_key(STORE))]
    ) + stored(world, reference_key(minted.accessor))
    assert minted.reference.reveal()[6:].encode() not in dump
    assert world.upstream.ledger[0].value.encode() not in dump
    assert PASSWORD.encode() not in dump


def test_redis_forgets_a_reference_when_it_expires(world: World) -> None:
    """Nobody has to sweep."""
    world.active()

    minted = world.minter.mint(
        call(MINTER), STORE, MintAsk(audience=WORKER, ttl=timedelta(minutes=2))
    )

    left = world.redis.pttl(reference_key(minted.accessor))
    assert isinstance(left, int)
    assert 100_000 < left <= 120_000


@pytest.mark.parametrize(
    "ask",
    [
        MintAsk(audience="k8s:commerce/stranger"),
        MintAsk(ttl=timedelta(minutes=16)),
        MintAsk(requests=("GET /api/v3/io/users",)),
    ],
)
def test_what_policy_does_not_allow_is_not_minted(world: World, ask: MintAsk) -> None:
    """Nothing is stored, and the denial is recorded with the condition that failed."""
    world.active()

    with pytest.raises(ForbiddenError) as refused:
        world.minter.mint(call(MINTER), STORE, ask)

    assert world.audit.told()[-1] == ("reference.mint", "denied", refused.value.reason)
    assert world.stores.get(call(OPERATOR), STORE).live_references == 0


def test_there_is_no_reference_to_an_unknown_store(world: World) -> None:
    """It is recorded, because somebody asked for it."""
    with pytest.raises(StoreUnknownError):
        world.minter.mint(call(MINTER), STORE, MintAsk())

    assert world.audit.told() == [("reference.mint", "denied", "store_unknown")]


def test_there_is_no_reference_to_a_store_that_is_not_active(world: World) -> None:
    """The reason is the store's status."""

    def refuse() -> None:
        raise CredentialRefusedError("no", reason="role_forbidden")

    world.upstream.before_issue = refuse
    with pytest.raises(CredentialRefusedError):
        world.active()

    with pytest.raises(StoreNotActiveError) as refused:
        world.minter.mint(call(MINTER), STORE, MintAsk())

    assert refused.value.reason == "rejected"


@pytest.mark.parametrize("line", [b"garbage", b"", b"1 canary-word 1 ", b"2 active 1 "])
def test_there_is_no_reference_to_a_store_whose_record_is_unreadable(
    world: World, line: bytes
) -> None:
    """What is no record, or one of a status that nobody writes, counts as quarantined and is not repeated."""
    world.active()
    alter(world, store_key(STORE), lambda _line: line)

    with pytest.raises(StoreNotActiveError) as refused:
        world.minter.mint(call(MINTER), STORE, MintAsk())

    assert refused.value.reason == "quarantined"
    assert world.audit.told()[-1] == ("reference.mint", "denied", "quarantined")
    assert world.observer.counts["reference", "mint", "quarantined"] == 1


def test_no_reference_is_released_when_it_cannot_be_recorded(world: World) -> None:
    """No record, no reference."""
    world.active()
    world.audit.broken = True

    with pytest.raises(AuditError):
        world.minter.mint(call(MINTER), STORE, MintAsk())


def test_nothing_is_minted_while_locked(world: World) -> None:
    """A grant needs a MAC."""
    world.active()
    world.ring = None

    with pytest.raises(LockedError):
        world.minter.mint(call(MINTER), STORE, MintAsk())
