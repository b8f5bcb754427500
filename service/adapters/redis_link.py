"""The link to Redis: one place that runs scripts, names keys and turns every error of the client library into ``StorageError``.

Three rules stand here and nowhere else:

* What has an effect is never repeated blindly. redis-py 8 would repeat each command up to ten times, also when only the reply was lost
  (security.md §0, finding 1), so its retries are off. Every script of ours that has an effect recognises its own work (by nonce, owner
  or the value it wrote), so asking once more *reads the outcome back*; that is what ``run`` does when the answer is unknown. Reads
  are tried a little longer.
* What has an effect counts only when enough replicas have it, where any are set. Too few in time is a refusal.
* Every key of one store carries the hash tag of its partition, so that each script stays in one slot of a cluster. ``use.lua`` and
  ``page.lua`` find further keys of the same partition by themselves.
"""

import contextlib
import hashlib
from collections.abc import Iterator, Sequence
from importlib.resources import files
from typing import Any

from redis.exceptions import NoScriptError, ResponseError

from service.adapters.calls import CallWatch, unwatched
from service.adapters.redis_connections import RedisOptions
from service.adapters.redis_errors import EVICTS, storage_error
from service.adapters.redis_node import Argument, Node, Wait, packed
from service.adapters.redis_nodes import Nodes
from service.adapters.redis_topology import nodes_of
from service.core.errors import StorageError
from service.core.reference import PARTITIONS, partition_of

Call = tuple[Sequence[str], Sequence[Argument]]
"""Keys and arguments."""

_PRELUDES = {
    "use": ("budget", "live", "locked"),
    "mint": ("locked",),
    "begin": ("locked",),
    "lower": ("budget",),
    "look": ("live",),
    "page": ("live",),
}
_EFFECT_TRIES = 2
_READ_TRIES = 3
_SCANNED_AT_ONCE = 500


class Partition:
    """The keys of one partition."""

    __slots__ = ("census", "due", "epochs", "locks", "prefix", "refused", "stores")

    def __init__(self, tag: str) -> None:
        self.prefix = f"b2b-broker:{{p{tag}}}:"
        self.epochs = f"{self.prefix}epochs"
        self.stores = f"{self.prefix}stores"
        self.due = f"{self.prefix}due"
        self.locks = f"{self.prefix}locks"
        self.census = f"{self.prefix}census"
        self.refused = f"{self.prefix}refused"

    def key(self, kind: str, name: str) -> str:
        """Return the key of one thing of this partition."""
        return f"{self.prefix}{kind}:{name}"


PARTITION = {f"{number:02d}": Partition(f"{number:02d}") for number in range(PARTITIONS)}


def home(store_hash: str) -> Partition:
    """Return the partition of a store."""
    return PARTITION[partition_of(store_hash)]


class Script:
    """A Lua script, known to Redis by its digest."""

    def __init__(self, name: str) -> None:
        folder = files("service.adapters") / "lua"
        parts = *_PRELUDES.get(name, ()), name
        source = "".join((folder / f"{part}.lua").read_text("utf-8") for part in parts)
        self.name = name
        self.source = source
        # Redis names scripts by SHA-1; nothing here relies on it being hard to forge.
        self.digest = hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()


class RedisLink:
    """Runs scripts on one Redis. Every method raises ``StorageError`` when Redis is away or refuses."""

    def __init__(
        self, nodes: Nodes, wait: Wait | None = None, watch: CallWatch = unwatched
    ) -> None:
        """Take the processes, what an effect waits for (None where there are no replicas), and who watches the calls."""
        self._nodes = nodes
        self._wait = wait
        self._watch = watch

    @classmethod
    def connect(
        cls, options: RedisOptions, wait: Wait | None = None, watch: CallWatch = unwatched
    ) -> "RedisLink":
        """Return a link; nothing is connected until the first use."""
        return cls(nodes_of(options), wait, watch)

    def run(self, script: Script, keys: Sequence[str], args: Sequence[Argument]) -> Any:
        """Run a script that has an effect and recognises its own work; an unknown outcome is read back once."""
        with self._watch(script.name):
            return self._one(script, (keys, args), _EFFECT_TRIES, self._wait)

    def run_many(self, script: Script, calls: Sequence[Call]) -> list[Any]:
        """Run a script that has an effect, which is harmless to have twice, in many places in one go."""
        with self._watch(script.name):
            return self._many(script, calls, _EFFECT_TRIES, self._wait)

    def read(self, script: Script, keys: Sequence[str], args: Sequence[Argument]) -> Any:
        """Run a script that has no effect."""
        with self._watch(script.name):
            return self._one(script, (keys, args), _READ_TRIES, None)

    def read_many(self, script: Script, calls: Sequence[Call]) -> list[Any]:
        """Run a script that has no effect in many places in one go."""
        with self._watch(script.name):
            return self._many(script, calls, _READ_TRIES, None)

    def zrangebylex_many(
        self, keys: Sequence[str], minimum: bytes, limit: int
    ) -> list[list[bytes]]:
        """Return the first ``limit`` members from ``minimum`` on of many sorted sets."""
        commands = [packed("ZRANGEBYLEX", key, minimum, "+", "LIMIT", 0, limit) for key in keys]
        with self._watch("zrangebylex"):
            return [_given(answer) for answer in self._ask(keys, commands, _READ_TRIES, None)]

    def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        """Return the values of many keys; None for one that is not there."""
        commands = [packed("GET", key) for key in keys]
        return [_given(answer) for answer in self._ask(keys, commands, _READ_TRIES, None)]

    def scan(self, pattern: str) -> Iterator[list[str]]:
        """Yield the keys of all processes that fit a pattern, some at a time; one that is there all the while is among them."""
        for node in self._nodes.primaries():
            cursor = b"0"
            while True:
                command = packed("SCAN", cursor, "MATCH", pattern, "COUNT", _SCANNED_AT_ONCE)
                cursor, keys = _given(node.ask([command], _READ_TRIES)[0])
                yield [key.decode("utf-8", "replace") for key in keys]
                if cursor == b"0":
                    break

    def hdel(self, key: str, fields: Sequence[str]) -> None:
        """Delete fields of a hash."""
        command = packed("HDEL", key, *fields)
        with self._watch("hdel"):
            _given(self._nodes.ask([key], [command], _EFFECT_TRIES, self._wait)[0])

    def ping(self) -> None:
        """See whether Redis is there and is what it should be.

        Of a cluster a part is enough to be there: a dead node should not keep the broker from the stores of the others.
        """
        with self._watch("ping"):
            nodes = self._nodes.primaries()
            failures = [error for node in nodes if (error := _failure(node)) is not None]
            evicting = [error for error in failures if error.reason == EVICTS]
            if evicting or len(failures) == len(nodes):
                raise (evicting or failures)[0]

    def close(self) -> None:
        """Close the idle connections."""
        with contextlib.suppress(StorageError):
            for node in self._nodes.primaries():
                node.drop()

    def _one(self, script: Script, call: Call, tries: int, wait: Wait | None) -> Any:
        keys, args = call
        command = packed("EVALSHA", script.digest, len(keys), *keys, *args)
        answer = self._nodes.ask(keys[:1], [command], tries, wait)[0]
        if isinstance(answer, NoScriptError):
            command = packed("EVAL", script.source, len(keys), *keys, *args)
            answer = self._nodes.ask(keys[:1], [command], tries, wait)[0]
        return _given(answer)

    def _many(
        self, script: Script, calls: Sequence[Call], tries: int, wait: Wait | None
    ) -> list[Any]:
        keys = [each[0] for each, _ in calls]
        commands = [
            packed("EVALSHA", script.digest, len(each), *each, *args) for each, args in calls
        ]
        answers = self._ask(keys, commands, tries, wait)
        for place, answer in enumerate(answers):
            if isinstance(answer, NoScriptError):
                answers[place] = self._one(script, calls[place], tries, wait)
        return [_given(answer) for answer in answers]

    def _ask(
        self, keys: Sequence[str], commands: Sequence[bytes], tries: int, wait: Wait | None
    ) -> list[Any]:
        """Ask as few processes as there are for what they have, and return the answers in the order of the commands."""
        answers: list[Any] = [None] * len(commands)
        for places in self._nodes.groups(keys):
            chosen = [keys[place] for place in places], [commands[place] for place in places]
            for place, answer in zip(places, self._nodes.ask(*chosen, tries, wait), strict=True):
                answers[place] = answer
        return answers


def _failure(node: Node) -> StorageError | None:
    try:
        node.greet()
    except StorageError as error:
        return error
    return None


def _given(answer: Any) -> Any:
    if isinstance(answer, ResponseError):
        raise storage_error(answer)
    return answer
