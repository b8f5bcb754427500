"""The stores in Redis. Fulfils ``StoreTable``."""

import contextlib
import heapq
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from service.adapters.redis_link import PARTITION, Call, RedisLink, Script, home
from service.adapters.redis_node import Argument
from service.core.clock import from_millis, to_millis
from service.core.errors import StorageError
from service.core.lock import locked_error
from service.core.store_ports import Attempt, Lease, Start, StoreView

_MINUTE_MILLIS = 60_000
_MINUTE_DIGITS = 9


class RedisStores:
    """Records, leases, fences and intents."""

    def __init__(self, link: RedisLink) -> None:
        self._link = link
        self._begin = Script("begin")
        self._settle = Script("settle")
        self._outdate = Script("outdate")
        self._replace = Script("replace")
        self._remove = Script("remove")
        self._view = Script("view")

    def read(self, store_hashes: Iterable[str], now: datetime) -> list[StoreView]:
        """See ``StoreTable.read``."""
        millis = to_millis(now)
        calls: list[Call] = []
        for store_hash in store_hashes:
            where = home(store_hash)
            kinds = ("store", "lease", "intents", "used", "refs")
            keys = [*(where.key(kind, store_hash) for kind in kinds), where.locks]
            calls.append((keys, [millis, store_hash]))
        return [_view(answer) for answer in self._link.read_many(self._view, calls)]

    def page(self, after: str, limit: int) -> list[str]:
        """See ``StoreTable.page``. Each partition gives its next ``limit``; merged, the first ``limit`` of them are next of all."""
        keys = [partition.stores for partition in PARTITION.values()]
        names: list[str] = []
        minimum = f"({after}".encode() if after else b"-"
        while True:
            pages = self._link.zrangebylex_many(keys, minimum, limit)
            found = list(heapq.merge(*pages))[:limit]
            # Others were written by somebody else; they must not end the list, or make it fail.
            names += [name.decode("ascii") for name in found if name.isalnum()]
            if len(found) < limit or len(names) >= limit:
                return names[:limit]
            minimum = b"(" + found[-1]

    def begin(self, start: Start, span: timedelta) -> int | None:
        """See ``StoreTable.begin``."""
        where = home(start.store_hash)
        keys = [
            where.key(kind, start.store_hash) for kind in ("store", "lease", "fence", "intents")
        ]
        arguments: list[Argument] = [
            start.owner,
            span // timedelta(milliseconds=1),
            start.seen or b"",
            start.line,
            start.attempt_id,
            start.intent or b"",
            start.store_hash,
            to_millis(start.ends_at),
        ]
        try:
            fence: int | bytes | None = self._link.run(
                self._begin, [*keys, where.stores, where.due, where.locks], arguments
            )
        except StorageError:
            # Perhaps it was taken. Whoever asked goes no further, so nobody has to wait until it ends.
            taken = Lease(start.owner, start.attempt_id, 0, start.line, start.ends_at)
            with contextlib.suppress(StorageError):
                self.settle(start.store_hash, taken, None, keep_intent=False)
            raise
        if isinstance(fence, bytes):
            raise locked_error(fence.decode("ascii"))
        return fence

    def settle(
        self, store_hash: str, lease: Lease, line: bytes | None, *, keep_intent: bool
    ) -> bool:
        """See ``StoreTable.settle``."""
        key = home(store_hash).key
        kinds = ("store", "lease", "fence", "intents", "settled")
        keys = [key(kind, store_hash) for kind in kinds]
        arguments: list[Argument] = [
            lease.owner,
            lease.fence,
            lease.seen,
            line or b"",
            lease.attempt_id,
        ]
        return bool(self._link.run(self._settle, keys, [*arguments, int(keep_intent)]))

    def outdate_attempts(self, store_hash: str) -> None:
        """See ``StoreTable.outdate_attempts``."""
        key = home(store_hash).key
        self._link.run(self._outdate, [key("lease", store_hash), key("fence", store_hash)], [])

    def forget_attempts(self, store_hash: str, attempt_ids: Iterable[str]) -> None:
        """See ``StoreTable.forget_attempts``."""
        settled = list(attempt_ids)
        if settled:
            self._link.hdel(home(store_hash).key("intents", store_hash), settled)

    def replace(self, store_hash: str, seen: bytes, line: bytes) -> bool:
        """See ``StoreTable.replace``."""
        key = home(store_hash).key
        keys = [key("store", store_hash), key("lease", store_hash)]
        return bool(self._link.run(self._replace, keys, [seen, line]))

    def remove(self, store_hash: str, seen: bytes) -> bool:
        """See ``StoreTable.remove``."""
        where = home(store_hash)
        keys = [
            where.key("store", store_hash),
            where.key("fence", store_hash),
            where.stores,
            where.key("used", store_hash),
            where.key("refs", store_hash),
            where.epochs,
        ]
        return bool(self._link.run(self._remove, keys, [seen, store_hash]))


def _view(answer: list[Any]) -> StoreView:
    line, lease_millis, intents, used, live, store_lock, all_lock = answer
    return StoreView(
        line=line,
        lease_left=timedelta(milliseconds=lease_millis) if lease_millis > 0 else None,
        attempts=tuple(
            _attempt(attempt_id, value)
            for attempt_id, value in zip(intents[::2], intents[1::2], strict=True)
        ),
        last_used_at=_last_used(used),
        live_references=live,
        store_lock=store_lock,
        all_lock=all_lock,
    )


def _attempt(attempt_id: bytes, value: bytes) -> Attempt:
    """Return an attempt; one that is not readable is kept, and proves nothing because its intent has no valid MAC."""
    fence, _, intent = value.partition(b" ")
    number = int(fence) if fence.isdigit() else 0
    return Attempt(attempt_id.decode("ascii", "replace"), number, intent)


def _last_used(minutes: bytes | None) -> datetime | None:
    if minutes is None or not minutes.isdigit() or len(minutes) > _MINUTE_DIGITS:
        return None
    return from_millis(int(minutes) * _MINUTE_MILLIS)
