"""References and stores that were altered in Redis: nothing is released, and nothing is widened."""

from datetime import datetime
from typing import Any

import pytest

from service.adapters.redis_references import RedisReferences
from service.core.errors import (
    BrokerError,
    ReferenceInvalidError,
    StoreNotActiveError,
)
from service.core.minting import MintedReference
from service.core.policy import Access, MintAsk
from service.core.reference import Accessor
from service.core.reference_ports import Taken
from service.core.uses import Use
from tests.core.altering import Change, alter, reference_key, store_key, stored, swap
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


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda line: line.replace(b"0000002", b"0000009"), "uses_altered"),
        (lambda line: line.replace(b'"max_uses":2', b'"max_uses":9'), "mac_mismatch"),
        (lambda line: line.replace(b'"max_uses":2', b'"max_uses":null'), "mac_mismatch"),
        (lambda line: line.replace(b"GET /api", b"PUT /api"), "mac_mismatch"),
        (lambda line: line.replace(b" k1 ", b" k9 "), "key_unavailable"),
        (lambda line: line.replace(b" k1 ", b" \xff "), "malformed"),
        (lambda line: line.replace(b" k1 ", b" k1 !"), "mac_mismatch"),
        (lambda line: line.replace(b'"max_uses":2', b'"max_uses":2,'), "altered"),
        (lambda line: line.replace(b'"audience":"', b'"audience":["'), "altered"),
        (lambda line: line.replace(b'"store_hash":"abc123"', b'"store_hash":1'), "altered"),
        (lambda line: line.replace(b"minted_by", b"minted_to"), "altered"),
        (lambda line: line.replace(b"0000002", b"-------"), "altered"),
        (lambda line: line.replace(b"0000002", b"00000x2"), "altered"),
        (lambda line: line.replace(b"1 0000002", b"2 0000002"), "altered"),
        (lambda _line: b"garbage", "altered"),
        (lambda _line: b"", "altered"),
        (lambda line: line[: line.index(b"{") + 1] + b"[" * 5_000, "altered"),
    ],
)
def test_an_altered_reference_releases_nothing(ready: World, change: Change, reason: str) -> None:
    """Whoever writes Redis causes refusals, each of them a security event."""
    minted = mint(ready, max_uses=2)
    alter(ready, reference_key(minted.accessor), change)

    refused = refusal(ready, minted)

    assert isinstance(refused, ReferenceInvalidError)
    assert refused.reason == reason
    assert ready.observer.counts["security", refused.reason] == 1
    assert ready.audit.told()[-1] == ("reference.use", "denied", refused.reason)


def test_an_audience_altered_in_redis_releases_nothing_to_either(ready: World) -> None:
    """Redis says yes to the thief, the MAC does not."""
    minted = mint(ready)
    alter(
        ready,
        reference_key(minted.accessor),
        lambda line: line.replace(WORKER.encode(), STRANGER.encode()),
    )

    assert refusal(ready, minted, STRANGER).reason == "mac_mismatch"
    assert refusal(ready, minted).reason == "wrong_caller"


def test_references_that_were_exchanged_in_redis_release_nothing(ready: World) -> None:
    """Each grant is bound to its accessor."""
    one, other = mint(ready), mint(ready, max_uses=1)
    swap(ready, reference_key(one.accessor), reference_key(other.accessor))

    assert refusal(ready, one).reason == "mac_mismatch"
    assert refusal(ready, other).reason == "mac_mismatch"


def test_a_record_copied_over_another_store_releases_nothing_though_it_was_opened_before(
    ready: World,
) -> None:
    """What is kept open in memory is good only for the store that it was verified for."""
    ready.active("abc456")
    ask = MintAsk(audience=WORKER)
    use(ready, ready.minter.mint(call(MINTER), "abc456", ask))
    minted = mint(ready)
    ready.redis.set(store_key(STORE), stored(ready, store_key("abc456")))

    refused = refusal(ready, minted)

    assert isinstance(refused, StoreNotActiveError)
    assert refused.reason == "quarantined"


def test_stores_that_were_exchanged_in_redis_release_nothing(ready: World) -> None:
    """A reference to one store never gives the token of another."""
    ready.active("abc456")
    minted = mint(ready)
    swap(ready, store_key(STORE), store_key("abc456"))

    refused = refusal(ready, minted)

    assert isinstance(refused, StoreNotActiveError)
    assert refused.reason == "quarantined"
    assert ready.observer.counts["security", "mac_mismatch"] == 1
    assert ready.audit.told()[-1] == ("reference.use", "failed", "mac_mismatch")


@pytest.mark.parametrize(
    "change",
    [
        lambda line: line.replace(b'"sealed":"AQ', b'"sealed":"AR'),
        lambda line: line.replace(b'"reason":""', b'"reason":"x"'),
        lambda line: line.replace(b"1 active 1 ", b"1 active 2 "),
    ],
)
def test_an_altered_store_record_releases_nothing(ready: World, change: Change) -> None:
    """Also right after it was opened and cached."""
    minted = mint(ready)
    use(ready, minted)
    alter(ready, store_key(STORE), change)

    assert refusal(ready, minted).reason == "quarantined"


def test_a_store_that_is_not_active_releases_nothing_and_takes_no_use(ready: World) -> None:
    """The caller is told the store's trouble, not the reference's."""
    minted = mint(ready, max_uses=1)
    alter(ready, store_key(STORE), lambda line: line.replace(b"1 active ", b"1 pending "))

    refused = refusal(ready, minted)

    assert isinstance(refused, StoreNotActiveError)
    assert refused.reason == "store_not_active"
    assert uses_left(ready, minted) == 1


def test_a_store_that_is_gone_makes_its_references_invalid(ready: World) -> None:
    """Without its record there is nothing to release."""
    minted = mint(ready, max_uses=1)
    ready.redis.delete(store_key(STORE))

    assert refusal(ready, minted).reason == "store_unknown"


def test_a_grant_that_redis_misread_is_refused(ready: World) -> None:
    """What Redis checked is checked again on the verified grant."""
    minted = mint(ready, access="redeem")
    taken = ready.references_table.use(minted.accessor, WORKER, "redeem", ("*",), ready.clock())

    class Lying(RedisReferences):
        """Redis that lets everything pass."""

        def use(
            self,
            accessor: Accessor,
            identity: str,
            access: Access,
            stores: tuple[str, ...],
            now: datetime,
            endpoint: str = "",
        ) -> Taken:
            """See ``ReferenceTable.use``."""
            del accessor, identity, access, stores, now, endpoint
            return taken

    ready.uses._table = Lying(ready.link)

    with pytest.raises(ReferenceInvalidError) as refused:
        ready.uses.take(call(STRANGER), minted.reference, "proxy", lambda _grant: True)

    assert refused.value.reason == "grant_disagrees"
    assert ready.observer.counts["security", "grant_disagrees"] == 1


def test_looking_at_an_altered_reference_is_a_security_event(world: World) -> None:
    """Whoever looks is told that there is none; the operator learns that somebody wrote into Redis."""
    minted = world.active().minter.mint(call(MINTER), STORE, MintAsk(audience=WORKER))
    alter(world, reference_key(minted.accessor), lambda _line: b"garbage")

    assert world.references.introspect(call(WORKER), minted.reference) is None
    assert world.observer.counts["security", "altered"] == 1
