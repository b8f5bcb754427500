"""Metrics: what was counted is what is shown, for all threads and all workers."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from service import __version__
from service.adapters.metrics import MULTIPROCESS, Metrics
from tests.support.clock import START

ROOT = Path(__file__).resolve().parents[2]


def _shown(metrics: Metrics) -> list[str]:
    text, content_type = metrics.exposition()
    assert content_type.startswith("text/plain")
    return text.decode().splitlines()


def test_everything_counted_is_shown() -> None:
    """Each count under its name and labels, and which version this is."""
    metrics = Metrics()
    metrics.security_event("wrong_caller")
    metrics.store_issued("issued")
    metrics.reference("mint", "ok")
    metrics.reference("mint", "ok")
    metrics.budget_refusal("caller_share")
    metrics.upstream_call("check", "token_rejected", 0.2)
    metrics.request("/v1/stores", "GET", 200, 0.003)
    metrics.request("/v1/stores", "GET", 404, 7.0)

    lines = _shown(metrics)

    for line in (
        'b2b_broker_security_events_total{kind="wrong_caller"} 1.0',
        'b2b_broker_store_issues_total{outcome="issued"} 1.0',
        'b2b_broker_references_total{operation="mint",outcome="ok"} 2.0',
        'b2b_broker_budget_refusals_total{kind="caller_share"} 1.0',
        'b2b_broker_upstream_calls_total{operation="check",outcome="token_rejected"} 1.0',
        'b2b_broker_http_requests_total{method="GET",route="/v1/stores",status="404"} 1.0',
        'b2b_broker_http_request_duration_seconds_bucket{le="0.005",route="/v1/stores"} 1.0',
        'b2b_broker_http_request_duration_seconds_count{route="/v1/stores"} 2.0',
        f'b2b_broker_build_info{{version="{__version__}"}} 1.0',
    ):
        assert line in lines


def test_what_happens_to_keys_is_shown() -> None:
    """A key that nothing needs any more falls to zero, so that a rotation can be watched to its end."""
    metrics = Metrics()
    metrics.records_counted({"k1": 3, "k2": 1})
    metrics.records_counted({"k2": 4})
    metrics.primary_pending(pending=True)
    metrics.keyring_refused(True)  # noqa: FBT003 — the answer to one question

    lines = _shown(metrics)

    for line in (
        'b2b_broker_records{key_id="k1"} 0.0',
        'b2b_broker_records{key_id="k2"} 4.0',
        "b2b_broker_primary_key_pending 1.0",
        "b2b_broker_keyring_refused 1.0",
    ):
        assert line in lines


def test_the_alarm_of_refused_credentials_is_raised_and_ends() -> None:
    """One while no password is sent."""
    metrics = Metrics()
    shown = []
    for paused in (True, False):
        metrics.issuing_paused(paused=paused)
        shown.append([line for line in _shown(metrics) if line.startswith("b2b_broker_issuing")])

    assert shown == [["b2b_broker_issuing_paused 1.0"], ["b2b_broker_issuing_paused 0.0"]]


def test_what_there_are_no_stores_of_any_more_is_counted_as_none() -> None:
    """A number that is not told again would stand for ever."""
    metrics = Metrics()
    metrics.stores_counted({("active", "auth_token"): 3, ("pending", ""): 1})
    metrics.stores_counted({("active", "x_auth_token"): 3})

    lines = _shown(metrics)

    assert 'b2b_broker_stores{status="active",style="auth_token"} 0.0' in lines
    assert 'b2b_broker_stores{status="pending",style=""} 0.0' in lines
    assert 'b2b_broker_stores{status="active",style="x_auth_token"} 3.0' in lines


def test_threads_count_together() -> None:
    """Nothing is lost where several make the same child for the first time."""
    metrics = Metrics()

    def count(number: int) -> None:
        metrics.reference("use", f"outcome-{number % 3}")
        metrics.request("/", "GET", 200, 0.1)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(count, range(900)))

    lines = _shown(metrics)
    for number in range(3):
        line = f'b2b_broker_references_total{{operation="use",outcome="outcome-{number}"}} 300.0'
        assert line in lines
    assert 'b2b_broker_http_requests_total{method="GET",route="/",status="200"} 900.0' in lines


def test_two_instances_do_not_mix() -> None:
    """There is no registry of the module's own."""
    Metrics().store_issued("issued")

    assert "issued" not in Metrics().exposition()[0].decode()


def test_the_workers_counts_are_summed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each worker leaves its counts in the shared folder; whoever is asked adds them up."""
    code = "from service.adapters.metrics import Metrics; Metrics().store_issued('issued')"
    environment = {**os.environ, MULTIPROCESS: str(tmp_path), "PYTHONPATH": str(ROOT)}
    for _ in range(2):
        subprocess.run([sys.executable, "-c", code], env=environment, check=True)  # noqa: S603 — our own interpreter and code
    monkeypatch.setenv(MULTIPROCESS, str(tmp_path))

    assert 'b2b_broker_store_issues_total{outcome="issued"} 2.0' in _shown(Metrics())


def test_the_audit_trail_is_told_of() -> None:
    """How often it refused, and why; and when the last head was signed."""
    metrics = Metrics()

    metrics.audit_refused("audit_blocked")
    metrics.audit_refused("audit_blocked")
    metrics.audit_head_signed(START)

    content, _ = metrics.exposition()
    assert b'b2b_broker_audit_failures_total{reason="audit_blocked"} 2.0\n' in content
    shown = content.rpartition(b"b2b_broker_audit_head_timestamp_seconds ")[2].split(b"\n")[0]
    assert float(shown) == START.timestamp()
