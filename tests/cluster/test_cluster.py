"""A real API server takes what the chart makes, and tells the broker who its callers are. Part of ``make cluster-test`` alone."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from sandbox.demo.processes import free_port, stopping, wait_until
from sandbox.demo.stack import broker_settings, make_keyring, start_broker, start_redis
from tests.cluster.control_plane import ControlPlane, running_control_plane
from tests.support.chart import CHART, MINIMAL, VALUES, one, render, tool
from tests.support.chart_manifests import MANIFESTS
from tests.support.http import Client

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]
OPERATORS = (
    ("monitoring.coreos.com", "ServiceMonitor", "servicemonitors"),
    ("monitoring.coreos.com", "PrometheusRule", "prometheusrules"),
    ("cert-manager.io", "Certificate", "certificates"),
)
PLACES = {
    "Namespace": "/api/v1/namespaces",
    "ServiceAccount": "/api/v1/namespaces/{}/serviceaccounts",
    "ConfigMap": "/api/v1/namespaces/{}/configmaps",
    "Service": "/api/v1/namespaces/{}/services",
    "Deployment": "/apis/apps/v1/namespaces/{}/deployments",
    "NetworkPolicy": "/apis/networking.k8s.io/v1/namespaces/{}/networkpolicies",
    "PodDisruptionBudget": "/apis/policy/v1/namespaces/{}/poddisruptionbudgets",
    "ClusterRole": "/apis/rbac.authorization.k8s.io/v1/clusterroles",
    "ClusterRoleBinding": "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
}


def _definition(group: str, kind: str, plural: str) -> dict[str, Any]:
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    names = {"kind": kind, "plural": plural, "singular": kind.lower()}
    spec = {"group": group, "scope": "Namespaced", "names": names, "versions": [version]}
    return {"metadata": {"name": f"{plural}.{group}"}, "spec": spec}


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """A control plane that knows the operators' kinds, and what the sets of values take for granted."""
    with running_control_plane(tmp_path_factory.mktemp("plane")) as running:
        for operator in OPERATORS:
            definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
            running.make(definitions, _definition(*operator))
        important = {"metadata": {"name": "important"}, "value": 1000}
        running.make("/apis/scheduling.k8s.io/v1/priorityclasses", important)
        runtime = {"metadata": {"name": "gvisor"}, "handler": "runsc"}
        running.make("/apis/node.k8s.io/v1/runtimeclasses", runtime)
        running.make_namespace("secrets")
        yield running


def _wait_for_pods(plane: ControlPlane, namespace: str) -> None:
    """Wait until every pod that is wanted was admitted."""
    path = f"/apis/apps/v1/namespaces/{namespace}/replicasets"

    def admitted() -> bool:
        sets = plane.ask("GET", path)[1]["items"]
        return bool(sets) and all(s["status"]["replicas"] == s["spec"]["replicas"] for s in sets)

    wait_until(f"pods in {namespace}", admitted)


@pytest.mark.parametrize("values", VALUES, ids=lambda path: path.stem)
def test_a_cluster_takes_every_set_of_values(plane: ControlPlane, values: Path) -> None:
    """Helm installs it where only pods of the restricted profile are admitted, and all its pods are."""
    release = values.stem
    plane.make_namespace(release)
    plane.make(PLACES["ServiceAccount"].format(release), {"metadata": {"name": "broker"}})

    done = subprocess.run(  # noqa: S603 — our own arguments
        [tool("helm"), "install", release, str(CHART), "-n", release, "-f", str(values)],
        env={"KUBECONFIG": str(plane.kubeconfig), "HOME": str(plane.kubeconfig.parent)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    _wait_for_pods(plane, "secrets" if "full" in release else release)


def test_a_cluster_takes_the_manifests(plane: ControlPlane) -> None:
    """Each with all its members, in their order, and the namespace admits the pods."""
    for manifest in yaml.safe_load_all(MANIFESTS.read_text("utf-8")):
        namespace = manifest["metadata"].get("namespace")
        plane.make(PLACES[manifest["kind"]].format(namespace), manifest)

    _wait_for_pods(plane, "b2b-broker")


def _access_file(plane: ControlPlane, text: str, folder: Path) -> Path:
    """Write the chart's access file with another address and other places for what a pod is given."""
    (folder / "token").write_text(plane.account_token("callers", "broker"), "utf-8")
    document = yaml.safe_load(text)
    server = {"ca_file": str(plane.ca_file), "token_file": str(folder / "token")}
    document["issuers"][0] |= {
        "jwks": {"url": f"{plane.url}/openid/v1/jwks", **server},
        "api_server": {"url": plane.url, **server},
    }
    path = folder / "access.yaml"
    path.write_text(yaml.safe_dump(document), "utf-8")
    return path


def test_a_cluster_tells_who_its_callers_are(plane: ControlPlane, tmp_path: Path) -> None:
    """With the chart's access file and rights: a caller is known, until its account is deleted; without the rights nobody is."""
    plane.make_namespace("callers")
    accounts = PLACES["ServiceAccount"].format("callers")
    for name in ("broker", "order-sync", "other"):
        plane.make(accounts, {"metadata": {"name": name}})
    manifests = render(
        MINIMAL, sets={"kubernetesCallers.check": "tokenReview", "fullnameOverride": "broker"}
    )
    binding = one(manifests, "ClusterRoleBinding")
    binding["subjects"][0]["namespace"] = "callers"
    plane.make(PLACES["ClusterRole"], one(manifests, "ClusterRole"))
    plane.make(PLACES["ClusterRoleBinding"], binding)
    access = _access_file(plane, one(manifests, "ConfigMap")["data"]["access.yaml"], tmp_path)
    caller = plane.account_token("callers", "order-sync", "b2b-broker")
    for_the_api_server = plane.account_token("callers", "order-sync")
    other = plane.account_token("callers", "other", "b2b-broker")

    redis_port, port, ops_port = free_port(), free_port(), free_port()
    keyring = make_keyring(tmp_path)
    settings = broker_settings(tmp_path, access, keyring, redis_port, "http://127.0.0.1:1")
    with (
        stopping(start_redis(tmp_path, redis_port)),
        stopping(start_broker(tmp_path, settings, port, ops_port)),
    ):
        client = Client(port)

        def asked(token: str) -> int:
            return client.ask(token, "GET", "/v1/whoami").status

        wait_until("the cluster's keys", lambda: asked(caller) == 200)
        assert (
            client.ask(caller, "GET", "/v1/whoami").json()["identity"] == "k8s:callers/order-sync"
        )
        assert asked(for_the_api_server) == 401
        assert plane.ask("DELETE", f"{accounts}/order-sync")[0] == 200
        wait_until("the deletion to count", lambda: asked(caller) == 401)
        path = f"{PLACES['ClusterRoleBinding']}/{binding['metadata']['name']}"
        assert plane.ask("DELETE", path)[0] == 200
        assert asked(other) == 503
        client.close()
