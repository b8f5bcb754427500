"""The table of every value in the chart's README, from ``values.yaml`` and its comments.

``python -m tests.support.chart_readme`` writes it anew. Every value has a comment right above it.
"""

import json
import re
from collections.abc import Iterator

import yaml

from tests.support.chart import CHART

README = CHART / "README.md"
_BETWEEN = re.compile(r"(?<=<!-- values -->\n).*(?=<!-- /values -->)", re.DOTALL)


def current() -> str:
    """Return the README as it should be."""
    text = README.read_text("utf-8")
    return _BETWEEN.sub(lambda _: table((CHART / "values.yaml").read_text("utf-8")), text)


def table(values: str) -> str:
    """Return the table of a file of values.

    Raises:
        ValueError: A value has no comment.
    """
    lines = values.splitlines()
    rows = ["| Value | Default | Meaning |", "|---|---|---|"]
    document = yaml.compose(values)
    assert document is not None
    for path, line, default in _leaves(document, ()):
        shown = json.dumps(default, ensure_ascii=False)
        cells = (f"`{'.'.join(path)}`", f"`{shown}`", _comment_above(lines, line))
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join([*rows, ""])


def _leaves(
    node: yaml.Node, path: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], int, object]]:
    """Yield path, line and default of every value that stands on a line of its own."""
    assert isinstance(node, yaml.MappingNode)
    for key, value in node.value:
        here = (*path, key.value)
        if isinstance(value, yaml.MappingNode) and not value.flow_style:
            yield from _leaves(value, here)
        else:
            yield here, key.start_mark.line, yaml.safe_load(yaml.serialize(value))


def _comment_above(lines: list[str], line: int) -> str:
    words: list[str] = []
    while lines[line - 1 - len(words)].lstrip().startswith("#"):
        words.append(lines[line - 1 - len(words)].strip("# "))
    if not words:
        raise ValueError(f"no comment: {lines[line]}")
    return " ".join(reversed(words)).replace("<", "&lt;")


if __name__ == "__main__":
    README.write_text(current(), "utf-8")
