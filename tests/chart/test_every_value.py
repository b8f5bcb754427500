"""No value is set in vain: each does something, in at least one of the complete sets of values."""

from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.chart import CHART, VALUES, helm

DEFAULTS: dict[str, Any] = yaml.safe_load((CHART / "values.yaml").read_text("utf-8"))
ALWAYS_THE_SAME = {"podSecurityContext.runAsNonRoot"}
"""The schema admits no other value."""


def _paths(values: dict[str, Any], defaults: dict[str, Any], above: str = "") -> Iterator[str]:
    """Yield what is set, down to where the chart's own objects end and those of Kubernetes begin."""
    for name, value in values.items():
        default = defaults.get(name)
        if isinstance(value, dict) and isinstance(default, dict) and default:
            yield from _paths(value, default, f"{above}{name}.")
        else:
            yield f"{above}{name}"


def _read(file: Path) -> dict[str, Any]:
    values: dict[str, Any] = yaml.safe_load(file.read_text("utf-8"))
    return values


def _without(values: dict[str, Any], path: str) -> dict[str, Any]:
    copy = deepcopy(values)
    *above, name = path.split(".")
    holder = copy
    for step in above:
        holder = holder[step]
    del holder[name]
    return copy


def test_the_sets_of_values_name_every_value() -> None:
    """So that each is rendered and checked."""
    named = {path for file in VALUES for path in _paths(_read(file), DEFAULTS)}

    assert set(_paths(DEFAULTS, DEFAULTS)) - named == ALWAYS_THE_SAME


@pytest.mark.parametrize("file", VALUES, ids=lambda path: path.stem)
def test_without_a_value_something_else_is_rendered(file: Path, tmp_path: Path) -> None:
    """Or the rest is refused; a value that no template reads would make no difference."""
    values = _read(file)
    path = tmp_path / "values.yaml"

    def rendered(some: dict[str, Any]) -> tuple[int, str]:
        path.write_text(yaml.safe_dump(some), "utf-8")
        done = helm("template", "demo", str(CHART), "-f", str(path))
        return done.returncode, done.stdout

    whole = rendered(values)

    assert whole[0] == 0
    idle = [name for name in _paths(values, DEFAULTS) if rendered(_without(values, name)) == whole]
    assert idle == []
