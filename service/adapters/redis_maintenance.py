"""What the replicas agree on about work that nobody asks for, in Redis. Fulfils ``MaintenanceTable``."""

from datetime import datetime, timedelta
from typing import get_args

from service.adapters.redis_link import PARTITION, RedisLink, Script, home
from service.adapters.redis_node import Argument
from service.core.clock import to_millis
from service.core.lifecycle import STATUSES
from service.core.records import TokenStyle
from service.core.store_ports import Census

_MILLISECOND = timedelta(milliseconds=1)
# What concerns the whole installation lies in the first partition.
_WHOLE = PARTITION["00"]
_STYLES = ("", *get_args(TokenStyle))
_REFERENCES = "references"
_MOST_DIGITS = 15


class RedisMaintenance:
    """Claims, stores that are due, and stores that were refused lately."""

    def __init__(self, link: RedisLink) -> None:
        self._link = link
        self._claim = Script("claim")
        self._is_claimed = Script("is_claimed")
        self._due = Script("due")
        self._look_at = Script("look_at")
        self._looked_at = Script("looked_at")
        self._refused = Script("refused")
        self._census = Script("census")

    def claim(self, what: str, owner: str, span: timedelta) -> bool:
        """See ``MaintenanceTable.claim``."""
        return self._claimed(_WHOLE.key("claim", what), owner, span)

    def claim_store(self, what: str, store_hash: str, owner: str, span: timedelta) -> bool:
        """See ``MaintenanceTable.claim_store``."""
        return self._claimed(home(store_hash).key(what, store_hash), owner, span)

    def is_claimed(self, what: str, store_hash: str) -> bool:
        """See ``MaintenanceTable.is_claimed``."""
        return bool(self._link.read(self._is_claimed, [home(store_hash).key(what, store_hash)], []))

    def due(self, now: datetime, limit: int) -> list[str]:
        """See ``MaintenanceTable.due``."""
        millis = to_millis(now)
        answers = self._link.read_many(
            self._due, [([where.due], [millis, limit]) for where in PARTITION.values()]
        )
        # Others were written by somebody else, and must not keep the rest from being looked at.
        return [name.decode("ascii") for answer in answers for name in answer if name.isalnum()]

    def look_at(self, store_hash: str, at: datetime) -> None:
        """See ``MaintenanceTable.look_at``."""
        self._link.run(self._look_at, [home(store_hash).due], [store_hash, to_millis(at)])

    def looked_at(self, store_hash: str, when: datetime, again: datetime | None) -> None:
        """See ``MaintenanceTable.looked_at``."""
        arguments: list[Argument] = [
            store_hash,
            to_millis(when),
            to_millis(again) if again else 0,
        ]
        self._link.run(self._looked_at, [home(store_hash).due], arguments)

    def note_refused(self, store_hash: str, now: datetime, keep: timedelta) -> int:
        """See ``MaintenanceTable.note_refused``."""
        since, millis = to_millis(now - keep), to_millis(now)
        arguments: list[Argument] = [since, store_hash, millis, keep // _MILLISECOND]
        return int(self._link.run(self._refused, [_WHOLE.refused], arguments))

    def refused_since(self, moment: datetime) -> int:
        """See ``MaintenanceTable.refused_since``."""
        return int(self._link.run(self._refused, [_WHOLE.refused], [to_millis(moment), "", 0, 0]))

    def note_census(self, census: Census, keep: timedelta) -> None:
        """See ``MaintenanceTable.note_census``."""
        counts = {f"{status}.{style}": n for (status, style), n in census.stores.items()}
        counts[_REFERENCES] = census.live_references
        rows = [part for row in counts.items() for part in row]
        self._link.run(self._census, [_WHOLE.census], [keep // _MILLISECOND, *rows])

    def census(self) -> Census:
        """See ``MaintenanceTable.census``."""
        rows = self._link.read(self._census, [_WHOLE.census], [0])
        told = {
            name.decode("ascii", "replace"): int(number)
            for name, number in zip(rows[::2], rows[1::2], strict=True)
            if number.isdigit() and len(number) <= _MOST_DIGITS
        }
        live = told.pop(_REFERENCES, 0)
        counts: dict[tuple[str, str], int] = {}
        for name, number in told.items():
            status, _, style = name.partition(".")
            if status in STATUSES and style in _STYLES:
                counts[status, style] = number
        return Census(counts, live)

    def _claimed(self, key: str, owner: str, span: timedelta) -> bool:
        return bool(self._link.run(self._claim, [key], [owner, span // _MILLISECOND]))
