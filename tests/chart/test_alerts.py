"""Alerts and dashboard: valid, about metrics that the broker exports, and with something to do about each."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from service.adapters.metric_list import METRICS
from service.adapters.metrics import Metrics
from service.web import proxy
from service.web.edge import OPERATIONS
from tests.support.chart import CHART, ROOT, one, render, run

METRIC = re.compile(r"\bb2b_broker_\w+")
SELECTED = re.compile(r"(b2b_broker_\w+)\{([^}]*)\}")
MATCHER = re.compile(r'(\w+)(?:=|!=|=~|!~)"([^"]*)"')
GROUPED = re.compile(r"\bby \(([^)]*)\)")
FULL = CHART / "ci" / "full-values.yaml"
ROUTES = {operation.name for operation in OPERATIONS} | {proxy.NAME}
SCRAPED = {"namespace", "service"}
"""Labels that every series has from how it is scraped."""


def _exported() -> dict[str, set[str]]:
    """Return the labels of every series that the broker exports, by its name; also of those that nothing was counted in yet."""
    collectors = Metrics()._registry._collector_to_names
    return {
        name: {*getattr(collector, "_labelnames", ()), *({"le"} if "_bucket" in name else set())}
        for collector, names in collectors.items()
        for name in names
    }


def _strangers(query: str) -> set[str]:
    """Return what a query names that the broker does not export: metrics, their labels, and routes."""
    exported = _exported()
    names = set(METRIC.findall(query))
    assert names
    strangers = names - exported.keys()
    known = set().union(*(exported.get(name, set()) for name in names)) | SCRAPED
    for grouped in GROUPED.findall(query):
        strangers |= {label.strip() for label in grouped.split(",")} - known
    for name, selector in SELECTED.findall(query):
        for label, value in MATCHER.findall(selector):
            strangers |= {label} - exported.get(name, set()) - SCRAPED
            strangers |= set(value.split("|")) - ROUTES if label == "route" else set()
    return strangers


def _rules() -> list[dict[str, Any]]:
    rule = one(render(FULL), "PrometheusRule")
    rules: list[dict[str, Any]] = rule["spec"]["groups"][0]["rules"]
    return rules


def test_alerts_are_about_exported_metrics_of_this_release() -> None:
    """A query of a metric that nobody exports never fires."""
    for rule in _rules():
        assert _strangers(rule["expr"]) == set(), rule["alert"]
        assert rule["expr"].count("{") == rule["expr"].count('{namespace="secrets",service="broker')


def test_the_dashboard_is_about_exported_metrics() -> None:
    """And it is JSON."""
    maps = [m for m in render(FULL) if m["metadata"]["name"] == "broker-dashboard"]
    dashboard = json.loads(maps[0]["data"]["b2b-credential-broker.json"])

    shown = [panel for panel in dashboard["panels"] if panel["type"] != "row"]
    queries = [target["expr"] for panel in shown for target in panel["targets"]]
    assert {query: _strangers(query) for query in queries if _strangers(query)} == {}
    assert all('{namespace=~"$namespace",service=~"$service"' in query for query in queries)
    assert all(panel["description"] and panel["targets"] for panel in shown)


def test_every_metric_is_on_the_dashboard() -> None:
    """What is counted can be seen; a new metric gets its panel."""
    dashboard = (CHART / "files" / "dashboard.json").read_text("utf-8")
    shown = {re.sub("_(bucket|count|sum)$", "", name) for name in METRIC.findall(dashboard)}

    assert {metric.shown_name for metric in METRICS} - shown == set()


def test_panels_lie_beside_each_other() -> None:
    """Grafana would push one that covers another to where nobody looks for it."""
    dashboard = json.loads((CHART / "files" / "dashboard.json").read_text("utf-8"))
    places = [panel["gridPos"] for panel in dashboard["panels"]]

    cells = [
        (x, y)
        for place in places
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) == 23


@pytest.mark.parametrize(
    ("query", "stranger"),
    [
        ("rate(b2b_broker_misspelt_total[5m])", "b2b_broker_misspelt_total"),
        ('b2b_broker_stores{state="active"}', "state"),
        ("sum by (code) (b2b_broker_http_requests_total)", "code"),
        ('b2b_broker_http_requests_total{route=~"proxy|/v1/stores"}', "/v1/stores"),
    ],
)
def test_what_is_not_exported_is_found(query: str, stranger: str) -> None:
    """Metrics, labels and routes."""
    assert _strangers(query) == {stranger}


def test_prometheus_takes_the_dashboards_queries(tmp_path: Path) -> None:
    """With something in place of what Grafana fills in."""
    dashboard = json.loads((CHART / "files" / "dashboard.json").read_text("utf-8"))
    queries = [
        target["expr"].replace("$__rate_interval", "5m")
        for panel in dashboard["panels"]
        for target in panel.get("targets", [])
    ]
    rules = [{"record": f"panel:{n}", "expr": query} for n, query in enumerate(queries)]
    path = tmp_path / "rules.yaml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "it", "rules": rules}]}), "utf-8")

    done = run("promtool", "check", "rules", "--lint=none", str(path))

    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_leads_to_what_to_do() -> None:
    """The link is to a heading of the page."""
    page = (ROOT / "docs" / "operations.md").read_text("utf-8")
    headings = {heading.lower() for heading in re.findall(r"^#+ (\w+)$", page, re.MULTILINE)}

    links = [rule["annotations"]["runbook_url"] for rule in _rules()]
    assert {link.partition("#")[2] for link in links} <= headings
    assert all(link.startswith("docs/operations.md#") for link in links)


@pytest.fixture
def rules_file(tmp_path: Path) -> Path:
    """The rules as Prometheus reads them."""
    path = tmp_path / "rules.yaml"
    path.write_text(yaml.safe_dump(one(render(FULL), "PrometheusRule")["spec"]), "utf-8")
    return path


def test_prometheus_takes_the_alerts(rules_file: Path) -> None:
    """As its own tool sees them."""
    done = run("promtool", "check", "rules", str(rules_file))

    assert done.returncode == 0, done.stderr
    assert f"{len(_rules())} rules found" in done.stdout


_OURS = 'namespace="secrets",service="broker-ops"'
_BUCKETS = "b2b_broker_http_request_duration_seconds_bucket"
_HEALTHY = [
    # A slow upstream is not a slow broker.
    (f'{_BUCKETS}{{{_OURS},route="proxy",le="1.0"}}', "0+1x60"),
    (f'{_BUCKETS}{{{_OURS},route="proxy",le="2.5"}}', "0+10x60"),
    (f'{_BUCKETS}{{{_OURS},route="proxy",le="+Inf"}}', "0+10x60"),
    (f'b2b_broker_build_info{{{_OURS},version="1"}}', "1+0x60"),
    (f'b2b_broker_http_requests_total{{{_OURS},status="200"}}', "0+100x60"),
    (f"b2b_broker_storage_wiped{{{_OURS}}}", "0+0x60"),
    (f"b2b_broker_access_file_refused{{{_OURS}}}", "0+0x60"),
    (f"b2b_broker_issuing_paused{{{_OURS}}}", "0+0x60"),
    (f'b2b_broker_locks{{{_OURS},scope="all"}}', "0+0x60"),
    (f"b2b_broker_upstream_sunset_timestamp_seconds{{{_OURS}}}", "0+0x120"),
    (f'b2b_broker_stores{{{_OURS},status="active",style="auth_token"}}', "5+0x60"),
    # Long ago, and over.
    (f'b2b_broker_audit_failures_total{{{_OURS},reason="audit_blocked"}}', "0+1x3 3+0x60"),
    # The test's clock begins at 0, and a step is a minute.
    (f"b2b_broker_audit_head_timestamp_seconds{{{_OURS}}}", "0+60x60"),
    (f"b2b_broker_keyring_refused{{{_OURS}}}", "0+0x60"),
    (f"b2b_broker_primary_key_pending{{{_OURS}}}", "0+0x60"),
    (f'b2b_broker_redis_call_duration_seconds_count{{{_OURS},operation="use"}}', "0+100x60"),
    (f'b2b_broker_redis_errors_total{{{_OURS},operation="use",reason="redis_away"}}', "0+1x60"),
    (f"b2b_broker_upstream_circuit_open{{{_OURS}}}", "0+0x60"),
    # A rollout in each half hour is nothing.
    (f"b2b_broker_worker_start_time_seconds{{{_OURS}}}", "1+0x20 2+0x20 3+0x20"),
]
#: alert → the series that set it off, in place of or beside the healthy ones
_TROUBLE = {
    "B2BBrokerErrors": [(f'b2b_broker_http_requests_total{{{_OURS},status="503"}}', "0+10x60")],
    "B2BBrokerSlow": [
        (f'{_BUCKETS}{{{_OURS},route="mintReference",le="1.0"}}', "0+1x60"),
        (f'{_BUCKETS}{{{_OURS},route="mintReference",le="2.5"}}', "0+10x60"),
        (f'{_BUCKETS}{{{_OURS},route="mintReference",le="+Inf"}}', "0+10x60"),
    ],
    "B2BBrokerStorageWiped": [(f"b2b_broker_storage_wiped{{{_OURS}}}", "1+0x60")],
    "B2BBrokerAccessFileRefused": [(f"b2b_broker_access_file_refused{{{_OURS}}}", "1+0x60")],
    "B2BBrokerIssuingPaused": [(f"b2b_broker_issuing_paused{{{_OURS}}}", "1+0x60")],
    "B2BBrokerLocked": [(f'b2b_broker_locks{{{_OURS},scope="all"}}', "1+0x60")],
    "B2BBrokerStoreWithoutCredential": [
        (f'b2b_broker_stores{{{_OURS},status="needs_credential",style="none"}}', "1+0x60")
    ],
    "B2BBrokerUnknownOutcomes": [
        (f'b2b_broker_store_issues_total{{{_OURS},outcome="unknown"}}', "0+1x60")
    ],
    "B2BBrokerSecurityEvents": [
        (f'b2b_broker_security_events_total{{{_OURS},kind="foreign_token"}}', "0+5x60")
    ],
    "B2BBrokerUpstreamEnds": [
        # The test's clock begins at 0; a day later is soon.
        (f"b2b_broker_upstream_sunset_timestamp_seconds{{{_OURS}}}", "86400+0x120")
    ],
    "B2BBrokerAuditFails": [
        (f'b2b_broker_audit_failures_total{{{_OURS},reason="audit_blocked"}}', "0+1x60")
    ],
    "B2BBrokerAuditHeadsLate": [
        (f"b2b_broker_audit_head_timestamp_seconds{{{_OURS}}}", "0+60x40 2400+0x20")
    ],
    "B2BBrokerKeyringRefused": [(f"b2b_broker_keyring_refused{{{_OURS}}}", "1+0x60")],
    "B2BBrokerKeyPending": [(f"b2b_broker_primary_key_pending{{{_OURS}}}", "1+0x60")],
    "B2BBrokerRedisErrors": [
        (f'b2b_broker_redis_errors_total{{{_OURS},operation="use",reason="redis_away"}}', "0+5x60")
    ],
    "B2BBrokerUpstreamAway": [(f"b2b_broker_upstream_circuit_open{{{_OURS}}}", "1+0x60")],
    "B2BBrokerWorkersEnd": [(f"b2b_broker_worker_start_time_seconds{{{_OURS}}}", "0+1x60")],
}


def _fires(rules_file: Path, alert: str, series: list[tuple[str, str]]) -> bool:
    """Return whether an alert fires while there is data, once it has had time to wait for what it waits for."""
    query = f'count(ALERTS{{alertname="{alert}",alertstate="firing"}}) or vector(0)'
    at = "90m" if alert == "B2BBrokerUpstreamEnds" else "50m"
    test = {
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in series],
        "promql_expr_test": [
            {"expr": query, "eval_time": at, "exp_samples": [{"labels": "{}", "value": 1}]}
        ],
    }
    path = rules_file.parent / "test.yaml"
    document = {"rule_files": [str(rules_file)], "evaluation_interval": "1m", "tests": [test]}
    path.write_text(yaml.safe_dump(document), "utf-8")
    done = run("promtool", "test", "rules", str(path))
    assert done.returncode == 0 or "got:" in done.stdout + done.stderr, done.stderr
    return done.returncode == 0


@pytest.mark.parametrize("alert", _TROUBLE)
def test_an_alert_fires_in_its_trouble_and_not_without(rules_file: Path, alert: str) -> None:
    """Over series as the broker exports them."""
    bad = dict(_HEALTHY) | dict(_TROUBLE[alert])

    assert _fires(rules_file, alert, list(bad.items()))
    assert not _fires(rules_file, alert, _HEALTHY)


@pytest.mark.parametrize(
    ("another", "late"), [("0+60x60", "late"), ("0+0x60", "")], ids=["signs", "does not sign"]
)
def test_a_worker_that_never_signed_is_late_only_where_others_sign(
    rules_file: Path, another: str, late: str
) -> None:
    """Without a signing key all of them are at 0, and nobody is to be called for that."""
    series = [
        (f'b2b_broker_audit_head_timestamp_seconds{{{_OURS},pod="a"}}', "0+0x60"),
        (f'b2b_broker_audit_head_timestamp_seconds{{{_OURS},pod="b"}}', another),
    ]

    assert _fires(rules_file, "B2BBrokerAuditHeadsLate", series) is bool(late)


def test_the_absence_of_every_broker_is_told(rules_file: Path) -> None:
    """Also when another release is still there."""
    other = [('b2b_broker_build_info{namespace="other",service="x",version="1"}', "1+0x60")]

    assert _fires(rules_file, "B2BBrokerAbsent", other)
    assert not _fires(rules_file, "B2BBrokerAbsent", _HEALTHY)


def test_every_alert_is_set_off_by_a_test() -> None:
    """A new one has to show that it fires."""
    assert {rule["alert"] for rule in _rules()} == {*_TROUBLE, "B2BBrokerAbsent"}
