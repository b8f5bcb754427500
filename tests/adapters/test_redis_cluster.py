"""A cluster: slots that move while they are used, primaries that die, and a map that is looked up again."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from sandbox.demo.processes import wait_until
from service.adapters.redis_link import PARTITION, RedisLink, home
from service.adapters.redis_references import RedisReferences
from service.adapters.redis_stores import RedisStores
from service.core.errors import StorageError
from tests.adapters.making import ACTIVE, linked_to, mint, minted, store
from tests.support.clock import START
from tests.support.redis_shards import Shards
from tests.support.world import STORE, WORKER

# One store for each of many partitions, so that some lie on each node.
STORES = [f"store{number}" for number in range(30)]


def _reason(ask: Callable[[], object]) -> str:
    """Return why Redis did not do something; empty if it did."""
    try:
        ask()
    except StorageError as error:
        return error.reason
    return ""


def _reading(link: RedisLink, store_hash: str) -> str:
    """Return why a store cannot be read; empty if it can."""
    return _reason(lambda: RedisStores(link).read([store_hash], START))


def test_what_is_asked_of_all_partitions_is_asked_of_each_node_once(
    shards: Shards, cluster_link: RedisLink
) -> None:
    """Three primaries, three round trips, and the answers in the order of the questions."""
    stores = RedisStores(cluster_link)
    for store_hash in STORES:
        store(stores, store_hash=store_hash)

    groups = cluster_link._nodes.groups([where.stores for where in PARTITION.values()])

    assert (len(groups), sum(map(len, groups))) == (len(shards.primaries()), 64)
    assert stores.page("", 100) == sorted(STORES)
    assert [view.line for view in stores.read([*STORES, "unknown"], START)] == [
        *[ACTIVE] * len(STORES),
        None,
    ]


def test_a_slot_moves_while_it_is_used(shards: Shards, cluster_link: RedisLink) -> None:
    """MOVED: the link goes where the slot went, with the same call, and exactly one use is taken."""
    store(RedisStores(cluster_link))
    references = RedisReferences(cluster_link)
    accessor = mint(references, minted(max_uses=1))

    with shards.moving(home(STORE).epochs):
        pass
    first = references.use(accessor, WORKER, "proxy", ("*",), START)
    second = references.use(accessor, WORKER, "proxy", ("*",), START)

    assert (first.verdict, second.verdict) == ("ok", "used_up")


def test_what_moved_ahead_of_its_slot_is_followed(shards: Shards, cluster_link: RedisLink) -> None:
    """ASK: keys that are on the other node already are asked for there, alone or among others."""
    stores, references = RedisStores(cluster_link), RedisReferences(cluster_link)
    store(stores)
    references.revoke_store(
        STORE
    )  # so that there are epochs, and nothing that is asked for is missing
    accessor = mint(references, minted(max_uses=1))

    with shards.moving(home(STORE).epochs) as move:
        move(lambda _: True)
        before = references.look(accessor)
        references.revoke_caller(WORKER)
        after = references.look(accessor)

    assert (before.verdict, after.verdict) == ("ok", "revoked")


@pytest.mark.parametrize(
    ("moved", "reason"),
    [(":epochs", "redis_TryAgainError"), (":store:", "redis_ResponseError")],
    ids=["a key that is named", "a key that the script finds"],
)
def test_half_a_partition_is_waited_for_and_told(
    shards: Shards, cluster_link: RedisLink, moved: str, reason: str
) -> None:
    """Some of a script's keys have moved and some have not: it is tried for a moment, and nothing happens twice."""
    store(RedisStores(cluster_link))
    references = RedisReferences(cluster_link)
    references.revoke_store(STORE)
    accessor = mint(references, minted(max_uses=1))

    with shards.moving(home(STORE).epochs) as move:
        move(lambda name: moved in name)
        began = time.monotonic()
        told = _reason(lambda: references.use(accessor, WORKER, "proxy", ("*",), START))
        took = time.monotonic() - began

    assert told == reason
    assert 1 <= took < 2
    assert references.use(accessor, WORKER, "proxy", ("*",), START).verdict == "ok"


def test_a_partition_that_comes_together_meanwhile_is_used(
    shards: Shards, cluster_link: RedisLink
) -> None:
    """The move ends while a use is being tried again: that use succeeds."""
    store(RedisStores(cluster_link))
    references = RedisReferences(cluster_link)
    references.revoke_store(STORE)
    accessor = mint(references, minted(max_uses=1))

    with ThreadPoolExecutor(1) as meanwhile:
        with shards.moving(home(STORE).epochs) as move:
            move(lambda name: ":epochs" in name)
            use = meanwhile.submit(references.use, accessor, WORKER, "proxy", ("*",), START)
        taken = use.result()

    assert taken.verdict == "ok"
    assert references.use(accessor, WORKER, "proxy", ("*",), START).verdict == "used_up"


def test_when_a_primary_dies_only_its_partitions_fail_until_its_replica_takes_over(
    shards: Shards,
) -> None:
    """Per node: the others answer all the while, and the broker is ready; the dead one's fail at once, and recover by themselves."""
    with linked_to(shards.url) as link:
        stores = RedisStores(link)
        for store_hash in STORES:
            store(stores, store_hash=store_hash)
        dead = shards.primary_of(home(STORES[0]).stores)
        shards.wait_until_replicated()
        shards.programs[dead].kill()
        reasons = {name: _reading(link, name) for name in STORES}
        link.ping()
        began = time.monotonic()
        behind = _reading(link, STORES[0])
        took = time.monotonic() - began
        wait_until("a replica took over", lambda: not _reason(lambda: stores.page("", 100)), 10)
        views = stores.read(STORES, START)

    failed = {name for name, reason in reasons.items() if reason}
    assert STORES[0] in failed
    assert len(failed) < len(STORES)
    assert behind
    assert took < 0.6
    assert [view.line for view in views] == [ACTIVE] * len(STORES)


def test_a_revocation_everywhere_waits_on_every_node(shards: Shards) -> None:
    """One node whose replica is away is enough for the answer that it is not durable."""
    with linked_to(shards.url, replicas=1) as link:
        references = RedisReferences(link)
        references.revoke_all()
        shards.kill_a_replica()

        assert _reason(references.revoke_all) == "not_durable"


def test_a_cluster_that_is_away_is_an_outage() -> None:
    """Told as what it is, and at once for those behind."""
    with linked_to("redis+cluster://127.0.0.1:1,127.0.0.1:2") as link:
        first = _reason(link.ping)
        behind = _reason(link.ping)

    assert (first, behind) == ("redis_ConnectionError", "redis_away")


def test_a_single_node_is_no_cluster(valkey_port: int) -> None:
    """A URL of the wrong kind is refused, not guessed at."""
    with linked_to(f"redis+cluster://127.0.0.1:{valkey_port}") as link:
        assert _reason(link.ping)


def test_a_node_of_a_cluster_is_not_the_whole(shards: Shards) -> None:
    """Nor is one node taken for all that there is."""
    with linked_to(f"redis://127.0.0.1:{shards.primaries()[0]}/0") as link:
        reasons = {_reading(link, name) for name in STORES}

    assert "redis_MovedError" in reasons


@pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-ttl"])
def test_every_primary_is_asked_whether_it_evicts(shards: Shards, policy: str) -> None:
    """One that does is enough."""
    port = shards.primaries()[-1]
    with shards.node(port) as node:
        node.config_set("maxmemory-policy", policy)
        try:
            with linked_to(shards.url) as link:
                reason = _reason(link.ping)
        finally:
            node.config_set("maxmemory-policy", "noeviction")

    assert reason == "redis_evicts"
