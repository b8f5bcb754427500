"""The link to Redis: scripts that are gone, and errors of every kind as one of ours, without data in them."""

from collections.abc import Callable
from pathlib import Path

import pytest
import redis

from service.adapters.redis_errors import storage_error
from service.adapters.redis_link import RedisLink, Script, home
from service.adapters.redis_references import RedisReferences
from service.adapters.redis_stores import RedisStores
from service.core.errors import StorageError
from tests.adapters.making import begin, linked, mint, minted, store
from tests.support.clock import START
from tests.support.world import STORE, WORKER

CANARY = "canary-value-in-redis"


def _refusal(link: RedisLink) -> StorageError:
    with pytest.raises(StorageError) as caught:
        begin(RedisStores(link))
    return caught.value


def test_a_script_that_redis_forgot_is_sent_again(link: RedisLink, client: "redis.Redis") -> None:
    """After SCRIPT FLUSH (or a restart, or a failover) every operation works at once."""
    stores, references = RedisStores(link), RedisReferences(link)
    store(stores)
    accessor = mint(references, minted())

    client.script_flush()
    used = references.use(accessor, WORKER, "proxy", ("*",), START)
    client.script_flush()
    view = stores.read([STORE], START)[0]
    client.script_flush()
    references.revoke_all()

    assert used.verdict == "ok"
    assert view.live_references == 1
    assert references.look(accessor).verdict == "revoked"


def test_every_script_reads_the_same_from_its_digest(client: "redis.Redis") -> None:
    """The digest that is asked for is the one that Redis computes."""
    for name in ("mint", "use", "look", "page", "revoke", "revoke_many", "begin", "settle", "view"):
        script = Script(name)
        assert client.script_load(script.source) == script.digest


def test_a_redis_that_answers_is_quietly_alive(link: RedisLink) -> None:
    """The readiness check says nothing."""
    link.ping()


def _out_of_memory(client: "redis.Redis") -> None:
    client.config_set("maxmemory", "1")


def _read_only(client: "redis.Redis") -> None:
    client.replicaof("127.0.0.1", "1")


def _too_few_replicas(client: "redis.Redis") -> None:
    client.config_set("min-replicas-to-write", "1")


def _well_again(client: "redis.Redis") -> None:
    client.replicaof("NO", "ONE")
    client.config_set("maxmemory", "0")
    client.config_set("min-replicas-to-write", "0")


TROUBLE: dict[str, tuple[Callable[["redis.Redis"], None], str]] = {
    "out of memory": (_out_of_memory, "redis_OutOfMemoryError"),
    "a replica": (_read_only, "redis_ReadOnlyError"),
    "too few replicas": (_too_few_replicas, "redis_noreplicas"),
}


@pytest.mark.parametrize("trouble", TROUBLE)
def test_a_refusal_of_redis_is_a_storage_error_with_its_reason(
    valkey: "redis.Redis", real_link: RedisLink, trouble: str
) -> None:
    """An operator sees in the audit trail which refusal it was; a caller is told to come back."""
    cause, reason = TROUBLE[trouble]
    try:
        cause(valkey)
        error = _refusal(real_link)
    finally:
        _well_again(valkey)

    assert error.reason == reason
    assert error.retry_after is not None
    assert STORE not in str(error)


def test_a_user_without_permission_is_refused_with_its_reason(
    valkey: "redis.Redis", valkey_port: int, tmp_path: Path
) -> None:
    """An ACL that does not fit is told from an outage."""
    secret = tmp_path / "password"
    secret.write_text("narrow password", "utf-8")
    valkey.acl_setuser(
        "narrow",
        enabled=True,
        passwords=["+narrow password"],
        keys=["x"],
        categories=["+@connection"],
        commands=["+info"],
    )
    try:
        with linked(valkey_port, str(secret), "narrow") as link:
            link.ping()
            error = _refusal(link)
    finally:
        valkey.acl_deluser("narrow")

    assert error.reason == "redis_NoPermissionError"


@pytest.mark.parametrize(
    "operation",
    [
        lambda link: RedisStores(link).read([STORE], START),
        lambda link: RedisStores(link).page("", 10),
        lambda link: RedisStores(link).forget_attempts(STORE, ["a"]),
        lambda link: RedisReferences(link).mint(minted(), START),
    ],
    ids=["read", "page", "forget", "mint"],
)
def test_no_error_quotes_what_is_stored(
    real_link: RedisLink, valkey: "redis.Redis", operation: Callable[[RedisLink], object]
) -> None:
    """Values of the wrong type make Redis refuse; the text and reason stay fixed."""
    where = home(STORE)
    valkey.rpush(where.key("store", STORE), CANARY)
    valkey.set(where.key("intents", STORE), CANARY)
    valkey.set(where.stores, CANARY)

    with pytest.raises(StorageError) as caught:
        operation(real_link)

    assert caught.value.reason == "redis_ResponseError"
    assert CANARY not in f"{caught.value!r} {caught.value.__cause__!r}"


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (redis.ResponseError(f"NOREPLICAS {CANARY}"), "redis_noreplicas"),
        (redis.ResponseError(f"MISCONF {CANARY}"), "redis_misconf"),
        (redis.ResponseError(f"{CANARY} is data"), "redis_ResponseError"),
        (redis.TimeoutError(CANARY), "redis_TimeoutError"),
        (redis.exceptions.ClusterDownError(f"CLUSTERDOWN {CANARY}"), "redis_clusterdown"),
        (redis.exceptions.BusyLoadingError(f"LOADING {CANARY}"), "redis_loading"),
        (redis.RedisError(), "redis_RedisError"),
    ],
)
def test_only_the_kind_of_an_error_is_kept(error: redis.RedisError, reason: str) -> None:
    """The text of the client library may quote data."""
    ours = storage_error(error)

    assert ours.reason == reason
    assert CANARY not in str(ours)
