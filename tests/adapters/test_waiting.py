"""What waits for replicas: every effect, no read, and nothing at all where no replicas are set."""

from collections.abc import Callable, Iterator

import pytest
import redis

from service.adapters.redis_link import RedisLink
from service.adapters.redis_references import RedisReferences
from service.adapters.redis_stores import RedisStores
from service.core.errors import StorageError
from service.core.reference import Accessor
from service.core.store_ports import Lease
from tests.adapters.making import ACTIVE, begin, linked_to, mint, minted, store
from tests.support.clock import START
from tests.support.world import STORE, WORKER

CHANGED = ACTIVE + b" changed"
LEASE = Lease("nobody", "attempt", 7, ACTIVE, START)


@pytest.fixture
def accessor(real_link: RedisLink) -> Accessor:
    """A reference to an active store, in a Valkey without replicas."""
    store(RedisStores(real_link))
    return mint(RedisReferences(real_link), minted(max_uses=5))


@pytest.fixture
def waiting(valkey_port: int) -> Iterator[RedisLink]:
    """A link that waits for a replica which does not exist."""
    url = f"redis://127.0.0.1:{valkey_port}/0"
    with linked_to(url, replicas=1, wait_millis=10) as link:
        yield link


Operation = Callable[[RedisStores, RedisReferences, Accessor], object]
EFFECTS: dict[str, Operation] = {
    "begin": lambda stores, _, __: begin(stores, store_hash="another"),
    "settle": lambda stores, _, __: stores.settle(STORE, LEASE, None, keep_intent=False),
    "replace": lambda stores, _, __: stores.replace(STORE, ACTIVE, CHANGED),
    "remove": lambda stores, _, __: stores.remove(STORE, ACTIVE),
    "forget": lambda stores, _, __: stores.forget_attempts(STORE, ["attempt"]),
    "mint": lambda _, references, __: references.mint(minted(), START),
    "use": lambda _, references, accessor: references.use(accessor, WORKER, "proxy", ("*",), START),
    "revoke": lambda _, references, accessor: references.revoke(accessor, STORE),
    "revoke a store": lambda _, references, __: references.revoke_store(STORE),
    "revoke a caller": lambda _, references, __: references.revoke_caller(WORKER),
    "revoke all": lambda _, references, __: references.revoke_all(),
}
READS: dict[str, Operation] = {
    "read": lambda stores, _, __: stores.read([STORE], START),
    "page": lambda stores, _, __: stores.page("", 10),
    "look": lambda _, references, accessor: references.look(accessor),
    "page of references": lambda _, references, __: references.page(STORE, "", 10, START),
}


@pytest.mark.parametrize("effect", EFFECTS.values(), ids=EFFECTS)
@pytest.mark.parametrize("known", [True, False], ids=["script known", "script unknown"])
def test_no_effect_counts_without_its_replicas(
    valkey: "redis.Redis",
    waiting: RedisLink,
    accessor: Accessor,
    effect: Operation,
    known: bool,  # noqa: FBT001 — a case
) -> None:
    """It is refused with its own reason, and nothing is released; whether Redis has the script or not."""
    if not known:
        valkey.script_flush()

    with pytest.raises(StorageError) as caught:
        effect(RedisStores(waiting), RedisReferences(waiting), accessor)

    assert caught.value.reason == "not_durable"
    assert caught.value.retry_after is not None


@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_a_read_waits_for_nobody(waiting: RedisLink, accessor: Accessor, read: Operation) -> None:
    """What was there is shown."""
    assert read(RedisStores(waiting), RedisReferences(waiting), accessor)


def test_a_begin_that_does_not_count_holds_nobody_up(
    waiting: RedisLink, real_link: RedisLink
) -> None:
    """Whoever asked goes no further, so the lease and the intent are given back."""
    with pytest.raises(StorageError):
        begin(RedisStores(waiting))

    view = RedisStores(real_link).read([STORE], START)[0]
    assert (view.line, view.lease_left, view.attempts) == (ACTIVE, None, ())


def test_a_refusal_of_redis_comes_before_the_missing_replica(
    valkey: "redis.Redis", waiting: RedisLink, accessor: Accessor
) -> None:
    """The reason is what has to be put right first."""
    valkey.config_set("maxmemory", "1")
    try:
        with pytest.raises(StorageError) as caught:
            RedisReferences(waiting).use(accessor, WORKER, "proxy", ("*",), START)
    finally:
        valkey.config_set("maxmemory", "0")

    assert caught.value.reason == "redis_OutOfMemoryError"


def test_without_replicas_a_use_is_one_command(
    valkey: "redis.Redis", real_link: RedisLink, accessor: Accessor
) -> None:
    """P10: nothing goes before it, behind it or beside it."""
    references = RedisReferences(real_link)
    references.use(accessor, WORKER, "proxy", ("*",), START)
    valkey.config_resetstat()

    references.use(accessor, WORKER, "proxy", ("*",), START)

    counted = {name: row["calls"] for name, row in valkey.info("commandstats").items()}
    asked = {name for name in counted if name in {"cmdstat_wait", "cmdstat_ping", "cmdstat_info"}}
    assert counted["cmdstat_evalsha"] == 1
    assert not asked
