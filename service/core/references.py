"""References: minted, redeemed, looked at, revoked.

The order within each use, from DESIGN §4; the numbers stand at the code:

 1. authenticate (done before: ``Call``)
 2. decide by policy
 3. act atomically in Redis
 4. verify what Redis gave (MAC, place, expiry, audience, access), because Redis is not trusted
 5. record in the audit trail
 6. open the token and release it, once
"""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import get_args

from service.core.allowance import Allowance
from service.core.audit import Outcome
from service.core.budget import Said
from service.core.clock import Clock
from service.core.errors import (
    AccessorUnknownError,
    AuditError,
    BrokerError,
    ForbiddenError,
    IntegrityError,
    RateLimitedError,
    ReferenceInvalidError,
    ScopeError,
    StorageError,
    StoreNotActiveError,
    StoreUnknownError,
)
from service.core.gate import About, Call, Gate
from service.core.grant import Grant, MaxRate, signed_grant, uses_field, verified_reference
from service.core.keyring import Keyring
from service.core.lifecycle import StoredStatus
from service.core.lock import LOCKED, locked_error
from service.core.policy import ANY_STORE, Access, MintAsk, MintTerms
from service.core.ports import KeyringSource, Observer
from service.core.records import ActiveToken, active_token, token_headers
from service.core.reference import Accessor, accessor_of, new_reference, parse_accessor
from service.core.reference_ports import Minted, ReferenceTable, Taken
from service.core.secret import Secret
from service.core.token_cache import TokenCache

_MINT_OUTCOMES = {"ok", "store_unknown", *LOCKED, *get_args(StoredStatus)}
# Verdicts that only somebody other than the rightful holder causes.
_SUSPICIOUS = {"wrong_caller", "used_up", "altered"}
_BUDGET_TEXTS = {
    "budget": "The store's requests of this minute are spent.",
    "caller_share": "What is left of this minute is for other callers.",
    "max_rate": "The requests of this minute that the grant allows are spent.",
    "endpoint_budget": "The endpoint's requests of this minute are spent.",
}


@dataclass(frozen=True, slots=True)
class MintedReference:
    """A fresh reference, shown once."""

    reference: Secret
    accessor: Accessor
    grant: Grant


@dataclass(frozen=True, slots=True)
class Use:
    """A use that was allowed, recorded, and whose token is open.

    Attributes:
        accessor: Of the reference.
        grant: Verified.
        token: The store's, opened.
        allowance: For the proxy, of requests to the upstream, as the upstream counts them.
        nearest: The limit that the caller will reach first.
    """

    accessor: Accessor
    grant: Grant
    token: ActiveToken
    allowance: Allowance | None = None
    nearest: Allowance | None = None

    @property
    def headers(self) -> dict[str, Secret]:
        """What carries the token upstream."""
        return token_headers(self.token.style, self.grant.store_hash, self.token.secret)


@dataclass(frozen=True, slots=True)
class KnownReference:
    """A live reference as it is listed: never the reference itself."""

    accessor: Accessor
    grant: Grant
    uses_left: int | None


class References:
    """The use cases about references."""

    def __init__(  # noqa: PLR0913 — the parts of the world that references touch, named at the call
        self,
        *,
        gate: Gate,
        keyring: KeyringSource,
        table: ReferenceTable,
        observer: Observer,
        tokens: TokenCache,
        instance: str,
        clock: Clock,
    ) -> None:
        self._gate = gate
        self._keyring = keyring
        self._table = table
        self._observer = observer
        self._tokens = tokens
        self._instance = instance
        self._clock = clock

    def mint(self, call: Call, store_hash: str, ask: MintAsk) -> MintedReference:
        """Make a reference to a store's token.

        Raises:
            ForbiddenError: No single grant allows all of what is asked.
            StoreUnknownError, StoreNotActiveError: There is nothing to refer to.
            StoreLockedError: The store is locked.
        """
        about = About("reference.mint", store_hash)
        decision = self._gate.authorise(call, about, ask)  # 2
        terms = decision.terms
        assert terms is not None  # noqa: S101 — an allowed mint has terms
        keyring, now = self._keyring(), self._clock()
        reference = new_reference(store_hash)
        accessor = accessor_of(reference)
        about = About(about.action, store_hash, accessor.text, subject=terms.audience)
        grant = _grant(store_hash, call.caller.identity, terms, decision.grant, now)
        minted = Minted(
            accessor=accessor,
            store_hash=store_hash,
            minted_by=grant.minted_by,
            audience=grant.audience,
            uses=uses_field(grant.max_uses),
            signed=signed_grant(keyring, self._instance, accessor, grant),
            ttl=terms.ttl,
            expires_at=grant.expires_at,
        )
        outcome = self._table.mint(minted, now)  # 3
        if outcome not in _MINT_OUTCOMES:  # somebody wrote into the record
            outcome = "quarantined"
        self._observer.reference("mint", outcome)
        if outcome != "ok":
            self._gate.record(call, about, "denied", outcome)
            raise _store_error(outcome)
        self._gate.record(call, about, "allowed", decision.grant)  # 5
        return MintedReference(reference, accessor, grant)

    def use(
        self,
        call: Call,
        reference: Secret,
        access: Access,
        within: Callable[[Grant], bool],
        endpoint: str = "",
    ) -> Use:
        """Take one use of a reference and open its token.

        Args:
            call: Who asks.
            reference: What they hold.
            access: How they want to use it.
            within: Tells whether the request lies within the verified grant's request scope.
            endpoint: The upstream's endpoint with a limit of its own that is asked for, if it is.

        Raises:
            ReferenceInvalidError: Whatever is wrong with the reference.
            ForbiddenError: Policy does not let the caller redeem.
            ScopeError: The request is outside the reference's request scope.
            StoreNotActiveError: The store has no usable token.
            StoreLockedError: The store is locked.
            RateLimitedError: The minute's requests to the upstream are spent, or this caller's part of them.
        """
        action = "reference.redeem" if access == "redeem" else "reference.use"
        stores = self._stores_for(call, action)  # 2
        try:
            accessor = accessor_of(reference)
        except ReferenceInvalidError as error:
            self._refuse(call, About(action), error.reason)
            raise
        keyring, now = self._keyring(), self._clock()
        taken = self._table.use(accessor, call.caller.identity, access, stores, now, endpoint)  # 3
        about = About(action, accessor=accessor.text)
        try:
            grant = self._verified(call, about, keyring, accessor, taken)  # 4
        except IntegrityError as error:
            self._observer.security_event(error.reason)
            self._refuse(call, about, error.reason)
            raise ReferenceInvalidError(reason=error.reason) from None
        about = About(action, grant.store_hash, accessor.text)
        if not within(grant):
            self._refuse(call, about, "request_scope")
            raise ScopeError(
                "The request is outside the reference's request scope.", reason="request_scope"
            )
        self._gate.record(call, about, "allowed")  # 5
        self._observer.reference(action.partition(".")[2], "ok")
        if taken.allowance is not None:
            self._observer.budget_left(taken.allowance.left / taken.allowance.quota)
        return self._release(call, about, keyring, accessor, grant, taken)  # 6

    def lower(self, use: Use, said: Said) -> None:
        """Believe the upstream that less is left of what a use took from. What cannot be written now is learned from a later answer."""
        now = self._clock()
        if use.allowance is not None:
            with contextlib.suppress(StorageError):
                self._table.lower(
                    use.grant.store_hash, use.allowance.pool, said.left, now + said.span, now
                )

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

    # --- using

    def _stores_for(self, call: Call, action: str) -> tuple[str, ...]:
        if action == "reference.use":  # implied by the reference
            return (ANY_STORE,)
        stores = call.policy.stores_of(call.caller.identity, action)
        if not stores:
            raise self._gate.deny(call, About(action), "actions")
        return stores

    def _verified(
        self, call: Call, about: About, keyring: Keyring, accessor: Accessor, taken: Taken
    ) -> Grant:
        if taken.verdict != "ok" or taken.reference is None:
            raise self._refusal(call, about, taken)
        grant = verified_reference(keyring, self._instance, accessor, taken.reference).grant
        wanted: Access = "redeem" if about.action == "reference.redeem" else "proxy"
        if (grant.audience, grant.access) != (call.caller.identity, wanted):
            raise IntegrityError("Redis and the grant disagree.", reason="grant_disagrees")
        if grant.expires_at <= self._clock():
            self._refuse(call, about, "expired")
            raise ReferenceInvalidError(reason="expired")
        return grant

    def _release(
        self,
        call: Call,
        about: About,
        keyring: Keyring,
        accessor: Accessor,
        grant: Grant,
        taken: Taken,
    ) -> Use:
        line = taken.store or b""

        def open_line() -> ActiveToken:
            return active_token(keyring, self._instance, grant.store_hash, line)

        try:
            token = self._tokens.get(grant.store_hash, line, open_line)
        except IntegrityError as error:
            self._observer.security_event(error.reason)
            self._gate.record(call, about, "failed", error.reason)
            raise StoreNotActiveError("The store is quarantined.", reason="quarantined") from None
        return Use(accessor, grant, token, taken.allowance, taken.nearest)

    def _refusal(self, call: Call, about: About, taken: Taken) -> BrokerError:
        self._refuse(call, about, taken.verdict)
        if taken.verdict in _SUSPICIOUS:
            self._observer.security_event(taken.verdict)
        if taken.verdict in _BUDGET_TEXTS:
            self._observer.budget_refusal(taken.verdict)
            return RateLimitedError(
                _BUDGET_TEXTS[taken.verdict],
                reason=taken.verdict,
                retry_after=taken.allowance.wait if taken.allowance else None,
                allowance=taken.allowance,
            )
        if taken.verdict in LOCKED:
            return locked_error(taken.verdict)
        if taken.verdict == "store_forbidden":
            return ForbiddenError("Policy does not allow this.", reason="stores")
        if taken.verdict == "store_not_active":
            return StoreNotActiveError("The store has no usable token.", reason="store_not_active")
        return ReferenceInvalidError(reason=taken.verdict)

    def _refuse(self, call: Call, about: About, reason: str) -> None:
        self._gate.record(call, about, "denied", reason)
        self._observer.reference(about.action.partition(".")[2], reason)

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


def _grant(store_hash: str, minted_by: str, terms: MintTerms, under: str, now: datetime) -> Grant:
    return Grant(
        store_hash=store_hash,
        audience=terms.audience,
        access=terms.access,
        requests=terms.requests,
        max_uses=terms.max_uses,
        minted_by=minted_by,
        minted_at=now,
        expires_at=now + terms.ttl,
        max_rate=None if terms.max_rate is None else MaxRate(terms.max_rate, under),
    )


def _store_error(outcome: str) -> BrokerError:
    if outcome in LOCKED:
        return locked_error(outcome)
    if outcome == "store_unknown":
        return StoreUnknownError("No such store.")
    return StoreNotActiveError("The store has no usable token.", reason=outcome)
