"""Real ``redis-server`` processes: a cluster of three primaries, each with one replica, on loopback."""

import contextlib
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import redis
from redis.crc import key_slot
from redis.exceptions import RedisError

from sandbox.demo.processes import Program, free_port, wait_until
from tests.support.redis_group import binary, start_server

_NODE_TIMEOUT_MILLIS = "1000"
_SLOTS = 16_384


class Shards:
    """The whole cluster."""

    def __init__(self, folder: Path, programs: dict[int, Program]) -> None:
        self.programs = programs
        self._folder = folder

    @property
    def url(self) -> str:
        """As ``BROKER_REDIS_URL``, with two of the nodes."""
        first, second, *_ = self.programs
        return f"redis+cluster://127.0.0.1:{first},127.0.0.1:{second}"

    def client(self) -> "redis.RedisCluster":
        """Return a client of the whole."""
        first = next(port for port in self.programs if self._is_there(port))
        return redis.RedisCluster(host="127.0.0.1", port=first)

    def node(self, port: int) -> "redis.Redis":
        """Return a client of one node."""
        return redis.Redis(port=port, socket_timeout=1, decode_responses=True)

    def primary_of(self, key: str) -> int:
        """Return the port of the primary that serves a key."""
        slot = self.slot(key)
        return next(port for first, last, port in self._slots() if first <= slot <= last)

    def primaries(self) -> list[int]:
        """Return the ports of all primaries."""
        return sorted({port for _, _, port in self._slots()})

    def make_whole(self) -> None:
        """Put everything back in order, and empty."""
        for port in self.programs:
            if not self._is_there(port):
                self.programs[port] = _start(self._folder, port)
        wait_until("the cluster is whole", self._is_whole)
        for port in self.primaries():
            with self.node(port) as node:
                node.flushall()
                node.script_flush()

    def slot(self, key: str) -> int:
        """Return the slot of a key."""
        return int(key_slot(key.encode()))

    @contextlib.contextmanager
    def moving(self, key: str) -> Iterator[Callable[[Callable[[str], bool]], None]]:
        """Have a key's slot on its way to another primary for the length of a block, then complete the move.

        Yields:
            What moves those keys of the slot that are chosen by their names.
        """
        slot, source = self.slot(key), self.primary_of(key)
        target = next(port for port in self.primaries() if port != source)
        ids = {port: self._ask(port, "CLUSTER", "MYID") for port in (source, target)}

        def move(chosen: Callable[[str], bool]) -> None:
            with self.node(source) as here:
                for name in self._ask(source, "CLUSTER", "GETKEYSINSLOT", slot, 1000):
                    if chosen(name):
                        here.migrate("127.0.0.1", target, name, 0, 5000)

        self._ask(target, "CLUSTER", "SETSLOT", slot, "IMPORTING", ids[source])
        self._ask(source, "CLUSTER", "SETSLOT", slot, "MIGRATING", ids[target])
        try:
            yield move
        finally:
            move(lambda _: True)
            for port in (target, source, *self.primaries()):
                self._ask(port, "CLUSTER", "SETSLOT", slot, "NODE", ids[target])

    def wait_until_replicated(self) -> None:
        """Wait until every replica has what its primary has."""

        def replicated() -> bool:
            return all(self._is_replicated(port) for port in self.primaries())

        wait_until("the replicas have it", replicated)

    def kill_a_replica(self) -> None:
        """End one replica without warning."""
        port = next(port for port in self.programs if port not in self.primaries())
        self.programs[port].kill()

    def _ask(self, port: int, *command: Any) -> Any:
        with self.node(port) as node:
            answer: Any = node.execute_command(*command)
        return answer

    def _slots(self, port: int = 0) -> list[tuple[int, int, int]]:
        """Return first and last slot and the primary's port of each range, as a node sees it; any, if none is named."""
        asked = port or next(port for port in self.programs if self._is_there(port))
        ranges = self._ask(asked, "CLUSTER SLOTS")
        return sorted((int(r[0]), int(r[1]), int(r[2][1])) for r in ranges)

    def _is_replicated(self, port: int) -> bool:
        with self.node(port) as node:
            state = node.info("replication")
        return bool(state["slave0"]["offset"] == state["master_repl_offset"])

    def _is_there(self, port: int) -> bool:
        with self.node(port) as node:
            try:
                return bool(node.ping())
            except RedisError:
                return False

    def _is_whole(self) -> bool:
        views = [self._slots(port) for port in self.programs]
        covered = sum(last - first + 1 for first, last, _ in views[0])
        return (
            all(view == views[0] for view in views)
            and covered == _SLOTS
            and all(self._is_content(port) for port in self.programs)
        )

    def _is_content(self, port: int) -> bool:
        """Tell whether a node serves, and has its replica or its primary."""
        if "'cluster_state': 'ok'" not in str(self._ask(port, "CLUSTER INFO")):
            return False
        with self.node(port) as node:
            state = node.info("replication")
        if state["role"] == "slave":
            return bool(state["master_link_status"] == "up")
        replica = state.get("slave0")
        return isinstance(replica, dict) and replica["state"] == "online"


def _start(folder: Path, port: int) -> Program:
    own = folder / str(port)
    own.mkdir(exist_ok=True)
    return start_server(
        own,
        port,
        *("--cluster-enabled", "yes", "--cluster-config-file", f"nodes-{port}.conf"),
        *("--cluster-node-timeout", _NODE_TIMEOUT_MILLIS, "--repl-diskless-sync-delay", "0"),
        *("--cluster-require-full-coverage", "no"),
    )


@contextlib.contextmanager
def running_shards(folder: Path) -> Iterator[Shards]:
    """Run a cluster of six nodes for the length of a block."""
    ports = [free_port() for _ in range(6)]
    programs: dict[int, Program] = {}
    with contextlib.ExitStack() as running:
        for port in ports:
            programs[port] = _start(folder, port)
            running.callback(_stop, programs, port)
        nodes = [f"127.0.0.1:{port}" for port in ports]
        create = ["--cluster", "create", *nodes, "--cluster-replicas", "1", "--cluster-yes"]
        subprocess.run(  # noqa: S603 — a program that was looked for, with arguments of our own
            [binary("redis-cli"), *create], check=True, capture_output=True, timeout=30
        )
        shards = Shards(folder, programs)
        wait_until("the cluster is whole", shards._is_whole)
        yield shards


def _stop(programs: dict[int, Program], port: int) -> None:
    programs[port].stop()  # whichever it is by then
