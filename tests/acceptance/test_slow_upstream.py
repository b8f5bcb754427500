"""What does not need the upstream is answered at once, however many requests wait for it."""

import threading
import time
from collections.abc import Iterator

import pytest

from sandbox.demo.stack import Stack
from sandbox.demo.story import WORKER
from tests.acceptance.proxy.conftest import another_broker
from tests.support.service import Service

THREADS = 2
LATENCY_SECONDS = 3


@pytest.fixture(scope="module")
def few_threads(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A broker with two threads for those who wait for the upstream."""
    settings = {"BROKER_THREADS": str(THREADS), "WEB_CONCURRENCY": "1"}
    with another_broker(stack, tmp_path_factory.mktemp("few"), settings) as service:
        yield service


def test_a_revocation_does_not_wait_for_those_who_wait_for_the_upstream(
    few_threads: Service,
) -> None:
    """Neither do minting, redeeming, and whoever asks who they are."""
    store = few_threads.active_store()
    reference, single = few_threads.mint(store), few_threads.mint(store, access="redeem")
    slow = {"store_hash": store, "latency_seconds": LATENCY_SECONDS}
    few_threads.upstream("PATCH", "/_sandbox/behaviours", slow)
    waiting = [
        threading.Thread(target=few_threads.companies, args=(reference,)) for _ in range(THREADS)
    ]
    for thread in waiting:
        thread.start()

    began = time.monotonic()
    whoami = few_threads.client.ask(few_threads.operator, "GET", "/v1/whoami")
    minted = few_threads.mint(store)
    redeemed = few_threads.redeem(single)
    revoke = {"caller": WORKER}
    revoked = few_threads.client.ask(few_threads.operator, "POST", "/v1/references/revoke", revoke)
    took = time.monotonic() - began

    assert all(thread.is_alive() for thread in waiting)
    assert minted
    assert [whoami.status, redeemed.status, revoked.status] == [200, 200, 200]
    assert took < LATENCY_SECONDS - 1
    for thread in waiting:
        thread.join()
