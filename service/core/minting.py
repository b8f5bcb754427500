"""Minting references, in the order of DESIGN §4 (see ``uses``)."""

from dataclasses import dataclass
from datetime import datetime
from typing import get_args

from service.core.clock import Clock
from service.core.errors import BrokerError, StoreNotActiveError, StoreUnknownError
from service.core.gate import About, Call, Gate
from service.core.grant import Grant, MaxRate, signed_grant, uses_field
from service.core.lifecycle import StoredStatus
from service.core.lock import LOCKED, locked_error
from service.core.policy import MintAsk, MintTerms
from service.core.ports import KeyringSource, Observer
from service.core.reference import Accessor, accessor_of, new_reference
from service.core.reference_ports import Minted, ReferenceTable
from service.core.secret import Secret

_OUTCOMES = {"ok", "store_unknown", *LOCKED, *get_args(StoredStatus)}


@dataclass(frozen=True, slots=True)
class MintedReference:
    """A fresh reference, shown once."""

    reference: Secret
    accessor: Accessor
    grant: Grant


class Minter:
    """Makes references."""

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
        if outcome not in _OUTCOMES:  # somebody wrote into the record
            outcome = "quarantined"
        self._observer.reference("mint", outcome)
        if outcome != "ok":
            self._gate.record(call, about, "denied", outcome)
            raise _store_error(outcome)
        self._gate.record(call, about, "allowed", decision.grant)  # 5
        return MintedReference(reference, accessor, grant)


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
