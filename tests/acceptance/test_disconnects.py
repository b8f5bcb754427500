"""Callers who go away: what was done for them stops."""

import contextlib
import socket
import time

import urllib3

from sandbox.demo.processes import wait_until
from tests.support.service import Service


def _timed_out(service: Service) -> float:
    """Return how many proxied requests ended without an answer of the upstream, over all workers."""
    text = urllib3.request(
        "GET", f"http://127.0.0.1:{service.stack.ops_port}/metrics"
    ).data.decode()
    label = 'b2b_broker_http_requests_total{method="GET",route="proxy",status="504"} '
    return sum(
        float(line.removeprefix(label)) for line in text.splitlines() if line.startswith(label)
    )


def test_a_caller_who_goes_away_stops_the_call_upstream_within_two_seconds(
    service: Service,
) -> None:
    """The upstream would take ten; the thread is free long before."""
    store = service.active_store()
    reference = service.mint(store)
    service.upstream("PATCH", "/_sandbox/behaviours", {"store_hash": store, "latency_seconds": 10})
    before = _timed_out(service)
    request = (
        "GET /v1/proxy/api/v3/io/companies HTTP/1.1\r\nHost: x\r\n"
        f"Authorization: Bearer {service.worker}\r\nBroker-Reference: {reference}\r\n\r\n"
    )

    with socket.create_connection(("127.0.0.1", service.stack.port)) as caller:
        caller.sendall(request.encode())
        wait_until("it is upstream", lambda: _asked(service, store), 5)
    gone_at = time.monotonic()

    wait_until("the call has ended", lambda: _timed_out(service) > before, 5)
    assert time.monotonic() - gone_at < 2.5
    with contextlib.suppress(OSError):
        service.reset_upstream()


def _asked(service: Service, store: str) -> bool:
    rows = service.upstream("GET", f"/_sandbox/requests?store_hash={store}")["requests"]
    return any(row["target"].startswith("/api/v3/io/companies") for row in rows)
