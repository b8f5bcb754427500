"""What callers see when something is wrong, and that it ends by itself."""

import time
from pathlib import Path

from sandbox.demo.identities import Identities
from sandbox.demo.processes import answers, free_port, stopping, wait_until
from sandbox.demo.stack import (
    broker_settings,
    make_keyring,
    start_broker,
    start_redis,
    write_access,
)
from tests.support.http import Client
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
        redis = start_redis(tmp_path, redis_port)
        wait_until("up", lambda: client.ask(operator, "GET", "/v1/stores").status == 200)
        ready = answers(ops_port, "/readyz")
        redis.kill()

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
    assert (ready, alive, unready) == (True, True, True)


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
