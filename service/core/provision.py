"""Seeing to it that a store has a token: which credential to use, whether to issue, to keep what is there, or to wait for somebody else.

* A store that is active keeps its token when it is given a password (no second exchange); an access token replaces whatever is there.
* A credential that was refused is not sent again until it changes.
* While somebody else is issuing, everyone waits for that outcome instead of causing another.
* A credential is at hand when it is mounted or retained. The mounted one counts first: it is what the operator says now.

Source: DESIGN §5.
"""

import hmac
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta

from service.core.clock import Clock, Pause
from service.core.credential import (
    AccessToken,
    B2BPassword,
    Credential,
    is_refused,
    open_password,
    seal_password,
)
from service.core.errors import (
    BrokerError,
    CredentialNeededError,
    CredentialRefusedError,
    StoreBusyError,
    StoreNotActiveError,
    StoreUnknownError,
)
from service.core.issuing import Issue, Issuer, Order
from service.core.keyring import Keyring
from service.core.lifecycle import Event, after
from service.core.lock import refuse_locked
from service.core.records import Refusal, StoredToken, StoreRecord, open_token
from service.core.store_ports import MaintenanceTable, MountedCredentials, StoreTable
from service.core.store_reader import Seen, StoreReader
from service.core.upstream_ports import Upstream

_POLL = timedelta(milliseconds=100)
_TRIES = 20

Announce = Callable[[], None]
"""Records that the upstream is about to be asked; an error of it calls everything off."""


@dataclass(frozen=True, slots=True)
class Times:
    """How long things take.

    Attributes:
        patience: How long a caller waits for another's issue.
        previous: How long the token before a new one is kept.
    """

    patience: timedelta
    previous: timedelta


class Provision:
    """Gets, replaces and brings back stores' tokens."""

    def __init__(  # noqa: PLR0913 — the parts of the world that this touches, named at the call
        self,
        *,
        reader: StoreReader,
        table: StoreTable,
        agreed: MaintenanceTable,
        upstream: Upstream,
        issuer: Issuer,
        mounted: MountedCredentials,
        instance: str,
        times: Times,
        clock: Clock,
        pause: Pause,
    ) -> None:
        self._reader = reader
        self._table = table
        self._agreed = agreed
        self._upstream = upstream
        self._issuer = issuer
        self._mounted = mounted
        self._instance = instance
        self._times = times
        self._clock = clock
        self._pause = pause

    def put(
        self,
        keyring: Keyring,
        store_hash: str,
        credential: Credential,
        announce: Announce,
        *,
        retain: bool,
    ) -> bool:
        """Make a store active with a credential, and tell whether it is new.

        Raises:
            StoreLockedError: The store is locked.
            CredentialRefusedError: The upstream refused the credential, now or before.
            StoreNotActiveError: The store is quarantined.
            StoreBusyError: Somebody else is still issuing.
            UpstreamError: The upstream did not do it.
        """
        new = False

        def wanted(seen: Seen) -> Order | None:
            nonlocal new
            new = seen.line is None
            if self.is_in_force(keyring, seen.record, credential):
                return None
            # A working token is replaced only by one that is shown to work: importing one begins with that.
            return Order(credential, self._sealed(keyring, store_hash, credential, retain=retain))

        issued = self._settle(keyring, store_hash, wanted, announce)
        if not issued and isinstance(credential, B2BPassword):
            sealed = self._sealed(keyring, store_hash, credential, retain=retain)
            self._retain_or_forget(keyring, store_hash, sealed)
        return new

    def rotate(
        self,
        keyring: Keyring,
        store_hash: str,
        credential: Credential | None,
        announce: Announce,
        *,
        decided_on: StoreRecord | None = None,
        keep_previous: bool = True,
    ) -> None:
        """Replace a store's token with a new one.

        Args:
            keyring: Opens and seals.
            store_hash: Which store.
            credential: What to get it with; None for what is at hand.
            announce: Called before the upstream is asked.
            decided_on: What shows that it has to be, where nobody asked for it: a store that has another token or status by now is left.
            keep_previous: Whether the old one still works, and stays for a while.

        Raises:
            StoreUnknownError: No such store.
            CredentialNeededError: None given, and none at hand.
            StoreLockedError, CredentialRefusedError, StoreNotActiveError, StoreBusyError, UpstreamError: As ``put``.
        """
        first = self._known(keyring, store_hash)

        def wanted(seen: Seen) -> Order | None:
            if seen.record.generation > first.record.generation:
                return None  # somebody else did it meanwhile, which is what was asked for
            if decided_on and _standing(seen.record) != _standing(decided_on):
                return None
            chosen = credential or self.at_hand(keyring, seen.record)
            if chosen is None:
                raise CredentialNeededError(
                    "No credential was given, and none is retained or mounted.",
                    reason="credential_needed",
                )
            if isinstance(chosen, AccessToken) and self.is_in_force(keyring, seen.record, chosen):
                return None
            # What is retained stays as it is; a mounted credential is never copied.
            retained = seen.record.credential if isinstance(chosen, B2BPassword) else None
            if retained is not None and isinstance(credential, B2BPassword):
                # What is given takes the place of what is kept, which it most likely is the successor of.
                retained = seal_password(keyring, self._instance, store_hash, credential)
            return Order(chosen, retained, proven=True, keep_previous=keep_previous)

        self._settle(keyring, store_hash, wanted, announce)

    def roll_back(self, keyring: Keyring, store_hash: str, *, keep_previous: bool = True) -> None:
        """Make the previous token the active one again, if it still works.

        Raises:
            StoreUnknownError: No such store.
            StoreLockedError: The store is locked.
            StoreNotActiveError: ``no_previous`` or ``previous_rejected``: there is nothing to go back to.
            StoreBusyError: The store changed meanwhile.
            UpstreamError: The upstream does not say whether it works.
        """
        seen = self._known(keyring, store_hash)
        refuse_locked(seen.view)
        record = seen.record
        previous = record.previous
        if previous is None:
            raise StoreNotActiveError("There is no previous token.", reason="no_previous")
        self._require_working(keyring, record, previous)
        until = self._clock() + self._times.previous if keep_previous else None
        # First the appointment, then the change: whoever crashes between the two leaves one look too many, not one too few.
        self._agreed.look_at(store_hash, until or self._clock())
        self.replace(keyring, seen, record.rolled_back(until))

    def give_up(self, keyring: Keyring, seen: Seen, look_again: timedelta) -> None:
        """Write down that the upstream rejects the store's token and that nothing at hand can replace it at this moment.

        Raises:
            StoreBusyError: The store changed meanwhile.
        """
        status = after(seen.record.status, Event.DIED)
        assert status == "needs_credential"  # noqa: S101 — the table has no other end
        # Something may be at hand that could not be used just now.
        self._agreed.look_at(seen.record.store_hash, self._clock() + look_again)
        self.replace(keyring, seen, replace(seen.record, status=status, reason="token_rejected"))

    def replace(self, keyring: Keyring, seen: Seen, record: StoreRecord) -> None:
        """Write a record in the place of the one that was seen.

        Raises:
            StoreBusyError: The store changed meanwhile.
        """
        line = record.encode(keyring, self._instance)
        if seen.line is None or not self._table.replace(record.store_hash, seen.line, line):
            raise changed()

    def at_hand(self, keyring: Keyring, record: StoreRecord) -> Credential | None:
        """Return a credential that needs nobody to give it, and was not refused; None if there is none.

        Raises:
            IntegrityError: The retained one was altered.
        """
        mounted = self._mounted.find(record.store_hash)
        if mounted and not self._refusal_of(keyring, record, mounted):
            return mounted
        if record.credential is None:
            return None
        retained = open_password(keyring, self._instance, record.store_hash, record.credential)
        return None if self._refusal_of(keyring, record, retained) else retained

    def is_in_force(self, keyring: Keyring, record: StoreRecord, credential: Credential) -> bool:
        """Tell whether the store needs nothing from this credential."""
        if record.status != "active" or record.token is None:
            return False
        if isinstance(credential, B2BPassword):
            return True
        if record.token.style != "x_auth_token":
            return False
        held = open_token(keyring, self._instance, record.store_hash, record.token)
        return hmac.compare_digest(held.reveal(), credential.token.reveal())

    # --- settling

    def _settle(
        self,
        keyring: Keyring,
        store_hash: str,
        wanted: Callable[[Seen], Order | None],
        announce: Announce,
    ) -> bool:
        """Issue what is wanted, once, however often the store changes meanwhile; or wait until nothing is wanted any more.

        Returns:
            Whether it was issued here.
        """
        asked = False
        for _ in range(self._times.patience // _POLL):
            seen = self._reader.seen(keyring, store_hash)
            refuse_locked(seen.view)
            order = wanted(seen)
            if order is None:
                return False
            refusal = self._refusal_of(keyring, seen.record, order.credential)
            if refusal is not None:
                raise CredentialRefusedError(
                    "The upstream refused this credential before.", reason=refusal.reason
                )
            if seen.view.lease_left is not None:
                self._pause(_POLL)
                continue
            if asked:
                # Whoever removed or changed the store meanwhile meant it; one call sends a credential once.
                raise changed()
            issue = self._issuer.run(keyring, seen, order, announce)
            if issue is Issue.COMMITTED:
                return True
            asked = issue is Issue.OVERTAKEN
        raise StoreBusyError(
            "Another request is issuing this store's token.",
            reason="store_busy",
            retry_after=timedelta(seconds=1),
        )

    def _known(self, keyring: Keyring, store_hash: str) -> Seen:
        seen = self._reader.seen(keyring, store_hash)
        if seen.line is None:
            raise StoreUnknownError("No such store.", reason="store_unknown")
        return seen

    def _sealed(
        self, keyring: Keyring, store_hash: str, credential: Credential, *, retain: bool
    ) -> bytes | None:
        if retain and isinstance(credential, B2BPassword):
            return seal_password(keyring, self._instance, store_hash, credential)
        return None

    def _retain_or_forget(self, keyring: Keyring, store_hash: str, sealed: bytes | None) -> None:
        """See to the retention of the password of a store that keeps its token."""
        for _ in range(_TRIES):
            seen = self._reader.seen(keyring, store_hash)
            if seen.line is None or seen.record.credential == sealed:
                return
            line = replace(seen.record, credential=sealed).encode(keyring, self._instance)
            if self._table.replace(store_hash, seen.line, line):
                return
            self._pause(_POLL)
        raise changed()

    def _require_working(self, keyring: Keyring, record: StoreRecord, token: StoredToken) -> None:
        opened = open_token(keyring, self._instance, record.store_hash, token)
        try:
            self._upstream.check(record.store_hash, token.style, opened)
        except CredentialRefusedError:
            raise StoreNotActiveError(
                "The upstream does not accept the previous token any more.",
                reason="previous_rejected",
            ) from None

    def _refusal_of(
        self, keyring: Keyring, record: StoreRecord, credential: Credential
    ) -> Refusal | None:
        for refusal in record.refusals:
            if is_refused(keyring, self._instance, record.store_hash, refusal, credential):
                return refusal
        return None


def _standing(record: StoreRecord) -> tuple[object, ...]:
    """Return what decides whether a store needs another token."""
    return record.status, record.reason == "removing", record.token


def changed() -> BrokerError:
    """Return the error of a store that somebody else changed in between."""
    return StoreBusyError(
        "The store changed meanwhile.", reason="changed", retry_after=timedelta(seconds=1)
    )
