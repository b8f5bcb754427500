"""The list of metrics: documented, named by Prometheus' conventions, and of bounded size."""

import ast
import os
import re
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from service.adapters.metric_list import METRICS, SECURITY_EVENTS
from service.adapters.metrics import MOST_SERIES, Metrics
from tests.support.chart import tool

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "metrics.md"
CORE = ROOT / "service" / "core"


def _table() -> str:
    rows = [
        f"| `{m.shown_name}` | {m.kind} | {', '.join(f'`{label}`' for label in m.labels)} | {m.meaning} |"
        for m in METRICS
    ]
    return "\n".join(["| Metric | Type | Labels | Meaning |", "|---|---|---|---|", *rows])


def _everything() -> Metrics:
    """Return metrics of which each has been told something."""
    metrics = Metrics()
    metrics.request("proxy", "GET", 200, 0.01)
    metrics.reference("mint", "ok")
    metrics.references_counted(3)
    metrics.stores_counted({("active", "auth_token"): 1})
    metrics.locks_counted(everything=False, stores=0)
    metrics.store_issued("issued")
    metrics.issuing_paused(paused=False)
    metrics.upstream_call("issue", "ok", 0.3)
    metrics.circuit_open(is_open=True)
    metrics.budget_left(0.5)
    metrics.budget_refusal("budget")
    metrics.redis_call("use", "redis_away", 0.45)
    metrics.keys_seen({"k20261123": 1.0})
    metrics.access_reload(taken=True)
    metrics.access_in_force("0" * 11 + "a" + "f" * 52)
    metrics.keyring_refused(refused=False)
    metrics.primary_pending(pending=False)
    metrics.records_counted({"k20261123": 3})
    metrics.audit_refused("audit_blocked")
    metrics.audit_head_signed(datetime.now(UTC))
    metrics.security_event("wrong_caller")
    return metrics


def test_the_page_lists_every_metric() -> None:
    """With its type, its labels and its help text, in the same order."""
    page = PAGE.read_text("utf-8")

    between = page.partition("<!-- metrics -->\n")[2].partition("\n<!-- /metrics -->")[0]

    assert between == _table()


def test_everything_on_the_list_is_exposed() -> None:
    """Nothing is described that nobody counts, and nothing counted that is not described."""
    text = _everything().exposition()[0].decode()

    typed = re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE)
    sampled = {
        re.sub(r"_(bucket|sum|count)$", "", s)
        for s in re.findall(r"^(b2b_\w+)", text, re.MULTILINE)
    }

    assert typed == [(m.shown_name, m.kind) for m in METRICS]
    assert sampled == {m.shown_name for m in METRICS}


def _promtool(text: bytes) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(  # noqa: S603 — our own arguments
        [tool("promtool"), "check", "metrics"], input=text, capture_output=True, check=False
    )


def test_prometheus_own_linter_has_nothing_to_say() -> None:
    """About names, units, suffixes and help texts; it does say something where they are wrong."""
    found = _promtool(_everything().exposition()[0])
    wrong = _promtool(b"# HELP a_counter Something.\n# TYPE a_counter counter\na_counter 1\n")

    assert (found.returncode, found.stdout + found.stderr) == (0, b"")
    assert wrong.returncode != 0


def test_names_and_buckets_keep_the_conventions() -> None:
    """Counters end with _total, times are in seconds, buckets rise."""
    for metric in METRICS:
        assert (metric.shown_name.endswith("_total")) == (metric.kind == "counter")
        assert metric.meaning.endswith(".")
        assert not re.search("milli|_ms|minutes", metric.shown_name)
        assert list(metric.buckets) == sorted(set(metric.buckets))


def _named_events(path: Path) -> Iterator[str]:
    """Yield the kinds of security events that a module names."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if not isinstance(node, ast.Call):
            continue
        name = getattr(node.func, "attr", getattr(node.func, "id", ""))
        if name == "security_event":
            yield from (str(a.value) for a in node.args if isinstance(a, ast.Constant))
        if name in ("IntegrityError", "TokenLeakError"):
            yield from (
                str(k.value.value) for k in node.keywords if isinstance(k.value, ast.Constant)
            )


def test_every_security_event_is_on_the_closed_list() -> None:
    """One that is not is counted as ``other``, so that the label has no more values than these."""
    named = {event for path in CORE.glob("*.py") for event in _named_events(path)}
    metrics = Metrics()
    metrics.security_event("made up")

    assert len(named) >= 9
    assert named <= SECURITY_EVENTS
    assert 'b2b_broker_security_events_total{kind="other"} 1.0' in metrics.exposition()[0].decode()


def test_the_number_of_series_is_bounded() -> None:
    """Even if an upstream thought up a status for each answer."""
    metrics = Metrics()
    for status in range(2000):
        metrics.request("proxy", "GET", status, 0.01)

    lines = metrics.exposition()[0].decode().splitlines()
    series = [line for line in lines if line.startswith("b2b_broker_http_requests_total{")]
    other = 'b2b_broker_http_requests_total{method="other",route="other",status="other"}'
    assert len(series) == MOST_SERIES + 1
    assert f"{other} {2000 - MOST_SERIES}.0" in series


@pytest.mark.parametrize("digest", ["0" * 64, "f" * 64, os.urandom(32).hex()])
def test_a_policy_is_shown_as_a_number_that_loses_nothing(digest: str) -> None:
    """A float holds 48 bits exactly, so that two replicas can be compared."""
    metrics = Metrics()
    metrics.access_in_force(digest)

    (line,) = re.findall(
        r"^b2b_broker_access_file_hash (\S+)$", metrics.exposition()[0].decode(), re.MULTILINE
    )
    assert int(float(line)) == int(digest[:12], 16)
