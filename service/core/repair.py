"""When the upstream rejects a store's token itself: find out whether that is so, and repair it once.

An answer that looks like a rejection may have another reason (upstream.md §2.3), so the token is checked by one harmless read before
anything is done. If it is really dead, the store gets a new token from a credential that is at hand, or goes back to the previous one;
otherwise it becomes ``needs_credential``. One repair of a store takes place at a time, and one in a quarter of an hour, so that an
upstream that rejects everything does not make it mint tokens without end.

Source: DESIGN §9; security.md §3.3 F57.
"""

import secrets
from datetime import timedelta

from service.core.errors import (
    BrokerError,
    CredentialNeededError,
    CredentialRefusedError,
    IntegrityError,
    IssuingPausedError,
    StoreBusyError,
    StoreNotActiveError,
    TokenRejectedError,
    UpstreamError,
)
from service.core.gate import About, Call, Gate
from service.core.keyring import Keyring
from service.core.lock import refuse_locked
from service.core.ports import KeyringSource, Observer
from service.core.provision import Provision
from service.core.records import (
    ActiveToken,
    StoredToken,
    StoreRecord,
    active_token,
    open_token,
)
from service.core.store_ports import MaintenanceTable
from service.core.store_reader import Seen, StoreReader
from service.core.upstream_answers import MISMATCHED
from service.core.upstream_ports import Upstream

ONCE_IN = timedelta(minutes=15)
CHECK_EVERY = timedelta(minutes=1)
"""A store whose answers keep looking like rejections is checked this often."""
SUSPECTED_FOR = timedelta(minutes=10)
"""A server error instead of a rejection has to be met by two checks within this time."""
CHECK_SPAN = timedelta(seconds=60)
"""How long at most a check and what follows from it keep others from doing the same."""
_SOON = timedelta(seconds=2)
_NOT_THIS_WAY = (CredentialNeededError, CredentialRefusedError, IssuingPausedError, UpstreamError)


class Repair:
    """Repairs stores whose token is dead."""

    def __init__(  # noqa: PLR0913 — the parts of the world that this touches, named at the call
        self,
        *,
        gate: Gate,
        keyring: KeyringSource,
        reader: StoreReader,
        agreed: MaintenanceTable,
        upstream: Upstream,
        provision: Provision,
        observer: Observer,
        instance: str,
    ) -> None:
        self._gate = gate
        self._keyring = keyring
        self._reader = reader
        self._agreed = agreed
        self._upstream = upstream
        self._provision = provision
        self._observer = observer
        self._instance = instance

    def look_into(self, call: Call, store_hash: str, met: ActiveToken) -> ActiveToken | None:
        """Find out whether a store's token is dead, and replace it if it is.

        Args:
            call: Whose request met the answer.
            store_hash: Which store.
            met: The token that the request was sent with.

        Returns:
            The store's new token; None if the old one is good, or nothing can be said, so that the answer is the caller's.

        Raises:
            TokenRejectedError: It is dead. With ``retry_after``, somebody is replacing it; without, an operator has to.
            StoreNotActiveError: The store is not active any more.
            StoreLockedError: It was locked meanwhile.
        """
        keyring = self._keyring()
        seen = self._reader.seen(keyring, store_hash)
        refuse_locked(seen.view)
        if seen.record.status != "active":
            # It may be being removed, which a request that was on its way must not undo.
            raise StoreNotActiveError("The store has no usable token.", reason=seen.record.status)
        if self._is_dead_now(keyring, seen, met):
            self._replace(call, keyring, seen)
        elif seen.record.token is None or seen.record.token.generation == met.generation:
            return None
        line = self._reader.view(store_hash).line or b""
        return active_token(keyring, self._instance, store_hash, line)

    def _is_dead_now(self, keyring: Keyring, seen: Seen, met: ActiveToken) -> bool:
        """Tell whether the token that was met is the store's, and dead.

        Raises:
            TokenRejectedError: Somebody is finding out, or replacing it already.
        """
        store_hash, token = seen.record.store_hash, seen.record.token
        if token is None or token.generation != met.generation:
            return False
        if self._agreed.is_claimed("fine", store_hash):
            return False
        if seen.view.lease_left is not None:
            raise _rejected("repair_under_way", _SOON)
        if not self._agreed.claim_store("checking", store_hash, secrets.token_hex(16), CHECK_SPAN):
            raise _rejected("repair_under_way", _SOON)
        dead = self._is_dead(keyring, seen.record, token)
        if not dead:
            self._agreed.claim_store("fine", store_hash, "-", CHECK_EVERY)
        return dead

    def _replace(self, call: Call, keyring: Keyring, seen: Seen) -> None:
        self._observer.security_event("token_rejected")
        about = About("store.write", seen.record.store_hash)
        self._gate.record(call, about, "started", "repair")
        try:
            done = self._repair(call, keyring, seen)
        except BrokerError as error:
            self._gate.record(call, about, "failed", error.reason)
            raise
        self._gate.record(call, about, "allowed", done)

    def _is_dead(self, keyring: Keyring, record: StoreRecord, token: StoredToken) -> bool:
        opened = open_token(keyring, self._instance, record.store_hash, token)
        try:
            self._upstream.check(record.store_hash, token.style, opened)
        except CredentialRefusedError as error:
            return error.reason != MISMATCHED or self._suspected_before(record.store_hash)
        except UpstreamError:
            return False
        return False

    def _suspected_before(self, store_hash: str) -> bool:
        """Tell whether an earlier check came to the same; an outage of a part of the upstream should be over by then."""
        if self._agreed.is_claimed("suspected", store_hash):
            return True
        self._agreed.claim_store("suspected", store_hash, "-", SUSPECTED_FOR)
        return False

    def _repair(self, call: Call, keyring: Keyring, seen: Seen) -> str:
        """Replace the dead token, and say how.

        Raises:
            TokenRejectedError: That cannot be done.
        """
        store_hash = seen.record.store_hash
        if self._agreed.claim_store("repaired", store_hash, secrets.token_hex(16), ONCE_IN):
            if self._issue(call, keyring, seen):
                return "repaired"
            if self._go_back(keyring, seen):
                return "rolled_back"
        latest = self._reader.seen(keyring, store_hash)
        if latest.record.status == "active":
            if latest.record.token != seen.record.token:
                return "replaced_meanwhile"
            self._provision.give_up(keyring, latest, ONCE_IN)
        raise _rejected("needs_credential", None)

    def _issue(self, call: Call, keyring: Keyring, seen: Seen) -> bool:
        """Return whether the store has another token now."""
        store_hash = seen.record.store_hash
        about = About("store.write", store_hash)

        def announce() -> None:
            self._gate.record(call, about, "started", "issue")

        try:
            self._provision.rotate(
                keyring, store_hash, None, announce, decided_on=seen.record, keep_previous=False
            )
        except IntegrityError as error:
            self._observer.security_event(error.reason)
            return False
        except _NOT_THIS_WAY:
            return False
        # An access token that is at hand may be the very one that is dead.
        return self._reader.seen(keyring, store_hash).record.token != seen.record.token

    def _go_back(self, keyring: Keyring, seen: Seen) -> bool:
        if seen.record.previous is None:
            return False
        try:
            self._provision.roll_back(keyring, seen.record.store_hash, keep_previous=False)
        except (StoreBusyError, IntegrityError):
            raise
        except BrokerError:
            return False
        return True


def _rejected(reason: str, retry_after: timedelta | None) -> TokenRejectedError:
    return TokenRejectedError(
        "The upstream rejects the store's token.", reason=reason, retry_after=retry_after
    )
