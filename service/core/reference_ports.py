"""What the rules about references need of the world: their table."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, Protocol

from service.core.allowance import Allowance
from service.core.policy import Access as AccessKind
from service.core.reference import Accessor

Verdict = Literal[
    "ok",
    "unknown",
    "altered",
    "revoked",
    "used_up",
    "wrong_caller",
    "wrong_access",
    "store_forbidden",
    "store_locked",
    "all_locked",
    "store_unknown",
    "store_not_active",
    "budget",
    "caller_share",
    "max_rate",
    "endpoint_budget",
]


@dataclass(frozen=True, slots=True)
class Taken:
    """What a use found.

    Attributes:
        verdict: ``ok`` means that one use was taken; every other verdict took none.
        reference: The stored reference; not verified yet.
        store: The store's signed record; not verified yet.
        allowance: For the proxy, the limit on requests that the upstream knows too, or that is in the way.
        nearest: When nothing is in the way, the limit that will be reached first.
    """

    verdict: Verdict
    reference: bytes | None = None
    store: bytes | None = None
    allowance: Allowance | None = None
    nearest: Allowance | None = None


@dataclass(frozen=True, slots=True)
class Minted:
    """A reference that is to be stored."""

    accessor: Accessor
    store_hash: str
    minted_by: str
    audience: str
    uses: str
    signed: bytes
    ttl: timedelta
    expires_at: datetime


class ReferenceTable(Protocol):
    """The references in Redis; each method is one atomic step and one round trip.

    Every method raises ``StorageError`` when Redis is away or refuses.
    """

    def mint(self, minted: Minted, now: datetime) -> str:
        """Store a reference if its store is active.

        Returns:
            ``ok``, ``store_unknown``, ``store_locked``, ``all_locked``, or the store's stored status.
        """

    def use(
        self,
        accessor: Accessor,
        identity: str,
        access: AccessKind,
        stores: tuple[str, ...],
        now: datetime,
        endpoint: str = "",
    ) -> Taken:
        """Check existence, audience, access, stores and epochs, take one use, and return the stored reference and store.

        For the proxy the use also takes one request of what the store, the endpoint and the grant have in a minute. Within any minute no
        more are let through than that; no caller can have all of what the store or the endpoint has; a refusal takes no use.

        A use whose reply was lost is asked for again under the same nonce, so that it is never taken twice.

        Args:
            accessor: Of the reference.
            identity: Of the caller.
            access: How it is to be used.
            stores: Patterns of the stores for which policy lets the caller do this.
            now: For ``last_used_at``, and for what a minute is.
            endpoint: The endpoint with a limit of its own that the request is for, if it is.
        """

    def lower(self, store_hash: str, pool: str, left: int, until: datetime, now: datetime) -> None:
        """Let no more than ``left`` requests of a pool through until then, because the upstream said so. Never raises a limit."""

    def look(self, accessor: Accessor) -> Taken:
        """Return the stored reference and whether it is live, taking no use."""

    def page(
        self, store_hash: str, after: str, limit: int, now: datetime
    ) -> tuple[list[tuple[Accessor, Taken]], str | None]:
        """Return up to ``limit`` references of a store behind the place ``after`` (empty: from the start), and the next place."""

    def revoke(self, accessor: Accessor, store_hash: str) -> bool:
        """Make a reference useless at once.

        Returns:
            False if there was nothing to revoke.
        """

    def revoke_store(self, store_hash: str) -> None:
        """Revoke everything minted so far for a store."""

    def revoke_caller(self, identity: str) -> None:
        """Revoke everything minted so far by or for a caller."""

    def revoke_all(self) -> None:
        """Revoke everything minted so far."""
