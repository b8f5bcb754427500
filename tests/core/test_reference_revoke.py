"""Revoking: one, all of a store, all of a caller, or all, at once and for ever."""

from collections.abc import Callable

import pytest

from service.core.errors import AuditError, ForbiddenError, ReferenceInvalidError
from service.core.minting import MintedReference
from service.core.policy import AccessGrant, MintAsk, Policy
from service.core.reference import accessor_of, new_reference
from tests.support.world import MINTER, OPERATOR, STORE, WORKER, World, call

STRANGER = "k8s:commerce/stranger"
ONE_STORE = Policy((AccessGrant("one", ("corp:dev-*",), (STORE,), ("reference.revoke",)),))


@pytest.fixture
def ready(world: World) -> World:
    """A world with two active stores."""
    return world.active().active("abc456")


def mint(world: World, store_hash: str = STORE, audience: str = WORKER) -> MintedReference:
    """Mint without a limit."""
    return world.minter.mint(call(MINTER), store_hash, MintAsk(audience=audience))


def works(world: World, minted: MintedReference) -> bool:
    """Use a reference, and tell whether that was possible."""
    try:
        world.uses.take(call(minted.grant.audience), minted.reference, "proxy", lambda _grant: True)
    except ReferenceInvalidError as error:
        assert error.reason == "revoked"  # noqa: PT017 — both outcomes are asked for, and any other is a failure
        return False
    return True


@pytest.mark.parametrize("identity", [MINTER, OPERATOR])
def test_the_minter_and_whoever_policy_allows_can_revoke_one(ready: World, identity: str) -> None:
    """It stops at once, also in another process, and no other reference does."""
    revoked, other = mint(ready), mint(ready)
    assert works(ready, revoked)

    done = ready.references.revoke(call(identity), revoked.accessor)

    assert done
    assert not works(ready, revoked)
    assert not works(World(ready.redis), revoked)
    assert works(ready, other)
    told = [entry for entry in ready.audit.told() if entry[0] == "reference.revoke"]
    assert [entry[1:] for entry in told] == [("started", "revoke"), ("allowed", "revoked")]
    assert ready.observer.counts["reference", "revoke", "ok"] == 1


@pytest.mark.parametrize("identity", [WORKER, STRANGER])
def test_nobody_else_can_revoke_a_live_reference(ready: World, identity: str) -> None:
    """Its audience did not give it and cannot take it."""
    minted = mint(ready)

    with pytest.raises(ForbiddenError):
        ready.references.revoke(call(identity), minted.accessor)

    assert works(ready, minted)


def test_revoking_what_is_not_live_is_no_error(ready: World) -> None:
    """RFC 7009: whoever revokes wants it gone, and it is."""
    minted = mint(ready)
    ready.references.revoke(call(MINTER), minted.accessor)

    for accessor in (None, accessor_of(new_reference(STORE)), minted.accessor):
        assert not ready.references.revoke(call(STRANGER), accessor)
    assert ready.audit.told()[-3:] == [("reference.revoke", "allowed", "not_live")] * 3


@pytest.mark.parametrize(
    ("revoke", "ended"),
    [
        pytest.param(
            lambda world: world.references.revoke_store(call(OPERATOR), STORE),
            {"abc123 for worker", "abc123 for minter"},
            id="store",
        ),
        pytest.param(
            lambda world: world.references.revoke_caller(call(OPERATOR), WORKER),
            {"abc123 for worker", "abc456 for worker"},
            id="audience",
        ),
        pytest.param(
            lambda world: world.references.revoke_caller(call(OPERATOR), MINTER),
            {"abc123 for worker", "abc456 for worker", "abc123 for minter", "abc456 for minter"},
            id="minter",
        ),
        pytest.param(
            lambda world: world.references.revoke_caller(call(OPERATOR), STRANGER),
            set(),
            id="stranger",
        ),
        pytest.param(
            lambda world: world.references.revoke_all(call(OPERATOR)),
            {"abc123 for worker", "abc456 for worker", "abc123 for minter", "abc456 for minter"},
            id="all",
        ),
    ],
)
def test_revoking_many_ends_exactly_what_was_minted_before(
    ready: World, revoke: Callable[[World], None], ended: set[str]
) -> None:
    """In both stores' partitions, at once; what is minted afterwards works."""
    minted = {
        f"{store_hash} for {name}": mint(ready, store_hash, audience)
        for store_hash in (STORE, "abc456")
        for name, audience in (("worker", WORKER), ("minter", MINTER))
    }

    revoke(ready)

    assert {name for name, reference in minted.items() if not works(ready, reference)} == ended
    assert works(ready, mint(ready))
    assert works(ready, mint(ready, "abc456"))


def test_revoking_a_store_empties_its_page_and_count(ready: World) -> None:
    """What is shown agrees with what works."""
    for _ in range(3):
        mint(ready)
    mint(ready, "abc456")

    ready.references.revoke_store(call(OPERATOR), STORE)

    assert ready.references.page(call(OPERATOR), STORE, "", 10) == ([], None)
    assert ready.stores.get(call(OPERATOR), STORE).live_references == 0
    assert ready.stores.get(call(OPERATOR), "abc456").live_references == 1


@pytest.mark.parametrize(
    "revoke",
    [
        pytest.param(
            lambda world: world.references.revoke_store(call("corp:dev-bo", ONE_STORE), "abc456"),
            id="another store",
        ),
        pytest.param(
            lambda world: world.references.revoke_caller(call("corp:dev-bo", ONE_STORE), WORKER),
            id="caller",
        ),
        pytest.param(
            lambda world: world.references.revoke_all(call("corp:dev-bo", ONE_STORE)), id="all"
        ),
        pytest.param(lambda world: world.references.revoke_store(call(MINTER), STORE), id="minter"),
        pytest.param(
            lambda world: world.references.revoke_caller(call(MINTER), MINTER),
            id="the caller's own",
        ),
    ],
)
def test_revoking_many_needs_policy_for_all_that_it_concerns(
    ready: World, revoke: Callable[[World], None]
) -> None:
    """A grant for one store is not enough to revoke across stores."""
    minted = [mint(ready), mint(ready, "abc456")]

    with pytest.raises(ForbiddenError):
        revoke(ready)

    assert all(works(ready, reference) for reference in minted)
    assert any(outcome == "denied" for _, outcome, _ in ready.audit.told())


@pytest.mark.parametrize(
    "revoke",
    [
        lambda world, one: world.references.revoke(call(OPERATOR), one.accessor),
        lambda world, _one: world.references.revoke_store(call(OPERATOR), STORE),
        lambda world, _one: world.references.revoke_caller(call(OPERATOR), WORKER),
        lambda world, _one: world.references.revoke_all(call(OPERATOR)),
    ],
    ids=["one", "store", "caller", "all"],
)
def test_a_revocation_holds_also_when_it_cannot_be_recorded(
    ready: World, revoke: Callable[[World, MintedReference], None]
) -> None:
    """A full disk must not keep a leaked reference alive; whoever asked is told what is missing."""
    minted = mint(ready)
    ready.audit.broken = True

    with pytest.raises(AuditError, match="It is revoked"):
        revoke(ready, minted)

    ready.audit.broken = False
    assert not works(ready, minted)


def test_each_revocation_is_recorded(ready: World) -> None:
    """Before and after, with what was revoked, and whose."""
    ready.references.revoke_store(call(OPERATOR), STORE)
    ready.references.revoke_caller(call(OPERATOR), WORKER)
    ready.references.revoke_all(call(OPERATOR))

    assert [told[1:] for told in ready.audit.told()[-6:]] == [
        ("started", "revoke_store"),
        ("allowed", "revoked_store"),
        ("started", "revoke_caller"),
        ("allowed", "revoked_caller"),
        ("started", "revoke_all"),
        ("allowed", "revoked_all"),
    ]
    assert [(entry.store_hash, entry.subject) for entry in ready.audit.entries[-6::2]] == [
        (STORE, ""),
        ("*", WORKER),
        ("*", ""),
    ]
