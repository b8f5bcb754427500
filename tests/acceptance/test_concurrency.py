"""Exactness under concurrency, over HTTP, against several processes."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import chain, repeat

from tests.support.http import Reply
from tests.support.service import Service

REFERENCES = 1_000
ATTEMPTS_EACH = 10


def test_a_single_use_reference_is_redeemed_exactly_once(service: Service) -> None:
    """10,000 attempts on 1,000 references, 32 at a time on two processes: 1,000 winners, one for each reference."""
    store_hash = service.active_store()
    with ThreadPoolExecutor(32) as threads:
        minted = list(
            threads.map(lambda _: service.mint(store_hash, access="redeem"), range(REFERENCES))
        )
        # Attempts on one reference stand beside each other, so that they really compete.
        attempts = list(chain.from_iterable(repeat(one, ATTEMPTS_EACH) for one in minted))

        statuses = list(threads.map(lambda one: service.redeem(one).status, attempts))

    assert Counter(statuses) == {200: REFERENCES, 410: REFERENCES * (ATTEMPTS_EACH - 1)}
    winners = Counter(one for one, status in zip(attempts, statuses, strict=True) if status == 200)
    assert set(winners.values()) == {1}


def test_fifty_first_requests_for_a_store_make_one_token(service: Service) -> None:
    """While one process issues, everybody else waits for its outcome and gets the same store."""
    store_hash = service.new_store()
    service.upstream("PATCH", "/_sandbox/behaviours", {"create_delay_seconds": 0.3})

    def put(_number: int) -> Reply:
        """Ask until it is not too crowded: a store's callers get a quarter of the threads (F04)."""
        while True:
            reply = service.put_store(store_hash)
            if reply.status != 503:
                return reply
            assert reply.json()["type"].endswith(":store_busy")

    with ThreadPoolExecutor(50) as threads:
        replies = list(threads.map(put, range(50)))

    assert Counter(reply.status for reply in replies) == {201: 1, 200: 49}
    assert {reply.json()["generation"] for reply in replies} == {1}
    assert len(service.ledger(store_hash)["tokens"]) == 1
    assert service.ledger(store_hash)["logins"][store_hash]["accepted"] == 1


def test_uses_never_exceed_the_maximum(service: Service) -> None:
    """A reference for 20 uses is used 20 times by 100 attempts."""
    reference = service.mint(service.active_store(), max_uses=20)

    with ThreadPoolExecutor(20) as threads:
        statuses = list(threads.map(lambda _: service.companies(reference).status, range(100)))

    assert Counter(statuses) == {200: 20, 410: 80}
