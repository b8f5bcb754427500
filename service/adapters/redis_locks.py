"""The locks in Redis. Fulfils ``LockTable``.

They lie in the partition of what they stop, so that the script that judges a use reads them in the same step.
"""

from service.adapters.redis_link import PARTITION, Call, RedisLink, Script, home
from service.core.store_ports import LockNotes

_ALL = "all"
_STORE = "s:"


class RedisLocks:
    """Locks of stores, and the one of all."""

    def __init__(self, link: RedisLink) -> None:
        self._link = link
        self._lock = Script("lock")
        self._unlock = Script("unlock")
        self._locks = Script("locks")

    def lock(self, store_hash: str, note: bytes) -> bytes | None:
        """See ``LockTable.lock``."""
        where = home(store_hash)
        keys = [where.locks, where.key("store", store_hash)]
        in_force: bytes | None = self._link.run(self._lock, keys, [_STORE + store_hash, note])
        return in_force

    def unlock(self, store_hash: str) -> None:
        """See ``LockTable.unlock``."""
        self._link.run(self._unlock, [home(store_hash).locks], [_STORE + store_hash])

    def lock_all(self, note: bytes) -> bytes:
        """See ``LockTable.lock_all``."""
        calls: list[Call] = [([where.locks], [_ALL, note]) for where in PARTITION.values()]
        notes: list[bytes] = self._link.run_many(self._lock, calls)
        return notes[0]

    def unlock_all(self) -> None:
        """See ``LockTable.unlock_all``."""
        self._link.run_many(self._unlock, [([where.locks], [_ALL]) for where in PARTITION.values()])

    def read(self) -> LockNotes:
        """See ``LockTable.read``."""
        calls: list[Call] = [([where.locks], []) for where in PARTITION.values()]
        notes: dict[str, bytes] = {}
        for row in self._link.read_many(self._locks, calls):
            fields = (field.decode("ascii", "replace") for field in row[::2])
            notes |= dict(zip(fields, row[1::2], strict=True))
        on_all = notes.pop(_ALL, None)
        stores = {field.removeprefix(_STORE): note for field, note in sorted(notes.items())}
        return LockNotes(on_all, stores)
