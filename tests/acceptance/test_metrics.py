"""Metrics of the real broker: what happens is counted where it happens (the list is in docs/metrics.md)."""

import re
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
import urllib3

from sandbox.demo.processes import wait_until
from service.adapters.circuit import FAILURES
from service.adapters.metric_list import METRICS
from tests.support.chart import tool
from tests.support.own_broker import OwnBroker, own_broker
from tests.support.service import Service

STORY = {
    'b2b_broker_references_total{operation="mint",outcome="ok"}': 2,
    'b2b_broker_references_total{operation="redeem",outcome="ok"}': 1,
    'b2b_broker_references_total{operation="redeem",outcome="used_up"}': 1,
    'b2b_broker_references_total{operation="use",outcome="ok"}': 1,
    'b2b_broker_references_total{operation="revoke_store",outcome="ok"}': 1,
    'b2b_broker_security_events_total{kind="used_up"}': 1,
    'b2b_broker_store_issues_total{outcome="issued"}': 1,
    'b2b_broker_upstream_calls_total{operation="issue",outcome="ok"}': 1,
    'b2b_broker_upstream_calls_total{operation="proxy",outcome="ok"}': 1,
    'b2b_broker_upstream_call_duration_seconds_count{operation="issue"}': 1,
    "b2b_broker_upstream_budget_left_ratio_count": 1,
    'b2b_broker_redis_call_duration_seconds_count{operation="mint"}': 2,
    'b2b_broker_redis_call_duration_seconds_count{operation="use"}': 3,
    'b2b_broker_http_requests_total{method="POST",route="mintReference",status="201"}': 2,
    'b2b_broker_http_request_duration_seconds_count{route="proxy"}': 1,
    "b2b_broker_upstream_circuit_open": 0,
    "b2b_broker_access_file_refused": 0,
    "b2b_broker_log_lines_lost_total": 0,
    "b2b_broker_workers": 2,
}
COMPANIES = "/v1/proxy/api/v3/io/companies"


def _ask(broker: OwnBroker, who: str, method: str, path: str, body: object = None) -> object:
    return broker.client.ask(who, method, path, body).json()


def test_a_story_is_counted(service: Service, tmp_path: Path) -> None:
    """Each step once, over both workers; and Prometheus' own tool takes the real output."""
    store_hash = service.new_store()
    credential = {
        "kind": "b2b_password",
        "email": f"owner@{store_hash}.example",
        "password": "right password",
    }
    with own_broker(service.stack, tmp_path) as broker:
        _ask(
            broker, service.operator, "PUT", f"/v1/stores/{store_hash}", {"credential": credential}
        )
        proxied, redeemed = (
            str(_minted(broker, service, store_hash, access)["reference"])
            for access in ("proxy", "redeem")
        )
        broker.client.ask(service.worker, "GET", COMPANIES, Broker_Reference=proxied)
        for _ in range(2):
            _ask(broker, service.worker, "POST", "/v1/references/redeem", {"reference": redeemed})
        body = {"store_hash": store_hash}
        _ask(broker, service.operator, "POST", "/v1/references/revoke", body)

        counted = {series: broker.count(series) for series in STORY}
        digest = broker.count("b2b_broker_access_file_hash")
        made = broker.count(
            f'b2b_broker_keyring_key_timestamp_seconds{{key_id="{_key_id(service)}"}}'
        )
        page = urllib3.request("GET", f"http://127.0.0.1:{broker.ops_port}/metrics").data

    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0).timestamp()
    typed = set(re.findall(r"^# TYPE (\S+) ", page.decode(), re.MULTILINE))
    assert counted == STORY
    assert 0 < digest < 2**48
    assert today - 86_400 <= made <= today
    assert typed <= {metric.shown_name for metric in METRICS}
    assert store_hash.encode() not in page
    done = subprocess.run(  # noqa: S603 — our own arguments
        [tool("promtool"), "check", "metrics"], input=page, capture_output=True, check=False
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, b"")


def _minted(broker: OwnBroker, service: Service, store_hash: str, access: str) -> dict[str, object]:
    body = {"store_hash": store_hash, "audience": "k8s:commerce/order-worker", "access": access}
    reply = broker.client.ask(service.minter, "POST", "/v1/references", body)
    assert reply.status == 201, reply.content
    minted: dict[str, object] = reply.json()
    return minted


def _key_id(service: Service) -> str:
    return (service.stack.folder / "keyring" / "primary").read_text("ascii").strip()


def test_an_audit_trail_that_cannot_be_written_is_counted(service: Service, tmp_path: Path) -> None:
    """By each try, a request's or the broker's own."""
    with own_broker(service.stack, tmp_path, {"BROKER_AUDIT_FILE": "/dev/full"}) as broker:
        statuses = [
            broker.client.ask(service.operator, "GET", "/v1/stores").status for _ in range(3)
        ]

        def failures() -> float:
            series = "b2b_broker_audit_failures_total"
            reasons = ("audit_write_failed", "audit_blocked")
            return sum(broker.count(f'{series}{{reason="{reason}"}}') for reason in reasons)

        wait_until("three tries are counted", lambda: failures() >= 3, 10)

    assert statuses == [503] * 3


@pytest.mark.parametrize("workers", ["1", "2"])
def test_an_upstream_that_is_away_opens_the_circuit(
    service: Service, tmp_path: Path, workers: str
) -> None:
    """It is shown while any worker does not ask."""
    held = service.mint(service.active_store())
    settings = {"BROKER_UPSTREAM_URL": "http://127.0.0.1:1", "WEB_CONCURRENCY": workers}
    with own_broker(service.stack, tmp_path, settings) as broker:
        before = broker.count("b2b_broker_upstream_circuit_open")
        for _ in range(2 * FAILURES):
            broker.client.ask(service.worker, "GET", COMPANIES, Broker_Reference=held)
        wait_until("it is open", lambda: broker.count("b2b_broker_upstream_circuit_open") == 1, 5)

    assert before == 0
