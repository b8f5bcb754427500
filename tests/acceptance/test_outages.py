"""What callers see when something is wrong, and that it ends by itself."""

import sys
import time
from collections.abc import Mapping
from pathlib import Path

import redis
import urllib3

from sandbox.demo.identities import Identities
from sandbox.demo.processes import Program, answers, free_port, stopping, wait_until
from sandbox.demo.stack import (
    ROOT,
    broker_settings,
    make_keyring,
    running_stack,
    start_broker,
    start_redis,
    write_access,
)
from tests.support.http import Client, Reply
from tests.support.service import Service


def test_a_wrong_password_is_refused_once_and_never_sent_again(service: Service) -> None:
    """The upstream's 400 becomes a 409 with its own type; ten tries are one login."""
    store_hash = service.new_store()

    replies = [service.put_store(store_hash, "wrong password") for _ in range(10)]

    assert {reply.status for reply in replies} == {409}
    problem = replies[-1].json()
    assert problem["type"] == "urn:b2b-broker:problem:credential_refused"
    assert problem["reason"] == "credential_incorrect"
    assert service.ledger(store_hash)["logins"][store_hash] == {"accepted": 0, "refused": 1}
    shown = service.client.ask(service.operator, "GET", f"/v1/stores/{store_hash}").json()
    assert shown["status"] == "rejected"
    assert service.put_store(store_hash).status == 200


def test_an_answer_that_was_lost_leaves_no_orphan(service: Service) -> None:
    """The upstream makes the token and drops the connection: the store is uncertain, and the next PUT puts it right."""
    store_hash = service.new_store()
    lost = {"store_hash": store_hash, "create_outcome": "commit_then_drop"}
    service.upstream("PATCH", "/_sandbox/behaviours", lost)
    first = service.put_store(store_hash)
    path = f"/v1/stores/{store_hash}"
    between = service.client.ask(service.operator, "GET", path).json()
    service.upstream("PATCH", "/_sandbox/behaviours", lost | {"create_outcome": "normal"})

    second = service.put_store(store_hash)

    assert first.status == 502
    assert between["status"] == "uncertain"
    assert second.status == 200
    assert len(service.ledger(store_hash)["tokens"]) == 2
    assert len(service.live_tokens(store_hash)) == 1


def test_without_redis_everything_is_refused_within_a_second_and_resumes_by_itself(
    tmp_path: Path,
) -> None:
    """503 with Retry-After, alive but not ready; when Redis is back, so is the service, with what it knew."""
    identities = Identities()
    access, keyring = write_access(tmp_path, identities), make_keyring(tmp_path)
    redis_port, port, ops_port = free_port(), free_port(), free_port()
    settings = broker_settings(tmp_path, access, keyring, redis_port, "http://127.0.0.1:1")
    operator = identities.person("ops-anna")
    client = Client(port)
    with stopping(start_broker(tmp_path, settings, port, ops_port)):
        down_at_start = client.ask(operator, "GET", "/v1/stores")
        first = start_redis(tmp_path, redis_port)
        wait_until("up", lambda: client.ask(operator, "GET", "/v1/stores").status == 200)
        # Each worker answers for itself, and may have failed to reach it a moment ago.
        wait_until("ready", lambda: answers(ops_port, "/readyz"), 2)
        first.kill()

        started = time.monotonic()
        gone = client.ask(operator, "GET", "/v1/stores")
        took = time.monotonic() - started

        alive, unready = answers(ops_port, "/livez"), answers(ops_port, "/readyz", 503)
        with stopping(start_redis(tmp_path, redis_port)):
            wait_until("back", lambda: client.ask(operator, "GET", "/v1/stores").status == 200)
    client.close()

    assert down_at_start.status == 503
    assert (gone.status, gone.headers["Retry-After"]) == (503, "1")
    assert gone.json()["type"] == "urn:b2b-broker:problem:storage_unavailable"
    assert took < 1
    assert (alive, unready) == (True, True)


def test_without_keys_it_is_locked_and_unlocks_when_they_appear(tmp_path: Path) -> None:
    """Alive, not ready, 503 on everything; no restart is needed."""
    identities = Identities()
    access = write_access(tmp_path, identities)
    redis_port, port, ops_port = free_port(), free_port(), free_port()
    settings = broker_settings(
        tmp_path, access, tmp_path / "keyring", redis_port, "http://127.0.0.1:1"
    )
    operator = identities.person("ops-anna")
    client = Client(port)
    with (
        stopping(start_redis(tmp_path, redis_port)),
        stopping(start_broker(tmp_path, settings, port, ops_port)),
    ):
        locked = client.ask(operator, "GET", "/v1/stores")
        unready = answers(ops_port, "/readyz", 503)
        make_keyring(tmp_path)

        wait_until("unlocked", lambda: client.ask(operator, "GET", "/v1/stores").status == 200, 5)
    client.close()

    assert (locked.status, locked.json()["type"]) == (503, "urn:b2b-broker:problem:locked")
    assert unready


def test_a_redis_that_evicts_is_refused_whenever_it_is_found(tmp_path: Path) -> None:
    """At the start with one line that names the setting; later by ``/readyz`` and every answer, until it is put right."""
    identities = Identities()
    access, keyring = write_access(tmp_path, identities), make_keyring(tmp_path)
    redis_port, port, ops_port = free_port(), free_port(), free_port()
    settings = broker_settings(tmp_path, access, keyring, redis_port, "http://127.0.0.1:1")
    operator = identities.person("ops-anna")
    client = Client(port)

    def ask() -> Reply:
        return client.ask(operator, "GET", "/v1/stores")

    with (
        stopping(start_broker(tmp_path, settings, port, ops_port)) as broker,
        redis.Redis(port=redis_port) as own,
    ):
        away = ask().status
        with stopping(start_redis(tmp_path, redis_port, "allkeys-lru")):
            wait_until("it is found", lambda: checks(ops_port)["redis"] == "redis_evicts")
            refused = ask()
            # Each worker finds it for itself.
            wait_until("it is logged", lambda: bool(ask()) and _logs(broker, "redis_evicts"))
            refused_start = _start_and_fail(tmp_path, settings)
            own.config_set("maxmemory-policy", "noeviction")
            wait_until("put right", lambda: ask().status == 200)
            wait_until("it is ready", lambda: answers(ops_port, "/readyz"))
            found = checks(ops_port)
    client.close()

    assert (away, refused.status) == (503, 503)
    assert (found["redis"], found["storage"]) == ("ok", "ok")
    assert refused_start.splitlines() == [
        "Error: BROKER_ALLOW_EVICTING_REDIS: Redis may evict keys; set its maxmemory-policy to noeviction, or this to true"
    ]


def test_a_redis_that_was_emptied_is_told(tmp_path: Path) -> None:
    """Its stores are unknown, which by itself looks as if they had never been; ``/readyz`` and a metric say that they are gone."""
    with running_stack(tmp_path, {"WEB_CONCURRENCY": "1"}) as stack:
        client = Client(stack.port)
        service = Service(stack, client)
        service.reset_upstream()
        store_hash = service.active_store()
        with service.redis() as own:
            wait_until("it is marked", lambda: bool(own.keys("*:installed")))
            own.flushall()
        wait_until(
            "it is told",
            lambda: checks(stack.ops_port)["storage"] == "wiped",
        )
        ready = answers(stack.ops_port, "/readyz")
        gone = client.ask(service.operator, "GET", f"/v1/stores/{store_hash}")
        again = service.put_store(store_hash)
        client.close()
        metrics = urllib3.request("GET", f"http://127.0.0.1:{stack.ops_port}/metrics").data

    assert (ready, gone.status, again.status) == (True, 404, 201)
    assert b"b2b_broker_storage_wiped 1.0" in metrics
    assert "storage_wiped" in stack.broker.stderr.read_text("utf-8")


def checks(ops_port: int) -> dict[str, str]:
    """Return what ``/readyz`` says of each dependency."""
    response = urllib3.request("GET", f"http://127.0.0.1:{ops_port}/readyz", retries=False)
    found: dict[str, str] = response.json()["checks"]
    return found


def _logs(program: Program, reason: str) -> bool:
    return f'"reason": "{reason}"' in program.stderr.read_text("utf-8")


def _start_and_fail(folder: Path, settings: Mapping[str, str]) -> str:
    """Start a second broker and return what it says when it ends."""
    environment = {**settings, "PYTHONPATH": str(ROOT), "BROKER_BIND": f"127.0.0.1:{free_port()}"}
    arguments = [sys.executable, "-m", "service.cli", "serve"]
    with stopping(Program("second", arguments, folder, environment)) as second:
        assert second.exit_code() == 1
        return second.stderr.read_text("utf-8")
