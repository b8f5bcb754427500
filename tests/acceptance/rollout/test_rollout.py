"""A rolling restart under load, with local processes that are stopped in the kubelet's order: no request is lost."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from sandbox.demo.processes import wait_until
from sandbox.demo.stack import broker_settings
from tests.acceptance.rollout.deployment import Timing, running_pods
from tests.acceptance.rollout.load import Load
from tests.support.chart import CHART
from tests.support.service import Service

CHART_VALUES: dict[str, Any] = yaml.safe_load((CHART / "values.yaml").read_text("utf-8"))
CHARTS = Timing(
    lag=2,
    pre_stop=CHART_VALUES["preStopSeconds"],
    grace=CHART_VALUES["terminationGracePeriodSeconds"],
)
"""The chart's own times, and the lag of a large cluster."""
SHORT = Timing(lag=0.5, pre_stop=2, grace=CHARTS.grace)


@pytest.fixture
def settings(service: Service) -> dict[str, str]:
    """What every replica is told."""
    stack = service.stack
    access, keyring = stack.folder / "access.yaml", stack.folder / "keyring"
    chosen = broker_settings(stack.folder, access, keyring, stack.redis_port, stack.upstream_url)
    return chosen | {"WEB_CONCURRENCY": "1", "BROKER_UPSTREAM_REQUESTS_PER_MINUTE": "1000000"}


def test_a_rolling_restart_at_load_loses_no_request(
    service: Service, settings: dict[str, str], tmp_path: Path
) -> None:
    """Three replicas are replaced under a hundred requests a second; each old one ends by itself, and in time."""
    with (
        running_pods(tmp_path, settings, SHORT) as deployment,
        Load(service, deployment.endpoints, per_second=100) as load,
    ):
        deployment.restart()
        load.wait_for_more()

    assert load.lost == []
    assert deployment.exit_codes == [0, 0, 0]
    assert min(load.answered[what] for what in ("minted", "redeemed", "proxied")) > 50


def test_without_the_sleep_requests_are_lost(
    service: Service, settings: dict[str, str], tmp_path: Path
) -> None:
    """The sleep before SIGTERM is what carries a rollout over the time in which clients still follow the old endpoints."""
    timing = replace(SHORT, pre_stop=0)
    with (
        running_pods(tmp_path, settings, timing) as deployment,
        Load(service, deployment.endpoints, per_second=100) as load,
    ):
        deployment.delete_pod(deployment.pods[0])
        wait_until("a lost request", lambda: len(load.lost) > 0)

    assert all("Connection" in lost for lost in load.lost)


@pytest.mark.chaos
@pytest.mark.timeout(600)
def test_restarts_with_the_charts_own_times_lose_no_request(
    service: Service,
    settings: dict[str, str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Five restarts, one after the other, at two hundred requests a second; tells how many requests there were."""
    with (
        running_pods(tmp_path, settings, CHARTS) as deployment,
        Load(service, deployment.endpoints, per_second=200) as load,
    ):
        for _ in range(5):
            deployment.restart()
        load.wait_for_more()

    with capsys.disabled():
        print(f"\n{load.answered.total()} requests, {len(load.lost)} lost")  # noqa: T201 — the figure for docs/kubernetes.md
    assert load.lost == []
    assert deployment.exit_codes == [0] * 15
