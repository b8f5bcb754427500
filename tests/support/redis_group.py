"""Real ``redis-server`` processes: a primary with two replicas and three sentinels, on loopback.

Everybody knows everybody by the port of a fault proxy, so that any of them can be cut off from all others, also after a failover.

A sentinel connects to one address at most once a second, also after it has chosen another primary. One that is "down" in less than that
is given up as soon as it was chosen, and whoever came back meanwhile may be the next: hence 1.5 s.
"""

import contextlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import redis
from redis.exceptions import RedisError

from sandbox.demo.processes import Program, accepts, free_port, stopping, wait_until
from tests.support.fault_proxy import FaultProxy, fault_proxy

NAME = "b2b"
_SENTINEL = """\
port {port}
bind 127.0.0.1
dir {folder}
sentinel monitor {name} 127.0.0.1 {primary} 2
sentinel down-after-milliseconds {name} 1500
sentinel failover-timeout {name} 1500
sentinel parallel-syncs {name} 2
"""


def binary(name: str) -> str:
    """Return the path of a program of Debian's package redis-server; without it, skip, or fail where CI should have installed it."""
    found = shutil.which(name)
    if found is None:
        reason = f"{name} is not installed (Debian package redis-server)"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return found


def start_server(folder: Path, port: int, *options: str) -> Program:
    """Start a ``redis-server`` that keeps nothing on disk, and wait until it listens."""
    arguments = [
        binary("redis-server"),
        *("--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder)),
        *("--save", "", "--appendonly", "no", "--shutdown-timeout", "0", *options),
    ]
    program = Program(f"redis-{port}", arguments, folder, {})
    program.wait_ready(lambda: accepts(port))
    return program


@dataclass
class Member:
    """One data node.

    Attributes:
        folder: Where it writes.
        port: Where it listens.
        proxy: How the others reach it.
        program: The process.
    """

    folder: Path
    port: int
    proxy: FaultProxy
    program: Program

    def client(self) -> "redis.Redis":
        """Return a client that goes there directly."""
        return redis.Redis(port=self.port, socket_timeout=1, decode_responses=True)

    def info(self) -> dict[str, object]:
        """Return what it says of replication; nothing if it does not answer."""
        with self.client() as client:
            try:
                return dict(client.info("replication"))
            except RedisError:
                return {}


class Group:
    """The whole group."""

    def __init__(self, members: list[Member], sentinel_ports: list[int]) -> None:
        self.members = members
        self.sentinel_ports = sentinel_ports

    @property
    def url(self) -> str:
        """As ``BROKER_REDIS_URL``."""
        hosts = ",".join(f"127.0.0.1:{port}" for port in self.sentinel_ports)
        return f"redis+sentinel://{hosts}/{NAME}/0"

    def primary(self) -> Member:
        """Return whom the sentinels name, once they agree."""
        named: set[int] = set()

        def agreed() -> bool:
            named.clear()
            named.update(self._named(port) for port in self.sentinel_ports)
            return len(named) == 1

        wait_until("the sentinels agree", agreed)
        return self.by_proxy(named.pop())

    def by_proxy(self, port: int) -> Member:
        """Return the member that others reach at a port."""
        return next(member for member in self.members if member.proxy.port == port)

    def sentinel(self, port: int) -> "redis.Redis":
        """Return a client of a sentinel."""
        return redis.Redis(port=port, socket_timeout=1)

    def make_whole(self) -> None:
        """Put everything back in order, and empty."""
        self.make_whole_again()
        with self.primary().client() as client:
            client.flushall()
            client.script_flush()

    def make_whole_again(self) -> None:
        """Put everything back in order."""
        for member in self.members:
            member.proxy.heal()
            if not accepts(member.port):
                primary = self.primary().proxy.port
                member.program = _start_member(member, "--replicaof", f"127.0.0.1 {primary}")
        wait_until("the group is whole", self.is_whole)

    def is_whole(self) -> bool:
        """Tell whether primary, replicas and sentinels are of one mind, with nothing under way."""
        primary = self.primary()
        state = primary.info()
        online = sum(
            isinstance(value, dict) and value.get("state") == "online" for value in state.values()
        )
        return (
            state.get("role") == "master"
            and online == len(self.members) - 1
            and all(self._is_content(port, primary.proxy.port) for port in self.sentinel_ports)
        )

    def _is_content(self, sentinel_port: int, primary_port: int) -> bool:
        """Tell whether a sentinel sees everybody, in good health, under this primary."""
        with self.sentinel(sentinel_port) as sentinel:
            state = sentinel.sentinel_masters()[NAME]
            replicas = sentinel.sentinel_slaves(NAME)
        return (
            (state["port"], state["flags"]) == (primary_port, "master")
            and state["num-other-sentinels"] == len(self.sentinel_ports) - 1
            and len(replicas) == len(self.members) - 1
            and all(
                (replica["flags"], replica["master-port"], replica["master-link-status"])
                == ("slave", primary_port, "ok")
                for replica in replicas
            )
        )

    def _named(self, sentinel_port: int) -> int:
        with self.sentinel(sentinel_port) as sentinel:
            return int(sentinel.sentinel_masters()[NAME]["port"])


def _start_member(member: Member, *options: str) -> Program:
    announced = ("--replica-announce-ip", "127.0.0.1", "--replica-announce-port")
    timing = ("--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1")
    return start_server(
        member.folder, member.port, *options, *announced, str(member.proxy.port), *timing
    )


def _stop(member: Member) -> None:
    member.program.stop()  # whichever it is by then


def _start_sentinel(folder: Path, port: int, primary: int) -> Program:
    file = folder / f"sentinel-{port}.conf"
    file.write_text(_SENTINEL.format(port=port, folder=folder, name=NAME, primary=primary), "utf-8")
    program = Program(
        f"sentinel-{port}", [binary("redis-server"), str(file), "--sentinel"], folder, {}
    )
    program.wait_ready(lambda: accepts(port))
    return program


@contextlib.contextmanager
def running_group(folder: Path) -> Iterator[Group]:
    """Run a primary, two replicas and three sentinels for the length of a block."""
    binary("redis-server")
    with contextlib.ExitStack() as running:
        members: list[Member] = []
        for number in range(3):
            port = free_port()
            proxy = running.enter_context(fault_proxy(port))
            own = folder / str(number)
            own.mkdir()
            member = Member(own, port, proxy, None)  # type: ignore[arg-type]  # started next, with its own port at hand
            of = ("--replicaof", f"127.0.0.1 {members[0].proxy.port}") if members else ()
            member.program = _start_member(member, *of)
            running.callback(_stop, member)
            members.append(member)
        ports = [free_port() for _ in range(3)]
        for port in ports:
            running.enter_context(stopping(_start_sentinel(folder, port, members[0].proxy.port)))
        group = Group(members, ports)
        wait_until("the group is whole", group.is_whole)
        yield group
