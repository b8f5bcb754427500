"""The upstream's limit on, and several callers at once on two processes: they get the broker's 429, and never the upstream's."""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import urllib3

from tests.support.http import Reply
from tests.support.own_broker import own_broker
from tests.support.service import Service

LIMIT = 150
FAIR = 135
OURS = "urn:b2b-broker:problem:rate_limited"


@pytest.fixture
def two_workers(service: Service, tmp_path: Path) -> Iterator[Service]:
    """A broker with the settings of production, on an upstream with its limit."""
    service.upstream("PATCH", "/_sandbox/behaviours", {"rate_limit_per_minute": LIMIT})
    with own_broker(service.stack, tmp_path) as broker:
        yield Service(service.stack, broker.client)


def outcome(reply: Reply) -> str:
    """Return whose answer it is."""
    if reply.status == 200:
        return "200"
    told = reply.json().get("type") == OURS and int(reply.headers["Retry-After"]) > 0
    return "ours" if told else f"theirs: {reply.status}"


def test_the_upstream_never_sees_more_than_its_limit(two_workers: Service) -> None:
    """400 requests at once: as many as one caller may have go upstream, and each of the others is told when to come back."""
    store_hash = two_workers.active_store()
    reference = two_workers.mint(store_hash)

    with ThreadPoolExecutor(16) as threads:
        replies = list(threads.map(lambda _: two_workers.companies(reference), range(400)))

    path = f"/_sandbox/requests?store_hash={store_hash}"
    rows = two_workers.upstream("GET", path)["requests"]
    assert Counter(map(outcome, replies)) == {"200": FAIR, "ours": 400 - FAIR}
    assert sum(row["target"].startswith("/api/v3/io/companies") for row in rows) == FAIR <= LIMIT


def test_who_calls_past_the_broker_is_noticed(two_workers: Service) -> None:
    """The upstream's own headers tell, so that nobody runs into its refusal."""
    store_hash = two_workers.active_store()
    token = two_workers.redeem(two_workers.mint(store_hash, access="redeem")).json()["headers"]
    url = f"{two_workers.stack.upstream_url}/api/v3/io/companies?limit=1"
    for _ in range(100):
        assert urllib3.request("GET", url, headers=token).status == 200
    reference = two_workers.mint(store_hash)

    outcomes = Counter(outcome(two_workers.companies(reference)) for _ in range(80))

    assert set(outcomes) == {"200", "ours"}
    assert 40 <= outcomes["200"] <= 50
