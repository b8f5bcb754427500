"""References that were minted: looked at, revoked."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

from service.core.audit import Outcome
from service.core.clock import Clock
from service.core.errors import (
    AccessorUnknownError,
    AuditError,
    IntegrityError,
    ReferenceInvalidError,
)
from service.core.gate import About, Call, Gate
from service.core.grant import Grant, verified_reference
from service.core.policy import ANY_STORE
from service.core.ports import KeyringSource, Observer
from service.core.reference import Accessor, accessor_of, parse_accessor
from service.core.reference_ports import ReferenceTable, Taken
from service.core.secret import Secret


@dataclass(frozen=True, slots=True)
class KnownReference:
    """A live reference as it is listed: never the reference itself."""

    accessor: Accessor
    grant: Grant
    uses_left: int | None


class References:
    """The use cases about references that there are."""

    def __init__(
        self,
        *,
        gate: Gate,
        keyring: KeyringSource,
        table: ReferenceTable,
        observer: Observer,
        instance: str,
        clock: Clock,
    ) -> None:
        self._gate = gate
        self._keyring = keyring
        self._table = table
        self._observer = observer
        self._instance = instance
        self._clock = clock

    def introspect(self, call: Call, reference: Secret) -> KnownReference | None:
        """Return what a reference stands for, or None if it is not live or not the caller's to know.

        Source: RFC 7662 §2.2: an inactive token and one that may not be known get the same answer.
        """
        about = About("reference.read")
        try:
            accessor = accessor_of(reference)
        except ReferenceInvalidError:
            self._gate.record(call, about, "denied", "malformed")
            return None
        known = self._known(accessor, self._table.look(accessor))
        if known is None or not self._may_see(call, known.grant):
            self._gate.record(
                call, About(about.action, accessor=accessor.text), "denied", "not_visible"
            )
            return None
        self._gate.record(call, self._about(about.action, known), "allowed")
        return known

    def get(self, call: Call, accessor_text: str) -> KnownReference:
        """Return a live reference by its accessor.

        Raises:
            AccessorUnknownError: Not live, or not the caller's to know.
            IntegrityError: It was altered, so that nobody knows whose it is; only whoever may read all references is told.
        """
        accessor = parse_accessor(accessor_text)
        about = About("reference.read", accessor=accessor.text if accessor else "")
        try:
            known = self._live(accessor, self._table.look(accessor)) if accessor else None
        except IntegrityError as error:
            if not call.policy.decide(call.caller.identity, about.action, ANY_STORE).allowed:
                self._gate.record(call, about, "denied", "not_visible")
                raise AccessorUnknownError("No such live reference.") from None
            self._gate.record(call, about, "failed", error.reason)
            raise
        if known is None or not self._may_see(call, known.grant):
            self._gate.record(call, about, "denied", "not_visible")
            raise AccessorUnknownError("No such live reference.")
        self._gate.record(call, self._about(about.action, known), "allowed")
        return known

    def page(
        self, call: Call, store_hash: str, after: str, limit: int
    ) -> tuple[list[KnownReference], str | None]:
        """Return live references of a store, the first to expire first, and where the next page starts.

        Raises:
            ForbiddenError: Policy says no.
        """
        about = About("reference.read", store_hash)
        self._gate.authorise(call, about)
        self._keyring()
        found, following = self._table.page(store_hash, after, limit, self._clock())
        self._gate.record(call, about, "allowed")
        known = [k for accessor, taken in found if (k := self._known(accessor, taken))]
        return known, following

    def revoke(self, call: Call, accessor: Accessor | None) -> bool:
        """Revoke one reference; unknown ones are no error.

        Returns:
            Whether there was something to revoke.

        Raises:
            ForbiddenError: It is live, and neither the caller's own nor policy's to give.
        """
        known = self._known(accessor, self._table.look(accessor)) if accessor else None
        if accessor is None or known is None:
            about = About("reference.revoke", accessor=accessor.text if accessor else "")
            self._gate.record(call, about, "allowed", "not_live")
            return False
        about = self._about("reference.revoke", known)
        if call.caller.identity != known.grant.minted_by:
            self._gate.authorise(call, about)
        with self._revoking(call, about, "revoke", "revoked"):
            return self._table.revoke(accessor, known.grant.store_hash)

    def revoke_store(self, call: Call, store_hash: str) -> None:
        """Revoke every reference to a store.

        Raises:
            ForbiddenError: Policy says no.
        """
        about = About("reference.revoke", store_hash)
        self._gate.authorise(call, about)
        with self._revoking(call, about, "revoke_store", "revoked_store"):
            self._table.revoke_store(store_hash)

    def revoke_caller(self, call: Call, identity: str) -> None:
        """Revoke every reference minted by or for an identity, of whatever store.

        Raises:
            ForbiddenError: No grant lets the caller do so for all stores.
        """
        about = About("reference.revoke", ANY_STORE, subject=identity)
        self._gate.authorise(call, about)
        with self._revoking(call, about, "revoke_caller", "revoked_caller"):
            self._table.revoke_caller(identity)

    def revoke_all(self, call: Call) -> None:
        """Revoke every reference there is.

        Raises:
            ForbiddenError: No grant lets the caller do so for all stores.
        """
        about = About("reference.revoke", ANY_STORE)
        self._gate.authorise(call, about)
        with self._revoking(call, about, "revoke_all", "revoked_all"):
            self._table.revoke_all()

    @contextlib.contextmanager
    def _revoking(self, call: Call, about: About, kind: str, done: str) -> Iterator[None]:
        """Record what is done within, which is done also when it cannot be recorded: taking away is never wrong, and may not wait.

        Raises:
            AuditError: It is done, and there is no record of it, or none of its end.
        """
        unrecorded = self._unrecorded(call, about, "started", kind)
        yield
        self._observer.reference(kind, "ok")
        unrecorded = unrecorded or self._unrecorded(call, about, "allowed", done)
        if unrecorded is not None:
            # The sink's own words are that nothing was done, which is wrong here.
            raise AuditError(
                "It is revoked. The audit trail cannot be written, so there is no record of who revoked it and when.",
                reason=unrecorded.reason,
                retry_after=unrecorded.retry_after,
            )

    def _unrecorded(
        self, call: Call, about: About, outcome: Outcome, reason: str
    ) -> AuditError | None:
        try:
            self._gate.record(call, about, outcome, reason)
        except AuditError as error:
            return error
        return None

    # --- looking

    def _known(self, accessor: Accessor, taken: Taken) -> KnownReference | None:
        try:
            return self._live(accessor, taken)
        except IntegrityError:
            return None

    def _live(self, accessor: Accessor, taken: Taken) -> KnownReference | None:
        """Return what is known of a reference; None if it is not live.

        Raises:
            IntegrityError: It was altered. It has been counted.
        """
        if taken.reference is None:
            return None
        if taken.verdict == "altered":
            self._observer.security_event(taken.verdict)
            raise IntegrityError("A stored reference was altered.", reason=taken.verdict)
        keyring = self._keyring()
        try:
            stored = verified_reference(keyring, self._instance, accessor, taken.reference)
        except IntegrityError as error:
            self._observer.security_event(error.reason)
            raise
        if taken.verdict != "ok" or stored.grant.expires_at <= self._clock():
            return None
        return KnownReference(accessor, stored.grant, stored.uses_left)

    def _may_see(self, call: Call, grant: Grant) -> bool:
        if call.caller.identity in (grant.audience, grant.minted_by):
            return True
        return call.policy.decide(call.caller.identity, "reference.read", grant.store_hash).allowed

    def _about(self, action: str, known: KnownReference) -> About:
        return About(action, known.grant.store_hash, known.accessor.text)
