"""A canary password and its token, searched for in everything that is written down or visible from outside."""

from pathlib import Path

import urllib3

from sandbox.demo.story import spellings, written_by
from tests.support.service import Service

CANARY = 'canary "Pässwörd" \\ 7f3a9c51d2'


def test_no_secret_is_anywhere_but_in_the_answer_that_releases_it(service: Service) -> None:
    """Password, token and reference: not in Redis, logs, audit, metrics, environment or arguments, in any spelling."""
    store_hash = service.new_store(CANARY)
    assert service.put_store(store_hash, CANARY).status == 201
    wrong = service.put_store(service.new_store(), CANARY)
    reference = service.mint(store_hash, access="redeem")
    proxied = service.mint(store_hash)
    token = service.redeem(reference).json()["headers"]["authToken"]
    replies = [wrong, service.redeem(reference), service.companies(proxied)]
    replies += [service.companies(token), service.client.ask(token, "GET", "/v1/whoami")]

    channels = written_by(service.stack)
    channels |= {f"answer {n}": reply.content for n, reply in enumerate(replies)}
    metrics = f"http://127.0.0.1:{service.stack.ops_port}/metrics"
    channels["metrics"] = urllib3.request("GET", metrics).data
    for pid in (service.stack.broker.pid, *service.stack.broker.children()):
        channels[f"environment of {pid}"] = Path(f"/proc/{pid}/environ").read_bytes()
        channels[f"arguments of {pid}"] = Path(f"/proc/{pid}/cmdline").read_bytes()

    for name, content in channels.items():
        for secret in (CANARY, token, reference, proxied):
            for spelling in spellings(secret):
                assert spelling not in content, name


def test_the_search_would_find_what_is_there(service: Service) -> None:
    """The positive control: what is certainly written is found in each place."""
    store_hash = service.active_store()
    service.companies(service.mint(store_hash))

    channels = written_by(service.stack)

    for name in ("the Redis dump", "Redis's append-only file", "the audit file"):
        assert store_hash.encode() in channels[name], name
    assert b'"route": "proxy"' in channels["the broker's logs"]


def test_nothing_that_a_caller_writes_into_a_request_is_logged(service: Service) -> None:
    """Query, path, referrer and client name are the caller's: neither output of the broker holds them, and no access log exists."""
    canary = "canary-of-the-request-5e1f"
    reference = service.mint(service.active_store())
    path = f"/v1/proxy/api/v3/io/companies?limit=1&q={canary}"
    headers = {"Referer": canary, "User-Agent": canary, "X-Request-Id": f"{canary}!"}

    reply = service.client.ask(service.worker, "GET", path, Broker_Reference=reference, **headers)
    service.client.ask(service.worker, "GET", f"/{canary}", **headers)

    assert reply.status == 200
    broker = service.stack.broker
    assert canary.encode() not in broker.stderr.read_bytes()
    assert broker.stdout.read_bytes() == b""
