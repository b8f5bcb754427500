"""A lease that ends before its holder does: a slow upstream, and a process that is stopped for a while (security.md §3.3, F03)."""

import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from sandbox.demo.processes import wait_until
from service.adapters.redis_link import home
from tests.chaos.arena import Arena, password_of, running_arena

HONEST = {200, 201, 502, 503, 504}


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Arena]:
    """A broker whose leases last half a second, a quarter of what it gives the upstream."""
    with running_arena(tmp_path_factory.mktemp("hasty"), lease_margin_seconds=-3.5) as running:
        yield running


def outlive(arena: Arena, threads: ThreadPoolExecutor) -> tuple[set[int], str]:
    """Have two callers register a store, the second when the lease of the first has ended; return the statuses and what is wrong."""
    store_hash = arena.new_store()
    arena.upstream(
        "PATCH", "/_sandbox/behaviours", {"store_hash": store_hash, "create_delay_seconds": 1.0}
    )
    keys = home(store_hash)
    first = threads.submit(arena.put, store_hash)
    begun, lease = keys.key("intents", store_hash), keys.key("lease", store_hash)
    wait_until("begun", lambda: bool(arena.redis_client.exists(begun)))
    wait_until("the lease ends", lambda: not arena.redis_client.exists(lease))
    second = threads.submit(arena.put, store_hash)
    statuses = {first.result(), second.result()}
    arena.put_until_active(store_hash)
    return statuses, arena.wait_converged(store_hash)


def test_a_lease_that_ends_while_the_upstream_is_slow_leaves_one_token(hasty: Arena) -> None:
    """Both may issue; the first commit that is current wins, the other's token is deleted, and each caller is told the truth."""
    with ThreadPoolExecutor(2) as threads:
        statuses, wrong = outlive(hasty, threads)

    assert wrong == ""
    assert statuses <= HONEST
    assert statuses & {200, 201}


@pytest.mark.chaos
@pytest.mark.timeout(600)
def test_a_hundred_leases_that_end_while_the_upstream_is_slow(hasty: Arena) -> None:
    """The same, many times, ten at a time."""
    with ThreadPoolExecutor(20) as threads, ThreadPoolExecutor(10) as stores:
        found = list(stores.map(lambda _: outlive(hasty, threads), range(100)))

    assert {wrong for _, wrong in found} == {""}
    assert set().union(*(statuses for statuses, _ in found)) <= HONEST


def test_a_worker_that_was_stopped_beyond_its_lease_does_not_commit_a_deleted_token(
    arena: Arena,
) -> None:
    """It is stopped before the commit of a rotation; the other worker finds its token abandoned and deletes it; then it goes on."""
    store_hash = arena.new_store()
    arena.put_until_active(store_hash)
    fired = arena.arm("settle.before", store_hash, "pause")
    body = {"credential": password_of(store_hash)}
    with ThreadPoolExecutor(1) as threads:
        rotation = threads.submit(arena.ask, "POST", f"/v1/stores/{store_hash}/rotate", body)
        arena.wait_fired(fired)
        wait_until("deleted", lambda: len(arena.live_tokens(store_hash)) == 1)
        os.kill(int(fired.read_text("ascii").split()[0]), signal.SIGCONT)
        rotation.result()

    released = arena.released(store_hash)

    assert released in {row["token"] for row in arena.live_tokens(store_hash)}
