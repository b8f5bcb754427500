"""How many stored values need each key of the ring."""

from collections import Counter
from dataclasses import dataclass, field

from service.core.errors import IntegrityError
from service.core.key_ports import KeyTable
from service.core.rewrapping import Kind, Stored, needed_keys


@dataclass(slots=True)
class RecordCounts:
    """What was counted.

    Attributes:
        by_key: Key id → number of values that need it. A value that needs two keys is counted under both.
        by_kind: The same by kind as well.
        malformed: Values that do not say which key they need, because they were altered.
    """

    by_key: Counter[str] = field(default_factory=Counter)
    by_kind: Counter[tuple[str, Kind]] = field(default_factory=Counter)
    malformed: int = 0

    def add(self, stored: Stored) -> None:
        """Count one."""
        try:
            needed = needed_keys(stored)
        except IntegrityError:
            self.malformed += 1
            return
        for key_id in needed:
            self.by_key[key_id] += 1
            self.by_kind[key_id, stored.kind] += 1


def count_by_key(table: KeyTable) -> RecordCounts:
    """Count all stored values. What was altered is counted under the key that it says.

    Raises:
        StorageError: Redis is away.
    """
    counts = RecordCounts()
    for page in table.scan():
        for stored in page:
            counts.add(stored)
    return counts
