"""``deploy/kubectl.yaml``: the chart rendered once, for ``kubectl apply``.

``python -m tests.support.chart_manifests`` writes it anew.
"""

from tests.support.chart import CHART, KUBERNETES, ROOT, helm

MANIFESTS = ROOT / "deploy" / "kubectl.yaml"
_VALUES = ROOT / "deploy" / "values.yaml"
_HEAD = "# Rendered from deploy/values.yaml and the chart by `make chart`; docs/kubernetes.md says how to apply it.\n"


def current() -> str:
    """Return the file as it should be."""
    arguments = ["template", "broker", str(CHART), "-f", str(_VALUES), "--no-hooks"]
    done = helm(*arguments, "--kube-version", KUBERNETES[-1])
    assert done.returncode == 0, done.stderr
    # The one thing in it that would not be true.
    return _HEAD + done.stdout.replace("managed-by: Helm", "managed-by: kubectl")


if __name__ == "__main__":
    MANIFESTS.write_text(current(), "utf-8")
