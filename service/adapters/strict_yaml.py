"""YAML read strictly: what two readers could understand differently, or what only slows a reader down, is refused.

Duplicate keys, anchors, aliases, merge keys, explicit types and deep nesting have no use in a list of grants.
"""

from collections.abc import Iterator
from typing import Any

import yaml

_DEEPEST = 20
_MERGE = "tag:yaml.org,2002:merge"


class BadYamlError(Exception):
    """It is not strict YAML; the text names the line and the rule, never what stood there."""


class _UniqueLoader(yaml.SafeLoader):
    """Refuses what two readers could understand differently."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002 — PyYAML's signature
        if any(key.tag == _MERGE for key, _ in node.value):
            raise BadYamlError(f"line {_line(node.start_mark)}: merge keys are not allowed")
        mapping = super().construct_mapping(node, deep)
        if len(mapping) != len(node.value):
            raise BadYamlError(f"line {_line(node.start_mark)}: a key stands twice")
        return mapping


def _refuse_features(events: Iterator[Any]) -> None:
    """Refuse what a list of grants has no use for: anchors, aliases, explicit types, and deep nesting, which is slow to read."""
    depth = 0
    for event in events:
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if getattr(event, "anchor", None) or getattr(event, "tag", None) or depth > _DEEPEST:
            raise BadYamlError(
                f"line {_line(event.start_mark)}: anchors, aliases, types and deep nesting are not allowed"
            )


def load_yaml(content: bytes) -> Any:
    """Return the value that ``content`` writes.

    Raises:
        BadYamlError: It is not strict YAML.
    """
    try:
        _refuse_features(yaml.parse(content, Loader=yaml.SafeLoader))
        return yaml.load(content, Loader=_UniqueLoader)  # noqa: S506 — a SafeLoader, stricter
    except yaml.MarkedYAMLError as error:
        raise BadYamlError(f"line {_line(error.problem_mark)}: not YAML") from None
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError):
        raise BadYamlError("not YAML") from None


def _line(mark: Any) -> int:
    return int(mark.line) + 1 if mark else 1
