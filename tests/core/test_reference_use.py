"""Using references: the right caller, store, access, scope, time and number of uses, and nothing else."""

from datetime import timedelta
from typing import Any

import pytest

from service.core.errors import (
    AuditError,
    BrokerError,
    ForbiddenError,
    LockedError,
    ReferenceInvalidError,
    ScopeError,
)
from service.core.minting import MintedReference
from service.core.policy import AccessGrant, MintAsk, Policy
from service.core.reference import new_reference
from service.core.secret import Secret
from service.core.uses import Use
from tests.core.altering import reference_key
from tests.support.world import MINTER, OPERATOR, STORE, WORKER, World, call

STRANGER = "k8s:commerce/stranger"


@pytest.fixture
def ready(world: World) -> World:
    """A world with one active store."""
    return world.active()


def mint(world: World, **ask: Any) -> MintedReference:
    """Mint for the worker."""
    return world.minter.mint(call(MINTER), STORE, MintAsk(**{"audience": WORKER, **ask}))


def use(world: World, minted: MintedReference, identity: str = WORKER) -> Use:
    """Use it as it was meant."""
    return world.uses.take(
        call(identity), minted.reference, minted.grant.access, lambda _grant: True
    )


def refusal(world: World, minted: MintedReference, identity: str = WORKER) -> BrokerError:
    """Return why a use is refused."""
    with pytest.raises(BrokerError) as refused:
        use(world, minted, identity)
    return refused.value


def uses_left(world: World, minted: MintedReference) -> int | None:
    """Return how many uses a live reference has left."""
    return world.references.get(call(OPERATOR), minted.accessor.text).uses_left


def test_redeeming_releases_the_headers_once(ready: World) -> None:
    """A reference to redeem is good for one use unless more were asked for."""
    minted = mint(ready, access="redeem")

    used = use(ready, minted)
    again = refusal(ready, minted)

    token = ready.upstream.ledger[0].value
    assert {name: value.reveal() for name, value in used.headers.items()} == {"authToken": token}
    assert (used.token.secret.reveal(), used.accessor) == (token, minted.accessor)
    assert isinstance(again, ReferenceInvalidError)
    assert again.reason == "used_up"
    assert ready.observer.counts["security", "used_up"] == 1
    assert ready.audit.told()[-2:] == [
        ("reference.redeem", "allowed", ""),
        ("reference.redeem", "denied", "used_up"),
    ]


def test_a_reference_is_good_for_exactly_its_uses(ready: World) -> None:
    """Each one counts down; the number left can be looked up."""
    minted = mint(ready, max_uses=3)

    left = []
    for _ in range(2):
        use(ready, minted)
        left.append(uses_left(ready, minted))
    use(ready, minted)

    assert left == [2, 1]
    assert refusal(ready, minted).reason == "used_up"


def test_a_reference_without_a_limit_can_be_used_until_it_expires(ready: World) -> None:
    """And then not once more, though Redis still has it."""
    minted = mint(ready, ttl=timedelta(minutes=1))
    for _ in range(5):
        use(ready, minted)
    ready.clock.move(timedelta(seconds=59))
    use(ready, minted)
    ready.clock.move(timedelta(seconds=1))

    refused = refusal(ready, minted)

    assert isinstance(refused, ReferenceInvalidError)
    assert refused.reason == "expired"
    assert ready.redis.exists(reference_key(minted.accessor))
    assert ready.audit.told()[-1] == ("reference.use", "denied", "expired")


@pytest.mark.parametrize("identity", [STRANGER, MINTER, OPERATOR])
def test_the_wrong_caller_is_refused_and_takes_no_use(ready: World, identity: str) -> None:
    """Whoever holds a reference that is not theirs is a security event, the minter included."""
    minted = mint(ready, max_uses=1)

    refused = refusal(ready, minted, identity)

    assert isinstance(refused, ReferenceInvalidError)
    assert refused.reason == "wrong_caller"
    assert ready.observer.counts["security", "wrong_caller"] == 1
    assert ready.audit.told()[-1] == ("reference.use", "denied", "wrong_caller")
    assert ready.audit.entries[-1].caller == identity
    assert uses_left(ready, minted) == 1


@pytest.mark.parametrize(("minted_for", "used_for"), [("proxy", "redeem"), ("redeem", "proxy")])
def test_a_reference_is_good_for_its_own_access_only(
    ready: World, minted_for: Any, used_for: Any
) -> None:
    """A reference to proxy never gives the token away; no use is taken."""
    minted = mint(ready, access=minted_for, max_uses=1)

    with pytest.raises(ReferenceInvalidError) as refused:
        ready.uses.take(call(WORKER), minted.reference, used_for, lambda _grant: True)

    assert refused.value.reason == "wrong_access"
    assert uses_left(ready, minted) == 1


def test_redeeming_needs_policy_for_the_store_and_takes_no_use_without(ready: World) -> None:
    """The reference alone is not enough."""
    minted = mint(ready, access="redeem")
    elsewhere = Policy((AccessGrant("w", (WORKER,), ("xyz*", "abc"), ("reference.redeem",)),))

    with pytest.raises(ForbiddenError) as refused:
        ready.uses.take(call(WORKER, elsewhere), minted.reference, "redeem", lambda _grant: True)

    assert refused.value.reason == "stores"
    assert ready.audit.told()[-1] == ("reference.redeem", "denied", "store_forbidden")
    assert uses_left(ready, minted) == 1


def test_redeeming_needs_the_action(ready: World) -> None:
    """Without it, Redis is not even asked."""
    minted = ready.minter.mint(call(MINTER), STORE, MintAsk(access="redeem"))

    refused = refusal(ready, minted, MINTER)

    assert isinstance(refused, ForbiddenError)
    assert ready.audit.told()[-1] == ("reference.redeem", "denied", "actions")
    assert uses_left(ready, minted) == 1


def test_a_request_outside_the_scope_gets_no_token(ready: World) -> None:
    """The scope is matched on the verified grant, and the denial is recorded."""
    minted = mint(ready)

    with pytest.raises(ScopeError):
        ready.uses.take(call(WORKER), minted.reference, "proxy", lambda _grant: False)

    assert ready.audit.told()[-1] == ("reference.use", "denied", "request_scope")
    assert ready.audit.entries[-1].store_hash == STORE


@pytest.mark.parametrize("text", ["", "garbage", "cbr_", "eyJhbGciOiJIUzI1NiJ9.e30.sig"])
def test_what_is_no_reference_is_refused_and_recorded(ready: World, text: str) -> None:
    """The caller is told no more than for any other invalid reference."""
    with pytest.raises(ReferenceInvalidError) as refused:
        ready.uses.take(call(WORKER), Secret(text), "proxy", lambda _grant: True)

    assert refused.value.reason == "malformed"
    assert ready.audit.told()[-1] == ("reference.use", "denied", "malformed")
    assert ready.observer.counts["reference", "use", "malformed"] == 1


def test_all_invalid_references_get_the_same_answer(ready: World) -> None:
    """Only the audit trail knows which it was."""
    used_up, expired, revoked = (
        mint(ready, max_uses=1),
        mint(ready, ttl=timedelta(seconds=1)),
        mint(ready),
    )
    use(ready, used_up)
    ready.references.revoke(call(MINTER), revoked.accessor)
    ready.clock.move(timedelta(seconds=1))
    unknown = MintedReference(new_reference(STORE), used_up.accessor, used_up.grant)

    errors = [refusal(ready, minted) for minted in (used_up, expired, revoked, unknown)]

    assert {(type(error), error.detail) for error in errors} == {
        (ReferenceInvalidError, "The reference is not valid for this request.")
    }
    assert [error.reason for error in errors] == ["used_up", "expired", "revoked", "unknown"]


def test_nothing_is_released_when_it_cannot_be_recorded(ready: World) -> None:
    """The use is lost and the token stays."""
    minted = mint(ready, access="redeem", max_uses=2)
    ready.audit.broken = True

    assert isinstance(refusal(ready, minted), AuditError)
    assert isinstance(refusal(ready, minted, STRANGER), AuditError)


def test_nothing_is_released_while_locked(ready: World) -> None:
    """Not even a token that was opened before; no use is taken."""
    minted = mint(ready, max_uses=2)
    use(ready, minted)
    ready.ring = None
    locked = refusal(ready, minted)
    ready.ring = World().ring

    assert isinstance(locked, LockedError)
    assert uses_left(ready, minted) == 1
