"""A million live references: what each costs, and what using one costs beside a Redis that has few (security.md §3.3, F78)."""

import contextlib
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from statistics import median

import pytest
import redis

from sandbox.demo.processes import free_port, stopping
from sandbox.demo.stack import start_redis
from service.adapters.redis_references import RedisReferences
from service.adapters.redis_stores import RedisStores
from service.core.reference import Accessor
from tests.adapters.making import linked, mint, minted, store
from tests.support.world import WORKER

STORES = [f"store{number}" for number in range(10)]
FEW, MANY = 1_000, 1_000_000
MOST_BYTES = 700
NOW = datetime.now(UTC)
ROUNDS, USES = 61, 400


class Filled:
    """A Redis with references to ten stores, of which some are used."""

    def __init__(self, port: int, table: RedisReferences, references: int) -> None:
        self._client = redis.Redis(port=port)
        self._table = table
        before = self._used_memory()
        self._used = [self._mint(number) for number in range(references)][:: references // USES]
        self.bytes_of_each = (self._used_memory() - before) / references

    def _mint(self, number: int) -> Accessor:
        chosen = minted(
            store_hash=STORES[number % 10], access="redeem", ttl=timedelta(hours=1), now=NOW
        )
        return mint(self._table, chosen, NOW)

    def _used_memory(self) -> int:
        return int(self._client.info("memory")["used_memory"])

    def slow_use(self) -> float:
        """Return the 99th percentile of the seconds that a use takes."""
        return sorted(_seconds(partial(self._use, accessor)) for accessor in self._used)[-4]

    def _use(self, accessor: Accessor) -> None:
        assert self._table.use(accessor, WORKER, "redeem", ("*",), NOW).verdict == "ok"

    def slow_page(self) -> float:
        """Return the most seconds that a page of a list takes, of its first ten."""
        after: str | None = ""
        taken = []
        for _ in range(10):
            began = time.perf_counter()
            _, after = self._table.page(STORES[0], after or "", 10, NOW)
            taken.append(time.perf_counter() - began)
            assert after
        return max(taken)

    def revoking(self) -> float:
        """Return the seconds that it takes to revoke everything of a store."""
        return _seconds(lambda: self._table.revoke_store(STORES[0]))


def _seconds(act: Callable[[], object]) -> float:
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


@contextlib.contextmanager
def _filled(folder: Path, references: int) -> Iterator[Filled]:
    port = free_port()
    with stopping(start_redis(folder, port)), linked(port) as link:
        for store_hash in STORES:
            store(RedisStores(link), store_hash=store_hash)
        yield Filled(port, RedisReferences(link), references)


@pytest.mark.chaos
@pytest.mark.timeout(1200)
def test_a_million_live_references_cost_little_more_than_a_thousand(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Uses in turn with those of a small Redis, so that a busy moment hits both; lists are pages, and a revocation is one step."""
    folders = [tmp_path_factory.mktemp(name) for name in ("few", "many")]
    with _filled(folders[0], FEW) as few, _filled(folders[1], MANY) as many:
        ratio = median(many.slow_use() / few.slow_use() for _ in range(ROUNDS))
        pages = median(many.slow_page() / few.slow_page() for _ in range(ROUNDS))
        revoking = many.revoking()

    assert many.bytes_of_each < MOST_BYTES
    # A thousand times as many; what they cost more is that no cache of the processor holds them.
    assert ratio < 2
    assert pages < 2
    assert revoking < 0.1
