"""The ops port: alive, ready, counted."""

from functools import partial

import pytest
from flask.testing import FlaskClient

from service.adapters.metrics import Metrics
from service.web.ops import Check, create_ops_app


class Dependencies:
    """Two dependencies that can be taken away."""

    def __init__(self) -> None:
        self.problems = {"keyring": "", "redis": ""}

    def checks(self) -> tuple[Check, ...]:
        """Return what asks them."""
        return tuple(
            Check(name, partial(self.problems.__getitem__, name)) for name in self.problems
        )


@pytest.fixture
def dependencies() -> Dependencies:
    """Both are there."""
    return Dependencies()


@pytest.fixture
def ops(dependencies: Dependencies) -> FlaskClient:
    """The ops port over them, with real metrics."""
    return create_ops_app(dependencies.checks(), Metrics().exposition).test_client()


def test_a_ready_broker_shows_every_dependency(ops: FlaskClient) -> None:
    """Each is asked and named."""
    answer = ops.get("/readyz")

    assert (answer.status_code, answer.headers["Cache-Control"]) == (200, "no-store")
    assert answer.get_json() == {"status": "ready", "checks": {"keyring": "ok", "redis": "ok"}}


@pytest.mark.parametrize("lost", ["keyring", "redis"])
def test_a_lost_dependency_makes_it_not_ready_and_leaves_it_alive(
    ops: FlaskClient, dependencies: Dependencies, lost: str
) -> None:
    """An outage elsewhere must not restart the broker, and its end needs nothing from anybody."""
    dependencies.problems[lost] = "gone"
    down, alive = ops.get("/readyz"), ops.get("/livez")
    dependencies.problems[lost] = ""

    assert (down.status_code, down.get_json()["status"]) == (503, "not ready")
    assert down.get_json()["checks"] == {"keyring": "ok", "redis": "ok"} | {lost: "gone"}
    assert (alive.status_code, alive.get_json()) == (200, {"status": "alive"})
    assert ops.get("/readyz").status_code == 200


@pytest.mark.parametrize("path", ["/livez", "/metrics", "/no-such-path"])
def test_it_does_not_say_which_server_it_is(ops: FlaskClient, path: str) -> None:
    """Versions help those who look for holes."""
    assert ops.get(path).headers["Server"] == "b2b-broker"


def test_metrics_are_in_the_format_of_prometheus(ops: FlaskClient) -> None:
    """The content type is the exposition's own."""
    answer = ops.get("/metrics")

    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("text/plain; version=")
    assert "b2b_broker_build_info" in answer.text


@pytest.mark.parametrize("path", ["/v1/stores", "/docs", "/openapi.json"])
def test_the_ops_port_has_nothing_of_the_api(ops: FlaskClient, path: str) -> None:
    """It needs no proof of identity, so there is nothing on it to protect."""
    assert ops.get(path).status_code == 404
