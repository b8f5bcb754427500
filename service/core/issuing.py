"""Issuing: one token per store across all replicas, whatever crashes, times out or races.

The procedure; the numbers stand at the code that does each step:

 1. take the store's lease, which ends by itself, with a fence that only rises;
 2. write an intent, with the token's unique name, before the upstream is asked (one atomic step with 1);
 3. ask the upstream once, never again by itself; a token that is to replace one that works is proven by a harmless read first;
 4. seal the token and commit it, if the fence is still current;
 5. a winner whose fence is stale deletes its own token;
 6. tokens of earlier attempts whose outcome was unknown are found by name and deleted.

Everybody else who asked meanwhile waits for the outcome (``stores.py``). The lease only saves work; what makes the result right is
the intent, the compare-and-set of the commit, and step 6.

Source: DESIGN §5; security.md §3.1.
"""

import contextlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import Enum, auto

from service.core.cleaning import Cleaner
from service.core.clock import Clock, Pause
from service.core.credential import AccessToken, B2BPassword, Credential, refusal
from service.core.errors import (
    BrokerError,
    CredentialRefusedError,
    ForeignTokenError,
    IntegrityError,
    StorageError,
    UpstreamAnswerError,
    UpstreamError,
)
from service.core.keyring import Keyring
from service.core.lifecycle import Event, stored_after_attempt
from service.core.login_pause import LoginPause
from service.core.orphans import Intent, delete_named, sign_intent
from service.core.ports import Observer
from service.core.records import (
    StoredToken,
    StoreRecord,
    TokenStyle,
    decode_record,
    seal_token,
)
from service.core.secret import Secret
from service.core.store_ports import Lease, Start, StoreTable
from service.core.store_reader import Seen
from service.core.upstream_answers import MISMATCHED, expiry_of
from service.core.upstream_ports import Upstream

_SETTLE_AGAIN = timedelta(milliseconds=200)
_SETTLE_TRIES = 25


@dataclass(frozen=True, slots=True)
class Naming:
    """How this installation names itself.

    Attributes:
        instance: In contexts and places.
        token_prefix: In front of the names that tokens get upstream.
    """

    instance: str
    token_prefix: str


@dataclass(frozen=True, slots=True)
class Order:
    """What kind of token is wanted.

    Attributes:
        credential: What to get it with.
        retained: The password that the store keeps, sealed.
        proven: Whether the token has to pass a harmless read before it takes another one's place.
        keep_previous: Whether the token before it still works, and stays for a rollback.
    """

    credential: Credential
    retained: bytes | None = None
    proven: bool = False
    keep_previous: bool = True


class Issue(Enum):
    """What became of an issue."""

    COMMITTED = auto()
    NOT_BEGUN = auto()
    """Somebody else is issuing, or the store has changed: nothing was done."""
    OVERTAKEN = auto()
    """The upstream was asked, but the store has changed meanwhile: the token was deleted again."""


class Issuer:
    """Runs the procedure for one store at a time."""

    def __init__(  # noqa: PLR0913 — the parts of the world that the procedure touches, named at the call
        self,
        *,
        table: StoreTable,
        upstream: Upstream,
        cleaner: Cleaner,
        pause_logins: LoginPause,
        observer: Observer,
        naming: Naming,
        lease_span: timedelta,
        previous_for: timedelta,
        clock: Clock,
        pause: Pause,
    ) -> None:
        """Take the parts.

        Args:
            table: The stores.
            upstream: Whom to ask.
            cleaner: Deletes what earlier attempts left.
            pause_logins: Stops all of this when too much of it is refused.
            observer: Who counts.
            naming: This installation's names.
            lease_span: Longer than the upstream's total deadline, with a margin.
            previous_for: How long the token before a new one is kept.
            clock: The time.
            pause: How to wait between tries of the commit.
        """
        self._table = table
        self._upstream = upstream
        self._cleaner = cleaner
        self._pause_logins = pause_logins
        self._observer = observer
        self._naming = naming
        self._lease_span = lease_span
        self._previous_for = previous_for
        self._clock = clock
        self._pause = pause

    def run(
        self,
        keyring: Keyring,
        seen: Seen,
        order: Order,
        before_upstream: Callable[[], None],
    ) -> Issue:
        """Get a token for a store.

        Args:
            keyring: Seals the result.
            seen: The record that the decision to issue was made on.
            order: What is wanted.
            before_upstream: Called when the lease is held and before the upstream is; an error of it calls everything off.

        Returns:
            What became of it.

        Raises:
            CredentialRefusedError: The upstream refused the credential; a store without a token is now ``rejected``.
            IssuingPausedError: Too many were refused lately; nothing was done.
            UpstreamError: No token; ``processed`` tells whether there may be one upstream, which is then intended for deletion.
            StorageError: Redis is away; a token that may exist upstream has an intent.
        """
        if isinstance(order.credential, B2BPassword):
            self._pause_logins.check()
        store_hash = seen.record.store_hash
        attempt_id = secrets.token_hex(16)
        name = f"{self._naming.token_prefix}/{store_hash}/{attempt_id}"
        lease = self._begin(keyring, seen, order.credential, attempt_id, name)
        if lease is None:
            return Issue.NOT_BEGUN
        try:
            before_upstream()
        except BrokerError:
            self._table.settle(store_hash, lease, None, keep_intent=False)
            raise
        if self._clock() >= lease.ends_at:
            # This process slept; somebody else may have looked for the token already, and would not look again.
            self._table.settle(store_hash, lease, None, keep_intent=False)
            return Issue.NOT_BEGUN
        token = self._obtain(keyring, seen, lease, order, name)
        record = self._record_with(keyring, seen.record, order, token, name)
        committed = self._commit(keyring, lease, record, token)
        return Issue.COMMITTED if committed else Issue.OVERTAKEN

    def _begin(
        self, keyring: Keyring, seen: Seen, credential: Credential, attempt_id: str, name: str
    ) -> Lease | None:
        instance, store_hash = self._naming.instance, seen.record.store_hash
        intent = None
        if isinstance(credential, B2BPassword):  # importing makes nothing upstream
            note = Intent(name, self._clock())
            intent = sign_intent(keyring, instance, store_hash, attempt_id, note)
        line = seen.line or seen.record.encode(keyring, instance)
        owner = secrets.token_hex(16)
        ends_at = self._clock() + self._lease_span
        start = Start(store_hash, owner, attempt_id, seen.line, line, intent, ends_at)
        fence = self._table.begin(start, self._lease_span)  # Steps 1 and 2, in one.
        return None if fence is None else Lease(owner, attempt_id, fence, line, ends_at)

    def _obtain(
        self, keyring: Keyring, seen: Seen, lease: Lease, order: Order, name: str
    ) -> Secret:
        record = seen.record
        try:
            token = self._ask(record.store_hash, order.credential, name)  # Step 3.
        except CredentialRefusedError as error:
            noted = record
            if error.reason != MISMATCHED:  # which may be the upstream's own trouble
                note = refusal(keyring, record.store_hash, order.credential, error.reason)
                noted = record.with_refusal(note)
            refused = _ended(noted, Event.REFUSED, error.reason)
            self._give_up(keyring, lease, refused, keep_intent=False)
            self._note_refusal(record.store_hash, order.credential, error.reason)
            raise
        except UpstreamError as error:
            failed = _ended(record, _event_of(error), error.reason)
            self._give_up(keyring, lease, failed, keep_intent=error.processed)
            self._observer.store_issued("unknown" if error.processed else error.reason)
            if isinstance(error, ForeignTokenError):
                self._observer.security_event("foreign_token")
            raise
        if order.proven and isinstance(order.credential, B2BPassword):
            self._prove(keyring, lease, record, token)
        self._observer.store_issued("issued")
        return token

    def _prove(self, keyring: Keyring, lease: Lease, record: StoreRecord, token: Secret) -> None:
        """Let a new token show that it works; one that does not is left to be found by its name and deleted."""
        try:
            self._upstream.check(record.store_hash, "auth_token", token)
        except (CredentialRefusedError, UpstreamError):
            unproven = _ended(record, Event.UNKNOWN, "token_unproven")
            self._give_up(keyring, lease, unproven, keep_intent=True)
            self._observer.store_issued("token_unproven")
            raise UpstreamAnswerError(
                "The upstream does not accept the token that it has just made.",
                reason="token_unproven",
            ) from None

    def _note_refusal(self, store_hash: str, credential: Credential, reason: str) -> None:
        self._observer.store_issued(reason)
        if isinstance(credential, B2BPassword):
            # The refusal itself is in the store's record; without Redis only the count of stores is missing.
            with contextlib.suppress(StorageError):
                self._pause_logins.refused(store_hash)

    def _ask(self, store_hash: str, credential: Credential, name: str) -> Secret:
        if isinstance(credential, AccessToken):
            self._upstream.check(store_hash, "x_auth_token", credential.token)
            return credential.token
        return self._upstream.issue(store_hash, credential.email, credential.password, name)

    def _give_up(
        self, keyring: Keyring, lease: Lease, record: StoreRecord, *, keep_intent: bool
    ) -> None:
        line = record.encode(keyring, self._naming.instance)
        # Without Redis the lease runs out and the intent stays, which is just as safe; what the upstream said is what matters.
        with contextlib.suppress(StorageError):
            self._settle_stubbornly(record.store_hash, lease, line, keep_intent=keep_intent)

    def _record_with(
        self,
        keyring: Keyring,
        record: StoreRecord,
        order: Order,
        token: Secret,
        name: str,
    ) -> StoreRecord:
        credential, now = order.credential, self._clock()
        imported = isinstance(credential, AccessToken)
        style: TokenStyle = "x_auth_token" if imported else "auth_token"
        generation = record.generation + 1
        sealed = seal_token(keyring, self._naming.instance, record.store_hash, generation, token)
        stored = StoredToken(
            style, generation, "" if imported else name, sealed, now, expiry_of(token)
        )
        previous_until = now + self._previous_for if order.keep_previous else None
        return record.with_token(stored, order.retained, previous_until)

    def _commit(self, keyring: Keyring, lease: Lease, record: StoreRecord, token: Secret) -> bool:
        line = record.encode(keyring, self._naming.instance)
        committed = self._settle_stubbornly(  # Step 4.
            record.store_hash, lease, line, keep_intent=False
        )
        name = record.token.name if record.token else ""
        try:
            # The reply may have been lost, and others may have written since.
            committed = committed or self._is_kept(keyring, record.store_hash, name)
            if committed:
                self._cleaner.clean(keyring, record, line)  # Step 6.
            elif name:
                delete_named(self._upstream, token, [name])  # Step 5.
                self._table.forget_attempts(record.store_hash, [lease.attempt_id])
        except (UpstreamError, CredentialRefusedError, StorageError, IntegrityError):
            # What is committed stands, and the rest is still written down for the next pass, so this caller is served.
            self._observer.store_issued("cleanup_deferred")
        return committed

    def _is_kept(self, keyring: Keyring, store_hash: str, name: str) -> bool:
        """Tell whether the store's record holds a token of this name.

        Raises:
            IntegrityError: What is stored is not what was stored, so nobody can say.
        """
        stored = self._table.read([store_hash], self._clock())[0].line
        if stored is None or not name:
            return False
        kept = decode_record(keyring, self._naming.instance, store_hash, stored)
        return any(token.name == name for token in kept.deletable)

    def _settle_stubbornly(
        self, store_hash: str, lease: Lease, line: bytes, *, keep_intent: bool
    ) -> bool:
        """Write the outcome, trying again while Redis is away: this process holds the only copy of it."""
        for _ in range(_SETTLE_TRIES - 1):
            try:
                return self._table.settle(store_hash, lease, line, keep_intent=keep_intent)
            except StorageError:
                self._pause(_SETTLE_AGAIN)
        return self._table.settle(store_hash, lease, line, keep_intent=keep_intent)


def _ended(record: StoreRecord, event: Event, reason: str) -> StoreRecord:
    """Return the record after an attempt that brought no token."""
    status = stored_after_attempt(record.status, event)
    if status == "active" or record.reason == "removing":
        # A removal that was begun stays begun, until somebody gets the store a token.
        return record
    return replace(record, status=status, reason=reason)


def _event_of(error: UpstreamError) -> Event:
    if isinstance(error, ForeignTokenError):
        return Event.FOREIGN
    return Event.UNKNOWN if error.processed else Event.FAILED
