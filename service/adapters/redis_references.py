"""The references in Redis. Fulfils ``ReferenceTable``: each method is one script and one round trip."""

import secrets
from datetime import datetime, timedelta
from typing import Any

from service.adapters.redis_link import PARTITION, RedisLink, Script, home
from service.core.allowance import Allowance
from service.core.budget import ENDPOINT_PER_MINUTE, PER_MINUTE
from service.core.clock import to_millis
from service.core.policy import Access
from service.core.reference import Accessor
from service.core.reference_ports import Minted, Taken

_MILLISECOND = timedelta(milliseconds=1)
_ACCESSOR_PREFIX = 6  # "cba_" and the partition


class RedisReferences:
    """Stored references and the epochs that revoke many at once."""

    def __init__(self, link: RedisLink, requests_per_minute: int = PER_MINUTE) -> None:
        self._link = link
        self._limits = requests_per_minute, min(requests_per_minute, ENDPOINT_PER_MINUTE)
        self._mint = Script("mint")
        self._use = Script("use")
        self._lower = Script("lower")
        self._look = Script("look")
        self._page = Script("page")
        self._revoke = Script("revoke")
        self._revoke_many = Script("revoke_many")

    def mint(self, minted: Minted, now: datetime) -> str:
        """See ``ReferenceTable.mint``."""
        where = PARTITION[minted.accessor.partition]
        member = _member(minted.accessor)
        outcome: bytes = self._link.run(
            self._mint,
            [
                where.key("ref", member),
                where.key("store", minted.store_hash),
                where.epochs,
                where.key("refs", minted.store_hash),
                where.locks,
            ],
            [
                minted.uses,
                minted.signed,
                minted.ttl // _MILLISECOND,
                to_millis(minted.expires_at),
                minted.minted_by,
                minted.audience,
                member,
                to_millis(now),
                minted.store_hash,
            ],
        )
        return outcome.decode("ascii")

    def use(
        self,
        accessor: Accessor,
        identity: str,
        access: Access,
        stores: tuple[str, ...],
        now: datetime,
        endpoint: str = "",
    ) -> Taken:
        """See ``ReferenceTable.use``."""
        where = PARTITION[accessor.partition]
        member = _member(accessor)
        nonce = secrets.token_urlsafe(12)
        limit, endpoint_limit = self._limits
        answer = self._link.run(
            self._use,
            [where.key("ref", member), where.epochs],
            [
                where.prefix,
                identity,
                access,
                nonce,
                to_millis(now),
                member,
                limit,
                endpoint,
                endpoint_limit,
                *map(_lua_pattern, stores),
            ],
        )
        return _taken(*answer)

    def lower(self, store_hash: str, pool: str, left: int, until: datetime, now: datetime) -> None:
        """See ``ReferenceTable.lower``."""
        arguments: list[str | int] = [pool, left, to_millis(until), to_millis(now)]
        self._link.run(self._lower, [home(store_hash).key("budget", store_hash)], arguments)

    def look(self, accessor: Accessor) -> Taken:
        """See ``ReferenceTable.look``."""
        where = PARTITION[accessor.partition]
        return _taken(
            *self._link.read(self._look, [where.key("ref", _member(accessor)), where.epochs], [])
        )

    def page(
        self, store_hash: str, after: str, limit: int, now: datetime
    ) -> tuple[list[tuple[Accessor, Taken]], str | None]:
        """See ``ReferenceTable.page``. A place is ``score.member`` of the last reference before it."""
        where = home(store_hash)
        score, _, member = after.partition(".")
        rows = self._link.read(
            self._page,
            [where.key("refs", store_hash), where.epochs],
            [where.prefix, to_millis(now), score, member, limit],
        )
        tag = where.prefix[-4:-2]
        ours = [row for row in rows if row[0].isalnum()]  # others were written by somebody else
        found = [
            (Accessor(f"cba_{tag}{name.decode('ascii')}", tag), _taken(verdict, value))
            for name, _score, verdict, value in ours
        ]
        if len(rows) < limit or not ours:
            return found, None
        return found, f"{int(ours[-1][1])}.{ours[-1][0].decode('ascii')}"

    def revoke(self, accessor: Accessor, store_hash: str) -> bool:
        """See ``ReferenceTable.revoke``."""
        where = PARTITION[accessor.partition]
        member = _member(accessor)
        keys = [where.key("ref", member), where.key("refs", store_hash)]
        return bool(self._link.run(self._revoke, keys, [member]))

    def revoke_store(self, store_hash: str) -> None:
        """See ``ReferenceTable.revoke_store``."""
        where = home(store_hash)
        arguments = [f"s:{store_hash}", where.prefix, store_hash]
        self._link.run(self._revoke_many, [where.epochs, where.stores], arguments)

    def revoke_caller(self, identity: str) -> None:
        """See ``ReferenceTable.revoke_caller``."""
        self._raise_everywhere(f"c:{identity}")

    def revoke_all(self) -> None:
        """See ``ReferenceTable.revoke_all``."""
        self._raise_everywhere("all")

    def _raise_everywhere(self, epoch: str) -> None:
        self._link.run_many(
            self._revoke_many,
            [
                ([where.epochs, where.stores], [epoch, where.prefix, ""])
                for where in PARTITION.values()
            ],
        )


def _member(accessor: Accessor) -> str:
    return accessor.text[_ACCESSOR_PREFIX:]


def _lua_pattern(store_pattern: str) -> str:
    """Return a store pattern (letters, digits and ``*``) in Lua's notation."""
    return f"^{store_pattern.replace('*', '[a-z0-9]*')}$"


def _taken(
    verdict: bytes,
    reference: bytes | None = None,
    store: bytes | None = None,
    *allowance: Any,
) -> Taken:
    found = [_allowance(*allowance[at : at + 5]) for at in range(0, len(allowance), 5)]
    return Taken(verdict.decode("ascii"), reference or None, store or None, *found)  # type: ignore[arg-type]  # the scripts give only verdicts


def _allowance(pool: bytes, quota: int, left: int, open_: int, millis: int) -> Allowance:
    return Allowance(pool.decode("ascii"), quota, left, open_, timedelta(milliseconds=millis))
