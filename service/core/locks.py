"""Putting locks on and taking them off, and who may look at them.

A lock is on before it is recorded: stopping must not depend on a disk that is full, and whoever is told that the record failed knows it
(P5 is about what is released). Taking one off is recorded first.
"""

from dataclasses import dataclass

from service.core.clock import Clock
from service.core.errors import AuditError, StorageError, StoreUnknownError
from service.core.gate import About, Call, Gate
from service.core.lock import Lock, read_note, write_note
from service.core.policy import ANY_STORE, store_matches
from service.core.ports import Observer
from service.core.store_ports import LockTable

_LOCK, _READ = "store.lock", "store.read"


@dataclass(frozen=True, slots=True)
class LocksInForce:
    """What is locked: everything, if so, and stores by themselves."""

    on_all: Lock | None
    #: store hash → its lock
    stores: dict[str, Lock]


class Locks:
    """The use cases about locks."""

    def __init__(self, gate: Gate, table: LockTable, observer: Observer, clock: Clock) -> None:
        self._gate = gate
        self._table = table
        self._observer = observer
        self._clock = clock
        self.problem = ""
        """For people who look at readiness: ``all_locked``, as of the last count."""

    def lock(self, call: Call, store_hash: str, reason: str) -> Lock:
        """Lock a store, and return the lock in force, which may have been there before.

        Raises:
            ForbiddenError: Policy says no.
            StoreUnknownError: No such store; somebody who mistyped must not believe that it is locked.
            AuditError: It is locked, and that could not be recorded.
        """
        about = About(_LOCK, store_hash)
        self._gate.authorise(call, about)
        note = self._table.lock(store_hash, self._note(call, reason))
        if note is None:
            self._gate.record(call, about, "failed", "store_unknown")
            raise StoreUnknownError("No such store.", reason="store_unknown")
        self._record_locked(call, about, "locked")
        return read_note("store", note)

    def unlock(self, call: Call, store_hash: str) -> None:
        """Take the lock off a store, whether there is one or not, and whether there is the store or not.

        Raises:
            ForbiddenError: Policy says no.
            AuditError: It could not be recorded; nothing was changed.
        """
        about = About(_LOCK, store_hash)
        self._gate.authorise(call, about)
        self._gate.record(call, about, "started", "unlock")
        self._table.unlock(store_hash)
        self._gate.record(call, about, "allowed", "unlocked")

    def lock_all(self, call: Call, reason: str) -> Lock:
        """Lock every store that there is and will be, and return the lock in force.

        Raises:
            ForbiddenError: No grant lets the caller do so for all stores.
            StorageError: Perhaps some are locked and some are not: ask again.
            AuditError: All are locked, and that could not be recorded.
        """
        about = About(_LOCK, ANY_STORE)
        self._gate.authorise(call, about)
        try:
            note = self._table.lock_all(self._note(call, reason))
        except StorageError as error:
            self._gate.record(call, about, "failed", error.reason)
            raise
        self._record_locked(call, about, "all_locked")
        return read_note("all", note)

    def _record_locked(self, call: Call, about: About, reason: str) -> None:
        try:
            self._gate.record(call, about, "allowed", reason)
        except AuditError as error:
            # The sink's own words are that nothing was done, which is wrong here.
            raise AuditError(
                "It is locked. The audit trail cannot be written, so there is no record of who locked it and when.",
                reason=error.reason,
                retry_after=error.retry_after,
            ) from None

    def unlock_all(self, call: Call) -> None:
        """Take the lock off all; stores that have one of their own stay locked.

        Raises:
            ForbiddenError: No grant lets the caller do so for all stores.
            StorageError: Perhaps some are unlocked and some are not: ask again.
            AuditError: It could not be recorded; nothing was changed.
        """
        about = About(_LOCK, ANY_STORE)
        self._gate.authorise(call, about)
        self._gate.record(call, about, "started", "unlock_all")
        self._table.unlock_all()
        self._gate.record(call, about, "allowed", "all_unlocked")

    def in_force(self, call: Call) -> LocksInForce:
        """Return the lock of all, and those of stores that the caller may see.

        Raises:
            ForbiddenError: Policy lets the caller see none.
        """
        about = About(_READ)
        patterns = call.policy.stores_of(call.caller.identity, about.action)
        if not patterns:
            raise self._gate.deny(call, about, "actions")
        notes = self._table.read()
        self._gate.record(call, about, "allowed", "locks")
        return LocksInForce(
            on_all=None if notes.on_all is None else read_note("all", notes.on_all),
            stores={
                name: read_note("store", note)
                for name, note in notes.stores.items()
                if store_matches(patterns, name)
            },
        )

    def count(self) -> None:
        """Tell the observer what is locked.

        Raises:
            StorageError: Redis is away.
        """
        notes = self._table.read()
        self.problem = "all_locked" if notes.on_all is not None else ""
        self._observer.locks_counted(everything=notes.on_all is not None, stores=len(notes.stores))

    def _note(self, call: Call, reason: str) -> bytes:
        return write_note(call.caller.identity, reason, self._clock())
