"""The chart, rendered by a real helm. Where there is none, tests of it are skipped, but in CI they fail."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
CHART = ROOT / "helm" / "b2b-credential-broker"
VALUES = sorted((CHART / "ci").glob("*-values.yaml"))
MINIMAL = CHART / "ci" / "minimal-values.yaml"
KUBERNETES = ("1.35", "1.36", "1.37")
Manifest = dict[str, Any]


def tool(name: str) -> str:
    """Return the path of a program, or skip the test; in CI, fail it."""
    path = shutil.which(name)
    if path is None and os.environ.get("CI") == "true":
        pytest.fail(f"{name} is not on PATH, and CI has to look at the chart")
    if path is None:
        pytest.skip(f"{name} is not on PATH")
    return path


def helm(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run helm and return what it said."""
    return run("helm", *arguments)


def run(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a program and return what it said."""
    return subprocess.run([tool(name), *arguments], capture_output=True, text=True, check=False)  # noqa: S603 — our own arguments


def render(
    *files: Path,
    kubernetes: str = KUBERNETES[-1],
    chart: Path = CHART,
    sets: Mapping[str, object] | None = None,
) -> list[Manifest]:
    """Return the objects of a release; ``sets`` maps paths, such as ``image.tag``, to values."""
    done = helm(*_arguments(chart, files, kubernetes, sets or {}))
    assert done.returncode == 0, done.stderr
    return [manifest for manifest in yaml.safe_load_all(done.stdout) if manifest]


def refusal(name: str, value: object) -> str:
    """Return what helm says about the minimal values with something wrong in them."""
    done = helm(*_arguments(CHART, (MINIMAL,), KUBERNETES[-1], {name: value}))
    assert done.returncode != 0, "it was taken"
    return done.stderr


def _arguments(
    chart: Path, files: tuple[Path, ...], kubernetes: str, sets: Mapping[str, object]
) -> list[str]:
    arguments = ["template", "demo", str(chart), "-n", "shop", "--kube-version", kubernetes]
    for file in files:
        arguments += ["-f", str(file)]
    for name, value in sets.items():
        arguments += ["--set-json", f"{name}={json.dumps(value)}"]
    return arguments


def one(manifests: list[Manifest], kind: str) -> Manifest:
    """Return the only object of a kind."""
    found = [manifest for manifest in manifests if manifest["kind"] == kind]
    assert len(found) == 1, [manifest["kind"] for manifest in manifests]
    return found[0]


def pods(manifests: list[Manifest]) -> Iterator[Manifest]:
    """Return the specification of every pod that would run."""
    for manifest in manifests:
        if manifest["kind"] == "Pod":
            yield manifest["spec"]
        if manifest["kind"] == "Deployment":
            yield manifest["spec"]["template"]["spec"]


def environment(manifests: list[Manifest]) -> dict[str, str]:
    """Return the broker's environment."""
    container = one(manifests, "Deployment")["spec"]["template"]["spec"]["containers"][0]
    return {variable["name"]: variable["value"] for variable in container["env"]}
