"""What the chart makes of its values: security, wiring, rights and network."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from service.adapters.access_schema import parse_document
from service.setting_forms import redis_url
from service.settings import Settings, environment_names
from tests.support.chart import (
    CHART,
    KUBERNETES,
    MINIMAL,
    VALUES,
    Manifest,
    environment,
    helm,
    one,
    pods,
    render,
    run,
)

OPERATORS = ("monitoring.coreos.com/", "cert-manager.io/")

ADMITTED_VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "projected"} | {
    "image",
    "persistentVolumeClaim",
    "secret",
}
every_file = pytest.mark.parametrize("values", VALUES, ids=lambda path: path.stem)


def _values(name: str) -> list[Manifest]:
    return render(CHART / "ci" / f"{name}-values.yaml")


def _spec(manifests: list[Manifest]) -> dict[str, Any]:
    spec: dict[str, Any] = one(manifests, "Deployment")["spec"]["template"]["spec"]
    return spec


@every_file
def test_it_lints(values: Path) -> None:
    """Warnings count."""
    done = helm("lint", str(CHART), "--strict", "--kube-version", KUBERNETES[-1], "-f", str(values))

    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("kubernetes", KUBERNETES)
@every_file
def test_it_renders_the_same_for_the_last_three_minor_versions(
    values: Path, kubernetes: str
) -> None:
    """No object depends on the version, and none is there twice."""
    manifests = render(values, kubernetes=kubernetes)

    names = [(m["apiVersion"], m["kind"], m["metadata"]["name"]) for m in manifests]
    assert len(set(names)) == len(names)
    assert manifests == render(values)


@pytest.mark.parametrize("kubernetes", KUBERNETES)
def test_kubernetes_knows_every_member_of_every_object(kubernetes: str, tmp_path: Path) -> None:
    """By its own schemas, strictly; only the operators' kinds have none there."""
    paths, objects = [], 0
    for values in VALUES:
        ours = [m for m in render(values) if not m["apiVersion"].startswith(OPERATORS)]
        paths.append(tmp_path / values.name)
        paths[-1].write_text(yaml.safe_dump_all(ours), "utf-8")
        objects += len(ours)

    done = run("kubernetes-validate", "--strict", "-k", kubernetes, *map(str, paths))

    said = (done.stdout + done.stderr).splitlines()
    assert [line for line in said if " passed for resource " not in line] == []
    assert (done.returncode, len(said)) == (0, objects)


def _user(values: Path) -> int | None:
    """Return who the pods run as: on OpenShift, who it says."""
    return None if "openshift" in values.name else 65532


@every_file
def test_every_pod_keeps_to_the_restricted_profile(values: Path) -> None:
    """Pod Security "restricted", rule by rule, and a root file system that nobody writes to."""
    for spec in pods(render(values)):
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec)
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"].get("runAsUser") == _user(values)
        assert spec["securityContext"]["seccompProfile"]["type"] in ("RuntimeDefault", "Localhost")
        assert spec["automountServiceAccountToken"] is False
        assert spec["enableServiceLinks"] is False
        for volume in spec.get("volumes", []):
            assert set(volume) - {"name"} <= ADMITTED_VOLUMES
        for container in spec.get("initContainers", []) + spec["containers"]:
            security = container["securityContext"]
            assert security["allowPrivilegeEscalation"] is False
            assert security["readOnlyRootFilesystem"] is True
            assert security["runAsNonRoot"] is True
            assert security["capabilities"] == {"drop": ["ALL"]}
            assert "privileged" not in security
            assert "hostPort" not in str(container.get("ports"))
            assert "'host':" not in str(container)


@every_file
def test_every_variable_is_a_setting(values: Path) -> None:
    """An unknown BROKER_ name would stop the start; OpenTelemetry's own names are not the broker's."""
    others = ("TZ", "OTEL_EXPORTER_OTLP_ENDPOINT")
    names = [name for name in environment(render(values)) if name not in others]

    assert set(names) <= set(environment_names().values())
    assert len(set(names)) == len(names)


@every_file
def test_every_variable_has_a_value_that_the_broker_takes(
    values: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The values that the schema admits are those that the settings admit."""
    for name, value in environment(render(values)).items():
        monkeypatch.setenv(name, value)

    settings = Settings()

    assert settings.keyring_dir == "/etc/broker/keyring"
    assert settings.ops_bind == "0.0.0.0:9090"


@every_file
def test_every_file_that_is_named_is_mounted(values: Path) -> None:
    """A setting that names a file lies under a mount, and every mount has its volume."""
    manifests = render(values)
    spec = _spec(manifests)
    mounts = {mount["mountPath"]: mount["name"] for mount in spec["containers"][0]["volumeMounts"]}

    for name, value in environment(manifests).items():
        if name.endswith(("_FILE", "_DIR")):
            assert any(value == path or value.startswith(f"{path}/") for path in mounts), name
    assert set(mounts.values()) == {volume["name"] for volume in spec["volumes"]}
    assert "subPath" not in str(spec), "such a mount never changes"


@every_file
def test_secrets_are_mounted_for_the_brokers_group_alone(values: Path) -> None:
    """The broker refuses keys that everybody can read; and the chart itself makes no secret."""
    manifests = render(values)

    for volume in _spec(manifests)["volumes"]:
        source = volume.get("secret") or volume.get("projected")
        assert source is None or source["defaultMode"] == 0o440
    assert "Secret" not in {manifest["kind"] for manifest in manifests}


@every_file
def test_the_access_file_is_one_that_the_broker_takes(values: Path) -> None:
    """Its schema is the broker's own."""
    maps = [m for m in render(values) if "access.yaml" in m.get("data", {})]

    assert maps or "full" in values.name
    for found in maps:
        assert parse_document(found["data"]["access.yaml"].encode()).version == 1


@every_file
def test_the_address_of_redis_is_one_that_the_broker_takes(values: Path) -> None:
    """Ports of the network policy are those that stand in it."""
    manifests = render(values)
    url = environment(manifests)["BROKER_REDIS_URL"]
    policies = [m["spec"] for m in manifests if m["kind"] == "NetworkPolicy"]

    assert redis_url(url) == url
    assert bool(policies) == ("openshift" not in values.name)
    for policy in policies:
        opened = {port["port"] for rule in policy["egress"] for port in rule["ports"]}
        assert {int(port) for port in re.findall(r":(\d+)", url)} <= opened


def test_a_rollout_loses_no_pod_before_the_next_is_ready() -> None:
    """The sleep before the stop, time to end what is under way, and drains one at a time."""
    manifests = render(MINIMAL)
    deployment, spec = one(manifests, "Deployment")["spec"], _spec(manifests)

    assert deployment["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}
    sleep = spec["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert spec["terminationGracePeriodSeconds"] >= sleep + 25 + 5
    budget = one(manifests, "PodDisruptionBudget")["spec"]
    assert budget["unhealthyPodEvictionPolicy"] == "AlwaysAllow"
    assert [c["topologyKey"] for c in spec["topologySpreadConstraints"]] == [
        "topology.kubernetes.io/zone",
        "kubernetes.io/hostname",
    ]


def test_probes_ask_the_ops_port() -> None:
    """Liveness depends on nothing; readiness on what the broker needs."""
    container = _spec(render(MINIMAL))["containers"][0]

    asked = {k: container[f"{k}Probe"]["httpGet"] for k in ("startup", "liveness", "readiness")}
    assert asked == {
        "startup": {"path": "/livez", "port": "ops"},
        "liveness": {"path": "/livez", "port": "ops"},
        "readiness": {"path": "/readyz", "port": "ops"},
    }


@pytest.mark.parametrize(
    ("check", "rules"),
    [
        ("jwks", [{"nonResourceURLs": ["/openid/v1/jwks"], "verbs": ["get"]}]),
        (
            "tokenReview",
            [
                {"nonResourceURLs": ["/openid/v1/jwks"], "verbs": ["get"]},
                {
                    "apiGroups": ["authentication.k8s.io"],
                    "resources": ["tokenreviews"],
                    "verbs": ["create"],
                },
            ],
        ),
    ],
)
def test_rights_in_the_cluster_are_those_of_the_check(check: str, rules: list[object]) -> None:
    """And the token for them is in the place where the broker looks for it."""
    manifests = render(MINIMAL, sets={"kubernetesCallers.check": check})

    assert one(manifests, "ClusterRole")["rules"] == rules
    assert "serviceAccountToken" in str(_spec(manifests)["volumes"])


def test_without_a_check_there_are_no_rights_no_token_and_no_way_to_the_api_server() -> None:
    """Callers with certificates need nothing of the cluster."""
    manifests = _values("mtls")

    assert not {m["kind"] for m in manifests} & {"ClusterRole", "ClusterRoleBinding", "Role"}
    assert "serviceAccountToken" not in str(manifests)
    assert "6443" not in str(one(manifests, "NetworkPolicy"))


def test_the_network_is_closed_but_for_what_is_needed() -> None:
    """In: labelled clients. Out: DNS, Redis, API server, and public addresses on the upstream's port."""
    policy = one(render(MINIMAL), "NetworkPolicy")["spec"]

    ports = [[port["port"] for port in rule["ports"]] for rule in policy["egress"]]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert ports == [[53, 53], [6379], [443, 6443], [443]]
    assert "10.0.0.0/8" in policy["egress"][-1]["to"][0]["ipBlock"]["except"]
    first = policy["ingress"][0]
    label = {"b2b-credential-broker/client": "true"}
    assert first["from"][0]["podSelector"]["matchLabels"] == label
    assert [port["port"] for port in first["ports"]] == [8080]


def test_the_ops_port_is_for_monitoring_and_the_test_pod_alone() -> None:
    """It asks for no proof of identity."""
    rules = one(_values("full"), "NetworkPolicy")["spec"]["ingress"]

    admitted = [
        rule["from"] for rule in rules if {"port": 9090, "protocol": "TCP"} in rule["ports"]
    ]
    monitoring = {"kubernetes.io/metadata.name": "monitoring"}
    test_pod = {"app.kubernetes.io/instance": "demo", "app.kubernetes.io/component": "test"}
    assert admitted == [
        [{"namespaceSelector": {"matchLabels": monitoring}}],
        [{"podSelector": {"matchLabels": test_pod}}],
    ]


def test_scaling_leaves_the_number_of_replicas_to_the_scaler() -> None:
    """Otherwise every upgrade would set it back."""
    manifests = _values("full")

    assert "replicas" not in one(manifests, "Deployment")["spec"]
    assert one(manifests, "HorizontalPodAutoscaler")["spec"]["minReplicas"] == 2


def test_the_ops_port_never_leaves_the_cluster_with_the_api() -> None:
    """It asks for no proof of identity."""
    services = [m for m in _values("full") if m["kind"] == "Service"]

    ports = {s["spec"]["type"]: [port["name"] for port in s["spec"]["ports"]] for s in services}
    assert ports == {"LoadBalancer": ["https"], "ClusterIP": ["ops"]}


def test_mounted_credentials_lie_where_the_broker_looks() -> None:
    """``<store hash>/email`` and ``password``, or ``access_token``."""
    volumes = {volume["name"]: volume for volume in _spec(_values("full"))["volumes"]}

    sources = volumes["stores"]["projected"]["sources"]
    paths = [item["path"] for source in sources for item in source["secret"]["items"]]
    assert paths == ["abc123/email", "abc123/password", "def456/access_token"]


def test_selectors_choose_the_broker_and_not_the_test_pod() -> None:
    """A test pod must get no traffic and not count for the budget."""
    manifests = render(MINIMAL)
    labels = one(manifests, "Pod")["metadata"]["labels"]

    selector = one(manifests, "Service")["spec"]["selector"]
    pod_labels = one(manifests, "Deployment")["spec"]["template"]["metadata"]["labels"]
    assert not selector.items() <= labels.items()
    assert selector.items() <= pod_labels.items()


def test_the_charts_version_is_the_programs() -> None:
    """The image's default tag is the version that the chart was made for."""
    from service import __version__

    assert yaml.safe_load((CHART / "Chart.yaml").read_text("utf-8"))["appVersion"] == __version__
