"""``ReferenceTable.mint``: what is stored, when it is not, and for how long."""

from datetime import timedelta

import pytest
import redis

from service.adapters.redis_link import RedisLink, home
from service.adapters.redis_references import RedisReferences
from service.adapters.redis_stores import RedisStores
from service.core.grant import verified_reference
from service.core.reference import accessor_of, new_reference
from tests.adapters.making import begin, mint, minted, store
from tests.support.clock import START
from tests.support.world import INSTANCE, MINTER, STORE, WORKER, keyring

INDEX = home(STORE).key("refs", STORE)


def test_a_minted_reference_is_stored_as_it_was_signed(
    stores: RedisStores, references: RedisReferences
) -> None:
    """What comes back verifies, and holds the grant."""
    store(stores)
    accessor = mint(references, minted(max_uses=3))

    taken = references.look(accessor)

    assert taken.verdict == "ok"
    assert taken.reference is not None
    stored = verified_reference(keyring(), INSTANCE, accessor, taken.reference)
    assert (stored.grant.audience, stored.grant.minted_by) == (WORKER, MINTER)
    assert stored.uses_left == 3


def test_minting_for_an_unknown_store_stores_nothing(
    references: RedisReferences, client: "redis.Redis"
) -> None:
    """No store, no reference."""
    outcome = references.mint(minted(), START)

    assert outcome == "store_unknown"
    assert client.keys("*:ref*") == []


@pytest.mark.parametrize("status", ["pending", "rejected", "needs_credential", "quarantined"])
def test_minting_for_a_store_that_is_not_active_gives_its_status(
    stores: RedisStores, references: RedisReferences, status: str
) -> None:
    """A reference to nothing is not handed out."""
    store(stores, f"1 {status} 0 k1 mac body".encode())
    reference = minted()

    outcome = references.mint(reference, START)

    assert outcome == status
    assert references.look(reference.accessor).verdict == "unknown"


def test_minting_while_the_active_store_is_issued_for_works(
    stores: RedisStores, references: RedisReferences
) -> None:
    """A rotation does not interrupt minting."""
    begin(stores)

    assert references.mint(minted(), START) == "ok"


def test_minting_for_a_record_of_another_format_is_refused(
    references: RedisReferences, client: "redis.Redis"
) -> None:
    """A record that cannot be read is taken for a quarantined store."""
    client.set(home(STORE).key("store", STORE), b"2 active 1 something newer")

    assert references.mint(minted(), START) == "quarantined"


def test_minting_again_gives_the_same_answer_and_one_reference(
    stores: RedisStores, references: RedisReferences
) -> None:
    """A reply that was lost is asked for again and changes nothing."""
    store(stores)
    reference = minted(max_uses=2)

    answers = [references.mint(reference, START) for _ in range(2)]

    assert answers == ["ok", "ok"]
    assert stores.read([STORE], START)[0].live_references == 1
    assert references.use(reference.accessor, WORKER, "proxy", ("*",), START).verdict == "ok"


def test_a_reference_of_another_partition_does_not_exist(
    stores: RedisStores, references: RedisReferences
) -> None:
    """The accessor of one store's partition finds nothing elsewhere."""
    store(stores)
    mint(references, minted())

    assert references.look(accessor_of(new_reference("zzzz99"))).verdict == "unknown"


def test_the_record_and_the_index_end_by_themselves(
    stores: RedisStores, references: RedisReferences, client: "redis.Redis"
) -> None:
    """Redis forgets a reference when it expires; the index lives as long as the longest of them."""
    store(stores)
    long = mint(references, minted(ttl=timedelta(minutes=10)))
    mint(references, minted(ttl=timedelta(minutes=1)))

    reference_ttl = client.pttl(home(STORE).key("ref", long.text[6:]))
    index_ttl = client.pttl(INDEX)

    assert 590_000 < reference_ttl <= 600_000
    assert 590_000 < index_ttl <= 600_000


def test_each_mint_sweeps_a_few_expired_references_from_the_index(
    stores: RedisStores, references: RedisReferences, client: "redis.Redis"
) -> None:
    """The index does not grow beyond what is live by much, and no call sweeps many."""
    store(stores)
    for _ in range(6):
        mint(references, minted(ttl=timedelta(minutes=1)))
    later = START + timedelta(minutes=2)

    sizes = []
    for _ in range(3):
        mint(references, minted(now=later), later)
        sizes.append(client.zcard(INDEX))

    assert sizes == [3, 2, 3]


def test_a_live_reference_takes_at_most_700_bytes(
    valkey: "redis.Redis", real_link: RedisLink
) -> None:
    """Measured on a real Valkey over 5,000 references with a realistic grant."""
    store(RedisStores(real_link))
    references = RedisReferences(real_link)
    scope = ("GET /api/v3/io/companies/**", "GET /api/v3/io/orders/**")
    mint(references, minted(requests=scope))
    before = valkey.info("memory")["used_memory"]

    for _ in range(5_000):
        mint(references, minted(requests=scope, max_uses=100))

    each = (valkey.info("memory")["used_memory"] - before) / 5_000
    assert 100 < each <= 700
