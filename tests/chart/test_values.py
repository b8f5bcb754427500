"""The chart's values: all documented, wrong ones refused by name, unsafe ones told."""

import json
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support import chart_readme
from tests.support.chart import CHART, MINIMAL, VALUES, refusal, render

DEFAULTS = yaml.safe_load((CHART / "values.yaml").read_text("utf-8"))
SCHEMA = json.loads((CHART / "values.schema.json").read_text("utf-8"))
UNUSED = {"global", "initialDelaySeconds", "successThreshold"} | {
    "supplementalGroups",
    "appArmorProfile",
    "seLinuxOptions",
    "localhostProfile",
}
"""Helm's own, and what a probe or a pod's security may have and ours has not."""


def _names(values: dict[str, Any], schema: dict[str, Any], path: str = "") -> Iterator[str]:
    """Yield what only one of the two knows."""
    schema = SCHEMA["$defs"][schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
    if "properties" not in schema:
        return
    assert schema["additionalProperties"] is False, path
    for name in (set(schema["properties"]) - UNUSED) ^ set(values):
        yield f"{path}.{name}"
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _names(value, schema["properties"].get(name, {}), f"{path}.{name}")


def test_the_schema_and_the_defaults_name_the_same_values() -> None:
    """The schema is closed, so a value that is only in one of them could never be set, or never be found."""
    assert list(_names(DEFAULTS, SCHEMA)) == []


def test_the_readme_has_every_value_as_it_is() -> None:
    """With its default and its comment, which each of them has; ``make chart`` writes it anew."""
    assert chart_readme.README.read_text("utf-8") == chart_readme.current()


def test_a_value_without_a_comment_is_told() -> None:
    """So that none gets into the table without its meaning."""
    with pytest.raises(ValueError, match="no comment:   b: 2"):
        chart_readme.table("# The meaning.\na:\n  # One.\n  c: 1\n  b: 2\n")


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("typo", 1, "additional properties 'typo' not allowed"),
        ("redis.tpyo", 1, "additional properties 'tpyo' not allowed"),
        ("image.repository", "", "still needed: image.repository (where"),
        ("image.repository", "Not an image", "/image/repository"),
        ("redis.url", "http://redis", "/redis/url"),
        ("redis.url", "", "still needed: redis.url (redis://"),
        ("keyring.existingSecret", "", "still needed: keyring.existingSecret (a secret"),
        ("image.tag", 1.0, "/image/tag"),
        ("image.digest", "sha256:short", "/image/digest"),
        ("replicaCount", 0, "/replicaCount"),
        ("broker.instance", "Prod", "/broker/instance"),
        ("broker.logLevel", "loud", "/broker/logLevel"),
        ("kubernetesCallers.check", "guess", "/kubernetesCallers/check"),
        ("upstream.url", "https://host/path", "/upstream/url"),
        ("upstream.url", "http://sandbox", "upstream.url: plain HTTP needs"),
        ("terminationGracePeriodSeconds", 34, "terminationGracePeriodSeconds: has to be"),
        ("tls.clientCA.existingSecret", "ca", "tls.clientCA: needs"),
        ("tls.trustedProxies", ["spiffe://a/b"], "tls.trustedProxies: needs"),
        ("tls.certManager.enabled", True, "tls.certManager.issuerRef.name"),
        ("redis.ca.existingSecret", "ca", "redis.ca: is for rediss://"),
        ("stores.mounted", [{"storeHash": "abc123"}], "/stores/mounted/0"),
        ("access.files", {"a/b": "x"}, "/access/files"),
        ("podSecurityContext.runAsUser", 0, "/podSecurityContext/runAsUser"),
        ("podSecurityContext.runAsNonRoot", False, "/podSecurityContext/runAsNonRoot"),
        ("podSecurityContext.sysctls", [], "additional properties 'sysctls' not allowed"),
        ("rollingUpdate.maxSurge", 0, "rollingUpdate: maxSurge or maxUnavailable"),
        ("rollingUpdate.maxSurge", "0%", "rollingUpdate: maxSurge or maxUnavailable"),
        ("rollingUpdate.maxSurge", "some", "/rollingUpdate/maxSurge"),
        ("upstream.requestsPerMinute", 0, "/upstream/requestsPerMinute"),
        ("hostUsers", "no", "/hostUsers"),
        ("keyring.vault.url", "http://vault:8200", "/keyring/vault/url"),
        (
            "keyring.vault.url",
            "https://vault:8200",
            "keyring.vault: needs existingSecret or tokenVol",
        ),
        (
            "keyring.vault",
            {"url": "https://vault", "existingSecret": "a", "tokenVolume": {"emptyDir": {}}},
            "with Vault's token, and not both",
        ),
        ("keyring.vault.existingSecret", "vault", "keyring.vault.url: where"),
        ("keyring.vault.transitMount", "/transit", "/keyring/vault/transitMount"),
        ("keyring.aws.kmsKey", "alias/broker", "keyring.aws.region: of which"),
        ("keyring.aws.credentials.existingSecret", "aws", "keyring.aws.kmsKey: which"),
        ("keyring.aws.url", "http://kms", "/keyring/aws/url"),
        ("traces.endpoint", "https://user:pw@collector", "/traces/endpoint"),
        ("access.files", {"access.yaml": "x"}, "access.files: access.yaml is made of"),
    ],
)
def test_a_wrong_value_is_refused_by_name(name: str, value: object, told: str) -> None:
    """By the schema, or by the chart where a schema cannot say it."""
    assert told in refusal(name, value)


def test_a_password_where_none_belongs_is_refused_and_not_repeated() -> None:
    """What helm says ends up in the logs of whatever deploys."""
    told = refusal("redis.url", "redis://broker:hunter2@redis:6379/0")

    assert "redis.url: is without user and password" in told
    assert "hunter2" not in told


def _notes(tmp_path: Path, *files: Path, sets: Mapping[str, object] | None = None) -> str:
    """Return NOTES.txt; helm itself shows it only with a cluster, so it is rendered as an object's text."""
    chart = tmp_path / "chart"
    shutil.copytree(CHART, chart, dirs_exist_ok=True)
    text = (chart / "templates" / "NOTES.txt").read_text("utf-8")
    (chart / "templates" / "_notes.tpl").write_text(
        f'{{{{ define "notes" }}}}{text}{{{{ end }}}}', "utf-8"
    )
    (chart / "templates" / "notes.yaml").write_text(
        'kind: Notes\ntext: {{ include "notes" . | toJson }}\n', "utf-8"
    )
    manifests = render(*files, chart=chart, sets=sets)
    return str(next(m["text"] for m in manifests if m["kind"] == "Notes"))


@pytest.mark.parametrize("values", VALUES, ids=lambda path: path.stem)
def test_notes_are_for_every_set_of_values(values: Path, tmp_path: Path) -> None:
    """They render, and name the release's API."""
    assert "API     http" in _notes(tmp_path, values)


def test_unsafe_values_are_told(tmp_path: Path) -> None:
    """Each by its name."""
    unsafe: dict[str, object] = {
        "redis.existingSecret": "",
        "redis.allowEvicting": True,
        "upstream.allowInsecure": True,
        "networkPolicy.enabled": False,
        "replicaCount": 1,
        "podDisruptionBudget.enabled": False,
        "broker.logLevel": "debug",
        "audit.volume": {"emptyDir": {}},
        "traces.endpoint": "http://collector:4318",
        "keyring.aws": {"kmsKey": "k", "region": "r", "credentials": {"existingSecret": "aws"}},
    }

    notes = _notes(tmp_path, MINIMAL, sets=unsafe)

    for name in (*unsafe, "tls", "redis.url", "image.digest", "audit.signingKey"):
        assert re.search(rf"\* {re.escape(name)}(\.credentials)?: ", notes), name
    assert "Nothing is allowed yet" in notes


@pytest.mark.parametrize(
    ("values", "peers"), [("vault", "vault"), ("vault", "traces"), ("kms", "aws")]
)
def test_a_way_to_everywhere_is_told(values: str, peers: str, tmp_path: Path) -> None:
    """Only as long as nobody says where the service is."""
    file = CHART / "ci" / f"{values}-values.yaml"
    told = f"* networkPolicy.{peers}: empty"

    assert told not in _notes(tmp_path, file)
    assert told in _notes(tmp_path, file, sets={f"networkPolicy.{peers}": []})


def test_safe_values_are_told_to_be_so(tmp_path: Path) -> None:
    """Nothing is cried over for nothing."""
    assert "Nothing in the given values is known to be unsafe." in _notes(
        tmp_path, CHART / "ci" / "full-values.yaml"
    )
