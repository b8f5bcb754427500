"""What belongs together in the chart's objects: namespaces, settings, files, accounts and certificates."""

from typing import Any

import pytest
import yaml

from service.settings import environment_names
from tests.support.chart import CHART, MINIMAL, VALUES, Manifest, environment, one, render

OF_THE_CLUSTER = {"ClusterRole", "ClusterRoleBinding"}
NOT_IN_THE_CHART: set[str] = set()
"""Settings that are left to ``extraEnv``, each with its reason beside it."""


def _values(name: str, **sets: object) -> list[Manifest]:
    return render(CHART / "ci" / f"{name}-values.yaml", sets=sets)


def _pod(manifests: list[Manifest]) -> dict[str, Any]:
    spec: dict[str, Any] = one(manifests, "Deployment")["spec"]["template"]["spec"]
    return spec


def test_every_setting_of_the_broker_can_be_set() -> None:
    """A new one gets a value in the chart and in one of its sets, or a place in ``NOT_IN_THE_CHART``."""
    told = {name for file in VALUES for name in environment(render(file))}

    assert set(environment_names().values()) - told == NOT_IN_THE_CHART


def test_every_object_lies_in_the_namespace_that_replaces_the_releases() -> None:
    """Also the account that gets the rights."""
    manifests = _values("full")

    elsewhere = [
        (m["kind"], m["metadata"]["name"])
        for m in manifests
        if m["kind"] not in OF_THE_CLUSTER and m["metadata"].get("namespace") != "secrets"
    ]
    subjects = one(manifests, "ClusterRoleBinding")["subjects"]
    assert elsewhere == [("ConfigMap", "demo-extra")], "only what was given as it is"
    assert subjects == [{"kind": "ServiceAccount", "name": "broker", "namespace": "secrets"}]


def test_the_certificate_is_for_the_names_of_the_service() -> None:
    """In the namespace that it is in, and kept in the secret that is mounted."""
    manifests = _values("mtls", namespaceOverride="secrets")
    certificate, service = one(manifests, "Certificate")["spec"], one(manifests, "Service")

    name = service["metadata"]["name"]
    tls = next(volume for volume in _pod(manifests)["volumes"] if volume["name"] == "tls")
    assert {name, f"{name}.secrets", f"{name}.secrets.svc"} <= set(certificate["dnsNames"])
    assert tls["secret"]["secretName"] == certificate["secretName"]


def test_the_audit_trail_goes_to_its_volume() -> None:
    """Which is the one place besides /tmp that can be written to."""
    container = _pod(_values("full"))["containers"][0]

    writable = {m["mountPath"] for m in container["volumeMounts"] if not m.get("readOnly")}
    assert environment(_values("full"))["BROKER_AUDIT_FILE"] == "/var/log/broker/audit.jsonl"
    assert writable == {"/tmp", "/var/log/broker", "/more"}  # noqa: S108 — a mount of its own
    assert "BROKER_AUDIT_FILE" not in environment(render(MINIMAL)), "stdout"


def _volume(manifests: list[Manifest], file: str) -> dict[str, Any]:
    """Return the volume that holds a file of the broker's container."""
    pod = _pod(manifests)
    mounts = pod["containers"][0]["volumeMounts"]
    name = next(mount["name"] for mount in mounts if mount["mountPath"] == file.rpartition("/")[0])
    return next(volume for volume in pod["volumes"] if volume["name"] == name)


@pytest.mark.parametrize(
    ("values", "setting", "secret", "key"),
    [
        ("vault", "BROKER_VAULT_TOKEN_FILE", "broker-vault", "vault-token"),
        ("vault", "BROKER_VAULT_CA_FILE", "vault-ca", "authority.crt"),
        ("vault", "BROKER_AUDIT_SIGNING_KEY_FILE", "broker-audit", "signing.pem"),
        ("kms", "BROKER_AWS_CREDENTIALS_FILE", "broker-aws", "shared-credentials"),
    ],
)
def test_a_setting_leads_to_its_entry_of_its_secret(
    values: str, setting: str, secret: str, key: str
) -> None:
    """Which the group may read and nobody else: the broker refuses a signing key that everybody can read."""
    manifests = _values(values)

    file = environment(manifests)[setting]
    found = _volume(manifests, file)["secret"]
    assert found["secretName"] == secret
    assert found["items"] == [{"key": key, "path": file.rpartition("/")[2]}]
    assert oct(found["defaultMode"]) == "0o440"


def test_an_agent_gives_the_broker_vaults_token() -> None:
    """Through a volume of the pod, which the broker only reads; no policy is between the two."""
    manifests = _values("kms")

    assert _volume(manifests, environment(manifests)["BROKER_VAULT_TOKEN_FILE"]) == {
        "name": "vault-token",
        "emptyDir": {"medium": "Memory"},
    }
    assert "8100" not in str(one(manifests, "NetworkPolicy"))


@pytest.mark.parametrize(
    ("values", "port", "peers"),
    [("vault", 8200, "vault"), ("vault", 4318, "traces"), ("kms", 443, "aws")],
)
def test_the_network_policy_has_the_way_to_what_is_used(values: str, port: int, peers: str) -> None:
    """To the peers that are given, or to every address."""
    given = yaml.safe_load((CHART / "ci" / f"{values}-values.yaml").read_text("utf-8"))

    def ways(manifests: list[Manifest]) -> list[Any]:
        rules = one(manifests, "NetworkPolicy")["spec"]["egress"]
        return [
            rule.get("to") for rule in rules if rule["ports"] == [{"port": port, "protocol": "TCP"}]
        ]

    assert given["networkPolicy"][peers] in ways(_values(values))
    assert None in ways(_values(values, **{f"networkPolicy.{peers}": []}))
    assert None not in ways(_values(values))


def test_an_account_and_rights_that_exist_are_not_made_again() -> None:
    """For clusters where somebody else makes them; the token is mounted all the same."""
    manifests = _values("openshift")

    kinds = {manifest["kind"] for manifest in manifests}
    assert not kinds & {"ServiceAccount", *OF_THE_CLUSTER}
    assert _pod(manifests)["serviceAccountName"] == "broker"
    assert "serviceAccountToken" in str(_pod(manifests)["volumes"])


def test_where_the_cluster_chooses_the_user_none_is_named() -> None:
    """Null removes a default."""
    security = _pod(_values("openshift"))["securityContext"]

    assert set(security) == {"runAsNonRoot", "fsGroupChangePolicy", "seccompProfile"}


def test_more_containers_are_beside_the_broker_and_before_it() -> None:
    """The broker stays the first, which `kubectl logs` and `exec` take."""
    spec = _pod(_values("full"))

    assert [container["name"] for container in spec["containers"]] == ["broker", "shipper"]
    assert [container["name"] for container in spec["initContainers"]] == ["before"]
    assert spec["hostUsers"] is False
    assert "hostUsers" not in _pod(render(MINIMAL))


def test_the_test_pod_asks_the_services_that_there_are() -> None:
    """On their own ports, also where health has a Service of its own."""
    manifests = _values("full")
    script = one(manifests, "Pod")["spec"]["containers"][0]["args"][0]

    ports = {
        manifest["metadata"]["name"]: manifest["spec"]["ports"][0]["port"]
        for manifest in manifests
        if manifest["kind"] == "Service"
    }
    assert ports == {"broker": 443, "broker-ops": 9090}
    assert 'HTTPSConnection("broker", 443,' in script
    assert 'HTTPConnection("broker-ops", 9090,' in script
