"""What the rules about stores need of the world: their table, locks, appointments, and mounted credentials."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from service.core.credential import Credential


@dataclass(frozen=True, slots=True)
class Attempt:
    """An issue that was begun.

    Attributes:
        attempt_id: Unique; a part of the token's name.
        fence: Rises with every attempt on the store.
        intent: The signed intent.
    """

    attempt_id: str
    fence: int
    intent: bytes


@dataclass(frozen=True, slots=True)
class StoreView:
    """A store as it is stored, read in one step.

    Attributes:
        line: The signed record; None for a store that is not known.
        lease_left: How long somebody may still be issuing; None when nobody is.
        attempts: Intents that are not settled.
        last_used_at: To the minute; None if never.
        live_references: How many references are neither expired, used up nor revoked. References that a revocation by caller ended
            are counted until they expire.
        store_lock: The note of the lock that is on the store; None if none is.
        all_lock: The note of the lock that is on all stores.
    """

    line: bytes | None
    lease_left: timedelta | None
    attempts: tuple[Attempt, ...]
    last_used_at: datetime | None
    live_references: int
    store_lock: bytes | None = None
    all_lock: bytes | None = None


@dataclass(frozen=True, slots=True)
class Census:
    """How many there are of what the broker keeps.

    Attributes:
        stores: Stores, by status and by token style (empty for none).
        live_references: References that are neither expired, used up nor revoked.
    """

    stores: Mapping[tuple[str, str], int] = field(default_factory=dict)
    live_references: int = 0


@dataclass(frozen=True, slots=True)
class Start:
    """What an issue begins with.

    Attributes:
        store_hash: The store.
        owner: Unique; who would hold the lease.
        attempt_id: Unique; a part of the token's name.
        seen: The record that the decision was made on; None if there was none.
        line: The record to write, so that an attempt is never about a store that nobody can see.
        intent: Signed; None if nothing will be made upstream.
        ends_at: When the lease ends by itself; then somebody has to look at the store, unless all went well.
    """

    store_hash: str
    owner: str
    attempt_id: str
    seen: bytes | None
    line: bytes
    intent: bytes | None
    ends_at: datetime


@dataclass(frozen=True, slots=True)
class Lease:
    """What ``begin`` gave: the right to issue for one store for a while.

    Attributes:
        owner: Who holds it.
        attempt_id: For which attempt.
        fence: Later leases have higher ones.
        seen: The record as it was when the lease began.
        ends_at: When it ends by itself.
    """

    owner: str
    attempt_id: str
    fence: int
    seen: bytes
    ends_at: datetime


class StoreTable(Protocol):
    """The stores in Redis. Every method raises ``StorageError`` when Redis is away or refuses."""

    def read(self, store_hashes: Iterable[str], now: datetime) -> list[StoreView]:
        """Return the views of stores, in their order."""

    def page(self, after: str, limit: int) -> list[str]:
        """Return up to ``limit`` store hashes greater than ``after``, sorted."""

    def begin(self, start: "Start", span: timedelta) -> int | None:
        """Take the lease and write record and intent, atomically, if the record is still ``seen`` and nobody holds the lease.

        Repeating it with the same owner gives the same answer, so a lost reply does no harm.

        Returns:
            The fence, or None if another is issuing or the record has changed.

        Raises:
            StoreLockedError: The store is locked; nothing was written.
        """

    def settle(
        self, store_hash: str, lease: Lease, line: bytes | None, *, keep_intent: bool
    ) -> bool:
        """Write the record and end the attempt, atomically, if the lease's fence is current and the record is as it was.

        Repeating it gives the same answer.

        Args:
            store_hash: The store.
            lease: From ``begin``.
            line: The new record; None leaves it and only ends the attempt.
            keep_intent: True when it is unknown what the upstream did.

        Returns:
            False if the fence or the record has moved on: nothing was written.
        """

    def outdate_attempts(self, store_hash: str) -> None:
        """Make every attempt stale that nobody holds the lease for, so that whoever slept through its lease writes nothing any more."""

    def forget_attempts(self, store_hash: str, attempt_ids: Iterable[str]) -> None:
        """Drop intents that are settled."""

    def replace(self, store_hash: str, seen: bytes, line: bytes) -> bool:
        """Write the record if it is still ``seen`` and nobody is issuing."""

    def remove(self, store_hash: str, seen: bytes) -> bool:
        """Remove the record if it is still ``seen``, and make every attempt under way stale. Unsettled intents stay."""


@dataclass(frozen=True, slots=True)
class LockNotes:
    """The notes of all locks.

    Attributes:
        on_all: Of the lock on all stores; None if it is off.
        stores: Store hash → note.
    """

    on_all: bytes | None
    stores: Mapping[str, bytes]


class LockTable(Protocol):
    """The locks in Redis. Every method raises ``StorageError`` when Redis is away or refuses.

    A lock holds from the moment at which the method returns, on every replica: the step that mints, uses or begins an issue reads it.
    Locks are never removed by themselves, nor with the store.
    """

    def lock(self, store_hash: str, note: bytes) -> bytes | None:
        """Lock a store, and return the note in force, an earlier one if it was locked; None if there is no such store."""

    def unlock(self, store_hash: str) -> None:
        """Take the lock off a store."""

    def lock_all(self, note: bytes) -> bytes:
        """Lock all stores, and return the note in force. An error may leave some locked; asking again completes it."""

    def unlock_all(self) -> None:
        """Take the lock off all; those of single stores stay."""

    def read(self) -> LockNotes:
        """Return every lock. One that is on a part of all stores, because it failed half-way, counts as on all."""


class MaintenanceTable(Protocol):
    """What the replicas agree on about work that nobody asks for. Every method raises ``StorageError`` when Redis is away or refuses."""

    def claim(self, what: str, owner: str, span: timedelta) -> bool:
        """Return whether ``owner`` has, or keeps, the right to do something for a while."""

    def claim_store(self, what: str, store_hash: str, owner: str, span: timedelta) -> bool:
        """Do the same for something about one store."""

    def is_claimed(self, what: str, store_hash: str) -> bool:
        """Return whether anybody has such a claim on a store."""

    def due(self, now: datetime, limit: int) -> list[str]:
        """Return stores that somebody has to look at by now; ``limit`` in each partition."""

    def look_at(self, store_hash: str, at: datetime) -> None:
        """Have a store looked at, at that time or before."""

    def looked_at(self, store_hash: str, when: datetime, again: datetime | None) -> None:
        """Note that a store was looked at, and when it has to be again; None for not at all.

        Whoever asked meanwhile for a later time than ``when`` is not forgotten.
        """

    def note_refused(self, store_hash: str, now: datetime, keep: timedelta) -> int:
        """Note that the upstream refused a store's password, for at least ``keep``, and return how many stores were refused within it."""

    def refused_since(self, moment: datetime) -> int:
        """Return the number of stores whose password was refused since then."""

    def note_census(self, census: Census, keep: timedelta) -> None:
        """Tell the other replicas how many there are."""

    def census(self) -> Census:
        """Return what was told last; nothing if that is too long ago. It is for metrics: whoever writes Redis can make it up."""


class MountedCredentials(Protocol):
    """Credentials that the operator mounts as files; read when needed, never copied."""

    def find(self, store_hash: str) -> Credential | None:
        """Return a store's mounted credential, or None if there is none that can be used."""

    def versions(self) -> Mapping[str, object]:
        """Return something that differs whenever a store's files do, for each store that has any."""
