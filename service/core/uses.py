"""Uses of references: taken one by one, by redeeming or through the proxy.

The order within each use, from DESIGN §4; the numbers stand at the code:

 1. authenticate (done before: ``Call``)
 2. decide by policy
 3. act atomically in Redis
 4. verify what Redis gave (MAC, place, expiry, audience, access), because Redis is not trusted
 5. record in the audit trail
 6. open the token and release it, once
"""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass

from service.core.allowance import Allowance
from service.core.budget import Said
from service.core.clock import Clock
from service.core.errors import (
    BrokerError,
    ForbiddenError,
    IntegrityError,
    RateLimitedError,
    ReferenceInvalidError,
    ScopeError,
    StorageError,
    StoreNotActiveError,
)
from service.core.gate import About, Call, Gate
from service.core.grant import Grant, verified_reference
from service.core.keyring import Keyring
from service.core.lock import LOCKED, locked_error
from service.core.policy import ANY_STORE, Access
from service.core.ports import KeyringSource, Observer
from service.core.records import ActiveToken, active_token, token_headers
from service.core.reference import Accessor, accessor_of
from service.core.reference_ports import ReferenceTable, Taken
from service.core.secret import Secret
from service.core.token_cache import TokenCache

# Verdicts that only somebody other than the rightful holder causes.
_SUSPICIOUS = {"wrong_caller", "used_up", "altered"}
_BUDGET_TEXTS = {
    "budget": "The store's requests of this minute are spent.",
    "caller_share": "What is left of this minute is for other callers.",
    "max_rate": "The requests of this minute that the grant allows are spent.",
    "endpoint_budget": "The endpoint's requests of this minute are spent.",
}


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


class Uses:
    """Takes uses of references."""

    def __init__(  # noqa: PLR0913 — the parts of the world that a use touches, named at the call
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

    def take(
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
