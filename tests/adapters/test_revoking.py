"""``ReferenceTable.revoke…``: at once, completely, and no further than asked."""

from collections.abc import Callable

import pytest
import redis

from service.adapters.redis_link import PARTITION, home
from service.adapters.redis_references import RedisReferences
from service.adapters.redis_stores import RedisStores
from service.core.grant import verified_reference
from service.core.reference import Accessor
from tests.adapters.making import mint, minted, store
from tests.support.clock import START
from tests.support.world import INSTANCE, MINTER, STORE, WORKER, keyring

OTHER = "zzzz99"
NEIGHBOUR = "k8s:commerce/neighbour"


def _verdicts(references: RedisReferences, *used: tuple[Accessor, str]) -> list[str]:
    """Use each as somebody, and return the verdicts."""
    return [references.use(ref, who, "proxy", ("*",), START).verdict for ref, who in used]


def test_a_revoked_reference_stops_working_and_says_so(
    stores: RedisStores, references: RedisReferences
) -> None:
    """It stays marked until it expires, so that a later use is known for what it is."""
    store(stores)
    accessor = mint(references, minted(max_uses=5))
    kept = mint(references, minted())

    revoked = [references.revoke(accessor, STORE) for _ in range(2)]

    looked = references.look(accessor)
    assert revoked == [True, True]
    assert _verdicts(references, (accessor, WORKER), (kept, WORKER)) == ["revoked", "ok"]
    assert looked.reference is not None
    assert verified_reference(keyring(), INSTANCE, accessor, looked.reference).uses_left == 0
    assert stores.read([STORE], START)[0].live_references == 1


def test_revoking_what_is_not_there_is_no_error(references: RedisReferences) -> None:
    """False, and nothing is written."""
    accessor = minted().accessor

    assert not references.revoke(accessor, STORE)
    assert references.look(accessor).verdict == "unknown"


def test_revoking_keeps_the_time_at_which_redis_forgets(
    stores: RedisStores, references: RedisReferences, client: "redis.Redis"
) -> None:
    """A mark that never ended would fill Redis."""
    store(stores)
    accessor = mint(references, minted())

    references.revoke(accessor, STORE)

    assert 0 < client.pttl(home(STORE).key("ref", accessor.text[6:])) <= 300_000


EPOCHS: dict[str, tuple[Callable[[RedisReferences], None], list[str]]] = {
    # which of: this store's for the worker, this store's for a neighbour, another store's for a neighbour
    "store": (lambda table: table.revoke_store(STORE), ["revoked", "revoked", "ok"]),
    "audience": (lambda table: table.revoke_caller(WORKER), ["revoked", "ok", "ok"]),
    "minter": (lambda table: table.revoke_caller(MINTER), ["revoked"] * 3),
    "all": (lambda table: table.revoke_all(), ["revoked"] * 3),
}


@pytest.mark.parametrize("epoch", EPOCHS)
def test_an_epoch_revokes_what_was_minted_before_and_nothing_else(
    stores: RedisStores, references: RedisReferences, epoch: str
) -> None:
    """By store, by caller (minter and audience) and all, in one step each; later ones are good."""
    store(stores)
    store(stores, store_hash=OTHER)
    first = mint(references, minted())
    second = mint(references, minted(audience=NEIGHBOUR))
    third = mint(references, minted(audience=NEIGHBOUR, store_hash=OTHER))
    raise_epoch, expected = EPOCHS[epoch]

    raise_epoch(references)

    later = mint(references, minted())
    verdicts = _verdicts(references, (first, WORKER), (second, NEIGHBOUR), (third, NEIGHBOUR))
    assert verdicts == expected
    assert _verdicts(references, (later, WORKER)) == ["ok"]


def test_an_epoch_raised_twice_stays_revoked(
    stores: RedisStores, references: RedisReferences
) -> None:
    """A reply that was lost is asked for again and revives nothing."""
    store(stores)
    accessor = mint(references, minted())

    for _ in range(2):
        references.revoke_store(STORE)

    assert references.look(accessor).verdict == "revoked"


@pytest.mark.parametrize("epoch", ["store", "all"])
def test_revoking_a_store_or_all_empties_the_count_of_live_references(
    stores: RedisStores, references: RedisReferences, epoch: str
) -> None:
    """The store document shows none at once."""
    store(stores)
    mint(references, minted())

    EPOCHS[epoch][0](references)

    assert stores.read([STORE], START)[0].live_references == 0


def test_revoking_all_reaches_every_partition(
    references: RedisReferences, client: "redis.Redis"
) -> None:
    """Each partition keeps its own epoch, so that a use asks one slot only."""
    references.revoke_all()

    raised = {tag for tag, where in PARTITION.items() if client.hget(where.epochs, "all") == b"1"}
    assert raised == set(PARTITION)
