"""What a Redis tells of itself, for those who look after it.

Read from ``INFO``, which an ACL user of the broker may ask; what a version does not tell is None.

Source: https://redis.io/docs/latest/commands/info/
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from redis.exceptions import ResponseError

from service.adapters.redis_errors import storage_error
from service.adapters.redis_node import packed
from service.adapters.redis_nodes import Nodes


@dataclass(frozen=True, slots=True)
class RedisFacts:
    """One process that takes writes.

    Attributes:
        name: ``redis`` or ``valkey``.
        version: Of the protocol and commands of Redis that it speaks.
        role: ``master`` for one that takes writes.
        replicas: How many are connected.
        eviction: Its ``maxmemory-policy``.
        appends: Whether it keeps an append-only file.
        persists: Whether the last write of the append-only file and the last snapshot succeeded.
        time: Its clock, when it answered.
    """

    name: str
    version: tuple[int, ...]
    role: str
    replicas: int
    eviction: str
    appends: bool
    persists: bool
    time: datetime | None


def redis_facts(nodes: Nodes) -> list[RedisFacts]:
    """Return the facts of every process that takes writes.

    Raises:
        StorageError: One is away, or refuses.
    """
    return [_facts(node.ask([packed("INFO")], 2)[0]) for node in nodes.primaries()]


def _facts(answer: Any) -> RedisFacts:
    if isinstance(answer, ResponseError):
        raise storage_error(answer)
    lines = answer.decode("utf-8", "replace").splitlines()
    told = {name: value for name, found, value in (line.partition(":") for line in lines) if found}
    micros = told.get("server_time_usec", "")
    return RedisFacts(
        name=told.get("server_name", "redis"),
        version=tuple(int(part) for part in told["redis_version"].split(".") if part.isdigit()),
        role=told["role"],
        replicas=int(told["connected_slaves"]),
        eviction=told["maxmemory_policy"],
        appends=told["aof_enabled"] == "1",
        persists={told["aof_last_write_status"], told["rdb_last_bgsave_status"]} == {"ok"},
        time=_moment(int(micros)) if micros.isdigit() else None,
    )


def _moment(micros: int) -> datetime:
    return datetime.fromtimestamp(0, UTC) + timedelta(microseconds=micros)
