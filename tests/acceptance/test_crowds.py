"""A thousand requests for one store at the same moment: the upstream sees one of them (security.md §3.3, F04 and F50)."""

from collections import Counter
from pathlib import Path

from sandbox.demo.processes import free_port, stopping
from sandbox.demo.stack import broker_settings, start_broker
from tests.acceptance.herd import at_once
from tests.support.http import Client
from tests.support.service import Service

CALLERS = 1_000


def posts(service: Service, store_hash: str) -> int:
    """Return how many times the upstream was asked for a token of a store."""
    seen = service.upstream("GET", f"/_sandbox/requests?store_hash={store_hash}")["requests"]
    return sum(row["method"] == "POST" for row in seen)


def put_until_answered(service: Service, port: int, body: object, path: str) -> Counter[int]:
    """Have a thousand callers give a store's credential, and those who are turned away come back; return the last statuses."""
    statuses = Counter[int]()
    turned_away = CALLERS
    while turned_away:
        answers = Counter(at_once(port, service.operator, "PUT", path, body, turned_away))
        turned_away = answers.pop(503, 0)
        statuses += answers
    return statuses


def test_a_thousand_first_requests_on_four_processes_make_one_token(
    service: Service, tmp_path: Path
) -> None:
    """The others wait, or are turned away and come back; all of them get the same store, and the upstream was asked once."""
    stack, store_hash = service.stack, service.new_store()
    service.upstream("PATCH", "/_sandbox/behaviours", {"create_delay_seconds": 0.3})
    folder = stack.folder
    port, ops_port = free_port(), free_port()
    settings = broker_settings(
        tmp_path, folder / "access.yaml", folder / "keyring", stack.redis_port, stack.upstream_url
    )
    body = {"credential": credential_of(store_hash, "right password")}
    path = f"/v1/stores/{store_hash}"
    with stopping(start_broker(tmp_path, settings | {"WEB_CONCURRENCY": "4"}, port, ops_port)):
        statuses = put_until_answered(service, port, body, path)
        client = Client(port)
        generation = client.ask(service.operator, "GET", path).json()["generation"]
        client.close()

    assert statuses == {201: 1, 200: CALLERS - 1}
    assert generation == 1
    assert posts(service, store_hash) == 1
    assert len(service.ledger(store_hash)["tokens"]) == 1


def test_a_thousand_requests_with_a_wrong_password_are_one_login(service: Service) -> None:
    """On two processes: the account is not hammered, whoever asks."""
    store_hash = service.new_store()
    body = {"credential": credential_of(store_hash, "wrong password")}

    statuses = put_until_answered(service, service.stack.port, body, f"/v1/stores/{store_hash}")

    assert statuses == {409: CALLERS}
    assert service.ledger(store_hash)["logins"][store_hash] == {"accepted": 0, "refused": 1}
    assert posts(service, store_hash) == 1


def credential_of(store_hash: str, password: str) -> dict[str, str]:
    """Return a store's credential."""
    email = f"owner@{store_hash}.example"
    return {"kind": "b2b_password", "email": email, "password": password}
