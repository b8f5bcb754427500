"""Alerts and dashboard: valid, about metrics that the broker exports, and with something to do about each."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import yaml
from prometheus_client.parser import text_string_to_metric_families

from service.adapters.metrics import Metrics
from tests.support.chart import CHART, ROOT, one, render, tool

METRIC = re.compile(r"\bb2b_broker_\w+")
FULL = CHART / "ci" / "full-values.yaml"


def _exported() -> set[str]:
    metrics = Metrics()
    metrics.request("/v1/references", "POST", 201, 0.01)
    metrics.reference("mint", "ok")
    metrics.store_issued("issued")
    metrics.upstream_call("login", "ok")
    metrics.security_event("foreign_token")
    metrics.access_reload(taken=True)
    metrics.stores_counted({("active", "auth_token"): 1})
    families = text_string_to_metric_families(metrics.exposition()[0].decode())
    return {sample.name for family in families for sample in family.samples}


def _rules() -> list[dict[str, Any]]:
    rule = one(render(FULL), "PrometheusRule")
    rules: list[dict[str, Any]] = rule["spec"]["groups"][0]["rules"]
    return rules


def test_alerts_are_about_exported_metrics_of_this_release() -> None:
    """A query of a metric that nobody exports never fires."""
    for rule in _rules():
        named = set(METRIC.findall(rule["expr"]))
        assert named
        assert named <= _exported(), rule["alert"]
        assert rule["expr"].count("{") == rule["expr"].count('{namespace="shop",service="broker')


def test_the_dashboard_is_about_exported_metrics() -> None:
    """And it is JSON."""
    maps = [m for m in render(FULL) if m["metadata"]["name"] == "broker-dashboard"]
    dashboard = json.loads(maps[0]["data"]["b2b-credential-broker.json"])

    queries = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    named = {name for query in queries for name in METRIC.findall(query)}
    assert len(queries) >= len(dashboard["panels"])
    assert named <= _exported()


def test_every_alert_leads_to_what_to_do() -> None:
    """The link is to a heading of the page."""
    page = (ROOT / "docs" / "kubernetes.md").read_text("utf-8")
    headings = {heading.lower() for heading in re.findall(r"^#+ (\w+)$", page, re.MULTILINE)}

    links = [rule["annotations"]["runbook_url"] for rule in _rules()]
    assert {link.partition("#")[2] for link in links} <= headings
    assert all(link.startswith("docs/kubernetes.md#") for link in links)


def test_prometheus_takes_the_alerts(tmp_path: Path) -> None:
    """As its own tool sees them."""
    path = tmp_path / "rules.yaml"
    path.write_text(yaml.safe_dump(one(render(FULL), "PrometheusRule")["spec"]), "utf-8")

    done = subprocess.run(  # noqa: S603 — our own arguments
        [tool("promtool"), "check", "rules", str(path)], capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr
    assert f"{len(_rules())} rules found" in done.stdout
