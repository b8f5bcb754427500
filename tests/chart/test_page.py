"""docs/kubernetes.md says what the chart does: its example is taken, and the values and commands that it names are there."""

import re
from pathlib import Path
from typing import Any

import yaml

from service.adapters.access_schema import parse_document
from tests.support.chart import CHART, MINIMAL, ROOT, one, render

PAGE = (ROOT / "docs" / "kubernetes.md").read_text("utf-8")
DEFAULTS: dict[str, Any] = yaml.safe_load((CHART / "values.yaml").read_text("utf-8"))
MAKEFILE = (ROOT / "Makefile").read_text("utf-8")


def test_its_example_is_one_that_the_chart_and_the_broker_take(tmp_path: Path) -> None:
    """The values render, and the grant in them is one that the broker would load."""
    found = re.findall(r"```yaml\n(image:.*?)```", PAGE, re.DOTALL)
    assert len(found) == 1
    path = tmp_path / "values.yaml"
    path.write_text(found[0], "utf-8")

    access = one(render(path), "ConfigMap")["data"]["access.yaml"]

    assert len(parse_document(access.encode()).grants) == 1


def test_the_chart_takes_the_values_that_it_shows(tmp_path: Path) -> None:
    """Each block beside the three values that have to be given."""
    shown = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    of_the_chart = [text for text in shown if yaml.safe_load(text).keys() <= DEFAULTS.keys()]

    assert len(of_the_chart) == 5
    for text in of_the_chart:
        path = tmp_path / "values.yaml"
        path.write_text(text, "utf-8")
        assert one(render(MINIMAL, path), "Deployment")


def test_the_values_that_it_names_are_there() -> None:
    """By their whole paths."""
    named = re.findall(r"`([a-zA-Z]+(?:\.[a-zA-Z]+)+)`", PAGE)
    paths = [name.split(".") for name in named if name.split(".")[0] in DEFAULTS]

    assert len(paths) > 10
    for path in paths:
        values: Any = DEFAULTS
        for step in path:
            assert step in values, ".".join(path)
            values = values[step]


def test_the_commands_of_this_repository_that_it_names_are_there() -> None:
    """Targets of the Makefile, and tests."""
    targets = set(re.findall(r"\bmake ([a-z-]+)", PAGE))

    assert targets >= {"image", "image-test", "cluster-test", "bench"}
    assert all(f"\n{target}:" in MAKEFILE for target in targets)
    assert all((ROOT / folder).is_dir() for folder in re.findall(r"\b(tests/[a-z/]+)", PAGE))
