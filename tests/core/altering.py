"""What somebody who can write Redis could do to what is stored there."""

from collections.abc import Callable

from service.adapters.redis_link import PARTITION, home
from service.core.reference import Accessor
from tests.support.world import World

Change = Callable[[bytes], bytes]


def store_key(store_hash: str) -> str:
    """Return the key of a store's record."""
    return home(store_hash).key("store", store_hash)


def reference_key(accessor: Accessor) -> str:
    """Return the key of a stored reference."""
    return PARTITION[accessor.partition].key("ref", accessor.text[6:])


def stored(world: World, key: str) -> bytes:
    """Return what is stored under a key."""
    value = world.redis.get(key)
    assert isinstance(value, bytes)
    return value


def alter(world: World, key: str, change: Change) -> None:
    """Change what is stored under a key, and make sure that it did change."""
    before = stored(world, key)
    after = change(before)
    assert after != before
    world.redis.set(key, after, keepttl=True)


def swap(world: World, one: str, other: str) -> None:
    """Exchange what is stored under two keys."""
    first, second = stored(world, one), stored(world, other)
    world.redis.set(one, second, keepttl=True)
    world.redis.set(other, first, keepttl=True)
