"""Leases that run out: Redis ends them by its own clock, which no test waits for."""

from service.adapters.redis_link import home
from tests.support.world import STORE, World


def end_lease(world: World, store_hash: str = STORE) -> None:
    """End the lease of a store as time would."""
    world.redis.delete(home(store_hash).key("lease", store_hash))
