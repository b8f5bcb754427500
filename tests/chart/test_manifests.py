"""The form for ``kubectl apply`` is the chart's."""

import yaml

from tests.support import chart_manifests
from tests.support.chart import KUBERNETES, run


def test_the_manifests_are_a_fresh_rendering() -> None:
    """``make chart`` writes them anew."""
    assert chart_manifests.MANIFESTS.read_text("utf-8") == chart_manifests.current()


def test_the_namespace_comes_first_and_holds_everything() -> None:
    """So that one ``kubectl apply`` is enough; the pods keep to the profile that it demands."""
    objects = list(yaml.safe_load_all(chart_manifests.MANIFESTS.read_text("utf-8")))

    spaces = {o["metadata"].get("namespace") for o in objects if "Cluster" not in o["kind"]}
    assert objects[0]["kind"] == "Namespace"
    assert objects[0]["metadata"]["labels"] == {"pod-security.kubernetes.io/enforce": "restricted"}
    assert spaces == {None, objects[0]["metadata"]["name"]}


def test_kubernetes_knows_the_manifests() -> None:
    """By its own schemas, strictly."""
    for version in KUBERNETES:
        done = run("kubernetes-validate", "--strict", "-k", version, str(chart_manifests.MANIFESTS))
        assert done.returncode == 0, done.stdout
