"""A Redis that may throw away what it was given."""

from collections.abc import Iterator

import pytest
import redis

from sandbox.demo.processes import wait_until
from service.adapters.redis_connections import Process
from service.adapters.redis_link import RedisLink
from service.adapters.redis_stores import RedisStores
from service.core.errors import StorageError
from tests.adapters.making import linked, linked_to, store
from tests.support.clock import START
from tests.support.world import STORE


@pytest.fixture
def evicting(valkey: "redis.Redis") -> Iterator["redis.Redis"]:
    """A Valkey that evicts, for the length of a test."""
    valkey.config_set("maxmemory-policy", "allkeys-lru")
    yield valkey
    valkey.config_set("maxmemory-policy", "noeviction")


def _reason(link: RedisLink) -> str:
    try:
        RedisStores(link).read([STORE], START)
    except StorageError as error:
        return error.reason
    return ""


def test_nothing_is_asked_of_it(evicting: "redis.Redis", valkey_port: int) -> None:
    """Every call says why, not only the first; and the readiness check does."""
    del evicting
    with linked(valkey_port) as link:
        reasons = [_reason(link) for _ in range(3)]
        with pytest.raises(StorageError) as caught:
            link.ping()

    assert reasons == ["redis_evicts"] * 3
    assert caught.value.reason == "redis_evicts"


def test_one_that_is_put_right_is_used(evicting: "redis.Redis", valkey_port: int) -> None:
    """Without a restart."""
    with linked(valkey_port) as link:
        refused = _reason(link)
        evicting.config_set("maxmemory-policy", "noeviction")
        wait_until("it is used", lambda: not _reason(link), 2)

    assert refused == "redis_evicts"


def test_a_change_while_running_is_found_by_the_readiness_check(
    valkey: "redis.Redis", real_link: RedisLink
) -> None:
    """It looks over a connection that is open already, and closes them all."""
    store(RedisStores(real_link))
    valkey.config_set("maxmemory-policy", "volatile-lru")
    try:
        with pytest.raises(StorageError) as caught:
            real_link.ping()
        behind = _reason(real_link)
    finally:
        valkey.config_set("maxmemory-policy", "noeviction")

    assert (caught.value.reason, behind) == ("redis_evicts", "redis_evicts")


def test_it_is_used_if_the_operator_says_so(evicting: "redis.Redis", valkey_port: int) -> None:
    """Then it is not even looked at."""
    del evicting
    with linked_to(f"redis://127.0.0.1:{valkey_port}/0", allow_evicting=True) as link:
        link.ping()
        store(RedisStores(link))


class _Silent:
    """A connection to a Redis that says nothing about its policy."""

    def send_command(self, *_command: str, check_health: bool) -> None:
        del check_health

    def read_response(self) -> bytes:
        return b"# Memory\r\nused_memory:1\r\n"


def test_one_that_does_not_say_is_used() -> None:
    """A managed service may hide it."""
    Process({}, allow_evicting=False).greet(_Silent())
