"""Whether Redis still has what the broker left there: a store that is gone should not look like one that never was.

Each partition holds a mark, ``<instance> <random>``, the same in all. It is written when there is nothing of ours at all, and looked at
every few seconds:

* gone, or another one, after this process has seen it: Redis was emptied or replaced under a running broker;
* in some partitions only, or missing beside stores: a part was lost while no broker was looking. The marks are put back.

Either way the state is *wiped* until the process ends: restarting the broker is how an operator says that they know. Nothing is refused
meanwhile, because the cure, registering the stores again, goes through this API.
"""

import secrets
from collections.abc import Callable

import structlog

from service.adapters.redis_link import PARTITION, Call, RedisLink, Script
from service.core.errors import StorageError

WIPED = "wiped"


class Marks:
    """Reads the marks."""

    def __init__(self, link: RedisLink) -> None:
        self._link = link
        self._standing = Script("standing")

    def read(self) -> tuple[list[bytes | None], bool]:
        """Return the mark of each partition, and whether there is anything else of ours that is never removed by itself.

        Raises:
            StorageError: Redis is away.
        """
        calls: list[Call] = [
            ([f"{where.prefix}installed", where.stores, where.epochs], [])
            for where in PARTITION.values()
        ]
        found = self._link.read_many(self._standing, calls)
        return [mark for mark, _ in found], any(others for _, others in found)


class Installation:
    """Looks after the marks."""

    def __init__(self, link: RedisLink, instance: str, told: Callable[[], None]) -> None:
        """Take the link, whom the marks name, and whom to tell once if something is gone."""
        self._link = link
        self._marks = Marks(link)
        self._told = told
        self._install = Script("install")
        self._fresh = f"{instance} {secrets.token_hex(8)}".encode("ascii")
        self._seen: bytes | None = None
        self.problem = ""

    def look(self) -> None:
        """Look at the marks; without Redis, some other time."""
        if self.problem:
            return
        try:
            self._look()
        except StorageError:
            return

    def _look(self) -> None:
        marks, has_others = self._marks.read()
        missing = marks.count(None)
        if self._seen:
            if marks != [self._seen] * len(marks):
                self._tell(missing)
        elif missing:
            if missing < len(marks) or has_others:
                self._tell(missing)
            self._mark(next((mark for mark in marks if mark), self._fresh))
        else:
            self._seen = marks[0]

    def _mark(self, wanted: bytes) -> None:
        """Mark every partition; among those who do so at the same time, whoever marks the first one decides for all."""
        first, *others = ([f"{where.prefix}installed"] for where in PARTITION.values())
        mark = self._link.run(self._install, first, [wanted])
        self._link.run_many(self._install, [(keys, [mark]) for keys in others])
        self._seen = mark

    def _tell(self, missing: int) -> None:
        self.problem = WIPED
        self._told()
        structlog.get_logger().error("storage_wiped", missing=missing, of=len(PARTITION))
