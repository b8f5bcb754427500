"""Which Redis process serves what: the one protocol, and its simplest case."""

from collections.abc import Sequence
from typing import Any, Protocol

from service.adapters.redis_node import Node, Wait


class Nodes(Protocol):
    """The processes of one Redis, however many there are."""

    def ask(
        self, keys: Sequence[str], commands: Sequence[bytes], tries: int, wait: Wait | None
    ) -> list[Any]:
        """Send packed commands to the process that serves them, and return all answers; refusals of Redis are among them.

        Args:
            keys: One key of each command; all of one group.
            commands: What to send.
            tries: How often to ask while the outcome is unknown.
            wait: Which replicas must have what was done; None for reads, and where there are no replicas.

        Raises:
            StorageError: It is away, or not one whom we take; or what was done is not durable.
        """

    def groups(self, keys: Sequence[str]) -> list[list[int]]:
        """Return which keys, by their places, can be asked for in one go."""

    def primaries(self) -> list[Node]:
        """Return all processes that take writes.

        Raises:
            StorageError: They are not known, because nobody answers.
        """


class OneNode:
    """One process, or the primary of a group of them. Fulfils ``Nodes``."""

    def __init__(self, node: Node) -> None:
        self._node = node

    def ask(
        self, keys: Sequence[str], commands: Sequence[bytes], tries: int, wait: Wait | None
    ) -> list[Any]:
        """See ``Nodes.ask``."""
        if wait is None:
            return self._node.ask(commands, tries)
        return self._node.ask_durably(commands, tries, keys[0], wait)

    def groups(self, keys: Sequence[str]) -> list[list[int]]:
        """See ``Nodes.groups``."""
        return [list(range(len(keys)))] if keys else []

    def primaries(self) -> list[Node]:
        """See ``Nodes.primaries``."""
        return [self._node]
