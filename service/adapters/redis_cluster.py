"""Redis Cluster: which node has which partition, and what to do when that changes.

redis-py finds the map (``CLUSTER SLOTS``, from whichever node answers); commands go over connections of our own, as everywhere. ``MOVED``,
``ASK`` and ``TRYAGAIN`` mean that a command was not executed, so it is sent again; for a moment only. What is down is looked for
again, at most once in a moment, by whoever comes next.
"""

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from redis.cluster import ClusterNode, NodesManager
from redis.crc import key_slot
from redis.exceptions import (
    AskError,
    MovedError,
    RedisClusterException,
    RedisError,
)

from service.adapters.redis_errors import asks_elsewhere, refused, storage_error
from service.adapters.redis_node import Node, Wait, packed
from service.core.errors import StorageError

Address = tuple[str, int]
FindMap = Callable[[Iterable[Address]], NodesManager]
_LOOK_AGAIN_SECONDS = 0.25
_MOVING_SECONDS = 1.0
_PAUSE_SECONDS = 0.02
_ASKING = packed("ASKING")


@dataclass(frozen=True, slots=True)
class _Map:
    """Who serves what: the primaries, and the one of each slot."""

    primaries: list[Node]
    by_slot: dict[int, Node]


class ClusterNodes:
    """The nodes of a cluster. Fulfils ``Nodes``."""

    def __init__(
        self, seeds: Sequence[Address], find: FindMap, node_at: Callable[[Address], Node]
    ) -> None:
        """Take whom to ask first, how to ask, and how a node is made."""
        self._seeds = seeds
        self._find = find
        self._node_at = node_at
        self._nodes: dict[Address, Node] = {}
        self._slots: dict[str, int] = {}
        self._map: _Map | None = None
        self._stale = True
        self._looked_at = float("-inf")
        self._looking = threading.Lock()

    def ask(
        self, keys: Sequence[str], commands: Sequence[bytes], tries: int, wait: Wait | None
    ) -> list[Any]:
        """See ``Nodes.ask``."""
        answers = self._ask(self._of(keys[0]), keys[0], commands, tries, wait)
        for place, answer in enumerate(answers):
            if asks_elsewhere(answer):
                answers[place] = self._follow(keys[place], commands[place], answer, tries, wait)
        return answers

    def groups(self, keys: Sequence[str]) -> list[list[int]]:
        """See ``Nodes.groups``."""
        found: dict[Node, list[int]] = {}
        for place, key in enumerate(keys):
            found.setdefault(self._of(key), []).append(place)
        return list(found.values())

    def primaries(self) -> list[Node]:
        """See ``Nodes.primaries``."""
        return self._known().primaries

    def _follow(self, key: str, command: bytes, answer: Any, tries: int, wait: Wait | None) -> Any:
        """Ask wherever an answer points to, until it is a real one, or for too long."""
        until = time.monotonic() + _MOVING_SECONDS
        while asks_elsewhere(answer):
            if time.monotonic() > until:
                raise storage_error(answer)
            if isinstance(answer, MovedError):
                self._stale = True
                node = self._node((answer.host, answer.port))
                answer = self._ask(node, key, [command], tries, wait)[0]
            elif isinstance(answer, AskError):
                # Each ASKING is good for one command; the last is for the one that goes before WAIT.
                node = self._node((answer.host, answer.port))
                answer = self._ask(node, key, [_ASKING, command, _ASKING], tries, wait)[1]
            else:
                time.sleep(_PAUSE_SECONDS)
                answer = self._ask(self._of(key), key, [command], tries, wait)[0]
        return answer

    def _ask(
        self, node: Node, key: str, commands: Sequence[bytes], tries: int, wait: Wait | None
    ) -> list[Any]:
        try:
            if wait is None:
                return node.ask(commands, tries)
            return node.ask_durably(commands, tries, key, wait)
        except StorageError:
            self._stale = True
            raise

    def _of(self, key: str) -> Node:
        known = self._known()
        tag = key[: key.index("}") + 1]
        slot = self._slots.get(tag)
        if slot is None:
            slot = self._slots[tag] = key_slot(tag.encode())
        node = known.by_slot.get(slot)
        if node is None:
            self._stale = True
            raise refused("redis_clusterdown")
        return node

    def _node(self, address: Address) -> Node:
        node = self._nodes.get(address)
        if node is None:
            node = self._nodes.setdefault(address, self._node_at(address))
        return node

    def _known(self) -> _Map:
        """Return the map, looked up again if something did not fit it; while one looks, the others use the old one."""
        if self._stale and (self._map is None or not self._looking.locked()):
            with self._looking:
                self._look()
        if self._map is None:
            raise refused("redis_away")
        return self._map

    def _look(self) -> None:
        if not self._stale or time.monotonic() < self._looked_at + _LOOK_AGAIN_SECONDS:
            return
        self._stale = False
        try:
            found = self._find(dict.fromkeys([*self._nodes, *self._seeds]))
        except (RedisClusterException, RedisError) as error:
            self._stale = True
            if self._map is None:
                cause = error.__cause__ if isinstance(error.__cause__, RedisError) else None
                raise (storage_error(cause) if cause else refused("redis_away")) from None
        else:
            by_slot = {
                slot: self._node((nodes[0].host, nodes[0].port))
                for slot, nodes in found.slots_cache.items()
            }
            found.close()
            serving = list(dict.fromkeys(by_slot.values()))
            self._map = _Map(serving, by_slot)
            # Those that are gone are not asked again.
            self._nodes = {place: node for place, node in self._nodes.items() if node in serving}
        finally:
            self._looked_at = time.monotonic()


def map_finder(arguments: dict[str, Any]) -> FindMap:
    """Return how redis-py asks for the map, with the arguments of its connections."""

    def find(addresses: Iterable[Address]) -> NodesManager:
        seeds = [ClusterNode(*address) for address in addresses]  # type: ignore[no-untyped-call]  # the library leaves it untyped
        return NodesManager(seeds, **arguments)

    return find
