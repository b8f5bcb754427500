"""Locks and revocations between replicas: what one broker was told holds for the next request at another, and after restarts."""

import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from sandbox.demo.processes import free_port, stopping, wait_until
from sandbox.demo.stack import Stack, broker_settings, running_stack, start_broker, start_redis
from sandbox.demo.story import MINTER, WORKER
from tests.support.http import Client, Reply
from tests.support.service import Service

REASON = {"reason": "INC-42"}
ROUNDS = 10


@pytest.fixture(scope="module")
def replica_port(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Another broker with two workers on the same Redis and upstream."""
    folder, port = tmp_path_factory.mktemp("replica"), free_port()
    with stopping(start_broker(folder, _settings(stack, folder), port, free_port())):
        yield port


@pytest.fixture
def replica(service: Service, replica_port: int) -> Iterator[Service]:
    """The other broker as its callers see it; all stores are unlocked at the end."""
    client = Client(replica_port)
    yield Service(service.stack, client)
    client.ask(service.operator, "POST", "/v1/unlock")
    client.close()


def _settings(stack: Stack, folder: Path) -> dict[str, str]:
    settings = broker_settings(
        stack.folder,
        stack.folder / "access.yaml",
        stack.folder / "keyring",
        stack.redis_port,
        stack.upstream_url,
    )
    return settings | {"BROKER_AUDIT_FILE": str(folder / "audit.jsonl")}


def _tell(service: Service, path: str, body: Any = None) -> None:
    """Ask as the operator for something that has to be done."""
    reply = service.client.ask(service.operator, "POST", path, body)
    assert reply.status == 200, reply.content


def _proxied(service: Service) -> int:
    """Return how many requests the upstream has received."""
    return len(service.upstream("GET", "/_sandbox/requests")["requests"])


def _problem(reply: Reply) -> tuple[int, str]:
    document = reply.json()
    return reply.status, document.get("type", "").rpartition(":")[2]


@pytest.mark.parametrize("scope", ["store", "all"])
def test_the_next_request_at_another_replica_meets_the_lock(
    service: Service, replica: Service, scope: str
) -> None:
    """No cache and no waiting, in either direction, round after round."""
    store_hash = service.active_store()
    reference = service.mint(store_hash)
    path = f"/v1/stores/{store_hash}" if scope == "store" else "/v1"
    locked, unlocked = [], []

    for _ in range(ROUNDS):
        _tell(service, f"{path}/lock", REASON)
        locked += [_problem(replica.companies(reference)) for _ in range(4)]
        _tell(replica, f"{path}/unlock")
        unlocked += [service.companies(reference).status for _ in range(4)]

    assert set(locked) == {(423, "store_locked")}
    assert set(unlocked) == {200}


REVOKED: dict[str, Callable[[str], dict[str, object]]] = {
    "store": lambda store_hash: {"store_hash": store_hash},
    "audience": lambda _: {"caller": WORKER},
    "minter": lambda _: {"caller": MINTER},
    "all": lambda _: {"all": True},
}


@pytest.mark.parametrize("what", REVOKED)
def test_the_next_request_at_another_replica_meets_the_revocation(
    service: Service, replica: Service, what: str
) -> None:
    """Of a store, a caller, or all; what is minted afterwards is good at once."""
    store_hash = service.active_store()
    answers = []

    for _ in range(ROUNDS):
        reference = service.mint(store_hash)
        before = replica.companies(reference).status
        _tell(service, "/v1/references/revoke", REVOKED[what](store_hash))
        answers.append((before, *(replica.companies(reference).status for _ in range(4))))

    assert set(answers) == {(200, 410, 410, 410, 410)}


def test_what_was_let_through_before_the_lock_ends_as_it_would_have(
    service: Service, replica: Service
) -> None:
    """The lock does not wait for it, and it gets its answer; the next one is refused."""
    store_hash = service.active_store()
    reference = service.mint(store_hash)
    slow = {"store_hash": store_hash, "latency_seconds": 1}
    service.upstream("PATCH", "/_sandbox/behaviours", slow)
    asked = _proxied(service)

    with ThreadPoolExecutor(1) as pool:
        under_way = pool.submit(service.companies, reference)
        wait_until("sent", lambda: _proxied(service) > asked)
        _tell(replica, f"/v1/stores/{store_hash}/lock", REASON)
        late = service.companies(reference).status
        still_open = not under_way.done()
        ended = under_way.result().status

    assert (late, still_open, ended) == (423, True, 200)


def test_locks_survive_restarts_of_redis_and_of_the_broker(tmp_path: Path) -> None:
    """They are in Redis, which keeps them on its disk; nothing that restarts opens a store."""
    with running_stack(tmp_path) as stack:
        client = Client(stack.port)
        service = Service(stack, client)
        store_hash = service.active_store()
        reference = service.mint(store_hash)
        _tell(service, f"/v1/stores/{store_hash}/lock", REASON)
        _tell(service, "/v1/lock", REASON)

        stack.broker.signal(signal.SIGTERM)
        stack.broker.exit_code()
        stack.redis.stop()
        with (
            stopping(start_redis(tmp_path, stack.redis_port)),
            stopping(
                start_broker(tmp_path, _settings(stack, tmp_path), stack.port, stack.ops_port)
            ),
        ):
            both = service.companies(reference)
            _tell(service, "/v1/unlock")
            one = service.companies(reference)
            _tell(service, f"/v1/stores/{store_hash}/unlock")
            none = service.companies(reference)
        client.close()

    assert (both.status, both.json()["reason"]) == (423, "all_locked")
    assert (one.status, one.json()["reason"]) == (423, "store_locked")
    assert none.status == 200
