"""What every kind of Redis tells of itself."""

from datetime import UTC, datetime, timedelta

import pytest
import redis

from service.adapters.redis_connections import RedisOptions
from service.adapters.redis_facts import redis_facts
from service.adapters.redis_topology import nodes_of
from service.core.errors import StorageError
from tests.support.redis_group import Group
from tests.support.redis_shards import Shards

TIMEOUT = timedelta(milliseconds=450)


def _options(url: str) -> RedisOptions:
    return RedisOptions(url, "", "", "", TIMEOUT, allow_evicting=True)


def test_one_process_tells_of_itself(valkey: "redis.Redis", valkey_port: int) -> None:
    """As its own client sees it."""
    facts = redis_facts(nodes_of(_options(f"redis://127.0.0.1:{valkey_port}/0")))
    told = valkey.info()

    assert [(one.name, one.role, one.replicas, one.eviction) for one in facts] == [
        ("valkey", "master", 0, "noeviction")
    ]
    assert ".".join(map(str, facts[0].version)) == told["redis_version"]
    assert (facts[0].appends, facts[0].persists) == (True, True)
    assert facts[0].time is not None
    assert abs(facts[0].time - datetime.now(UTC)) < timedelta(seconds=2)


def test_sentinels_lead_to_the_primary_with_its_replicas(group: Group) -> None:
    """The one that takes writes, and only it."""
    facts = redis_facts(nodes_of(_options(group.url)))

    assert [(one.role, one.replicas) for one in facts] == [("master", 2)]


def test_every_primary_of_a_cluster_tells(shards: Shards) -> None:
    """Any of them may be the one that is not well."""
    facts = redis_facts(nodes_of(_options(shards.url)))

    assert [(one.role, one.replicas) for one in facts] == [("master", 1)] * 3


def test_a_redis_that_does_not_let_us_ask_is_an_error(
    valkey: "redis.Redis", valkey_port: int
) -> None:
    """Nothing is guessed."""
    valkey.execute_command("ACL", "SETUSER", "default", "-info")  # type: ignore[no-untyped-call]  # the library leaves it untyped

    with pytest.raises(StorageError) as refused:
        redis_facts(nodes_of(_options(f"redis://127.0.0.1:{valkey_port}/0")))
    valkey.execute_command("ACL", "SETUSER", "default", "+info")  # type: ignore[no-untyped-call]  # the library leaves it untyped

    assert refused.value.reason == "redis_NoPermissionError"
