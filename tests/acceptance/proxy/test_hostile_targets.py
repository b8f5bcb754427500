"""Thousands of hostile targets, every one through a socket: refused, or byte for byte in the room that the reference opens."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.acceptance.proxy.hostile_targets import (
    ROOM,
    hostile_targets,
    only_form,
    sent_as,
    stays_in_the_room,
)
from tests.support.raw_http import KeptAlive
from tests.support.service import Service

TARGETS = tuple(hostile_targets(seed=20_26, number=5_200))
THREADS = 4

OWN = ("/api/io/auth/backend", "/api/io/backend/tokens", "/api/v3/io/companies?limit=1&offset=0")
"""What the broker asks for itself."""


def test_no_hostile_target_leads_out_of_the_room(open_door: Service, wide_store: str) -> None:
    """None is answered 5xx, none reaches anything else upstream, and what was answered from there was asked for exactly so."""
    scope = [f"GET {ROOM}/**"]
    reference = open_door.mint(wide_store, requests=scope, ttl_seconds=900)
    proof = f"Authorization: Bearer {open_door.worker}\r\nBroker-Reference: {reference}\r\n"

    answered = _ask_all(open_door.stack.port, proof)

    recorded = _recorded(open_door, wide_store)
    assert [status for status in answered.values() if status >= 500] == []
    for number, rows in recorded.items():
        (row,) = rows
        assert row["method"] == "GET"
        assert row["target"] == only_form(TARGETS[number]), TARGETS[number]
        assert stays_in_the_room(row["target"]), TARGETS[number]
        assert row["status"] == answered[number]
    refused = answered.keys() - recorded.keys()
    assert all(answered[number] in (400, 403, 404, 414) for number in refused)
    assert len(recorded) > 500
    assert len(refused) > 4_000


@pytest.mark.parametrize(
    "target",
    [
        f"{ROOM}/../users",
        f"{ROOM}/%2e%2e/users",
        f"{ROOM}/%252e%252e/users",
        f"{ROOM}/..%5cusers",
        f"{ROOM}x",
        "/api/v3/io/users",
        f"{ROOM}/a%0d%0ab",
    ],
)
def test_the_judge_would_see_a_target_that_leads_out(target: str) -> None:
    """It decodes and folds by itself, not as the broker does."""
    assert not stays_in_the_room(target)
    assert stays_in_the_room(f"{ROOM}/1?x=/../..")


def _ask_all(port: int, proof: str) -> dict[int, int]:
    """Send each target, over connections that are kept, and return the statuses."""

    def ask(numbers: range) -> dict[int, int]:
        connection = KeptAlive(port)
        answered = {}
        for number in numbers:
            head = f" HTTP/1.1\r\nHost: b\r\nX-Request-Id: n-{number}\r\n{proof}\r\n".encode()
            answered[number] = connection.ask(b"GET " + sent_as(TARGETS[number]) + head)
        connection.close()
        return answered

    shares = [range(first, len(TARGETS), THREADS) for first in range(THREADS)]
    with ThreadPoolExecutor(THREADS) as pool:
        return {n: status for share in pool.map(ask, shares) for n, status in share.items()}


def _recorded(service: Service, store_hash: str) -> dict[int, list[dict[str, Any]]]:
    """Return what came to the upstream for the store or for none, by the number of the target; there is nothing else."""
    rows = service.upstream("GET", "/_sandbox/requests")["requests"]
    found: dict[int, list[dict[str, Any]]] = {}
    for row in rows:
        if row["store_hash"] in (store_hash, None):
            names = [value for name, value in row["headers"] if name == "X-Request-Id"]
            if not names and row["target"].startswith(OWN):
                continue  # the broker looks after stores of other tests meanwhile; what it forwards always has an id
            (name,) = names
            found.setdefault(int(name.removeprefix("n-")), []).append(row)
    return found
