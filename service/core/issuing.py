"""Issuing: one token per store across all replicas, whatever crashes, times out or races.

The procedure; the numbers stand at the code that does each step:

 1. take the store's lease, which ends by itself, with a fence that only rises;
 2. write an intent, with the token's unique name, before the upstream is asked (one atomic step with 1);
 3. ask the upstream once, never again by itself;
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
from service.core.credential import AccessToken, B2BPassword, Credential, refusal, seal_password
from service.core.errors import (
    BrokerError,
    CredentialRefusedError,
    ForeignTokenError,
    IntegrityError,
    StorageError,
    UpstreamError,
)
from service.core.keyring import Keyring
from service.core.orphans import Intent, delete_named, sign_intent
from service.core.ports import Lease, Observer, Start, StoreTable, Upstream
from service.core.records import StoredToken, StoreRecord, TokenStyle, seal_token
from service.core.secret import Secret

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
class Seen:
    """A store's record as one reader saw it: the basis of a compare-and-set."""

    record: StoreRecord
    line: bytes | None


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
        observer: Observer,
        naming: Naming,
        lease_span: timedelta,
        clock: Clock,
        pause: Pause,
    ) -> None:
        """Take the parts.

        Args:
            table: The stores.
            upstream: Whom to ask.
            cleaner: Deletes what earlier attempts left.
            observer: Who counts.
            naming: This installation's names.
            lease_span: Longer than the upstream's total deadline, with a margin.
            clock: The time.
            pause: How to wait between tries of the commit.
        """
        self._table = table
        self._upstream = upstream
        self._cleaner = cleaner
        self._observer = observer
        self._naming = naming
        self._lease_span = lease_span
        self._clock = clock
        self._pause = pause

    def run(
        self,
        keyring: Keyring,
        seen: Seen,
        credential: Credential,
        *,
        retain: bool,
        before_upstream: Callable[[], None],
    ) -> Issue:
        """Get a token for a store with a credential.

        Args:
            keyring: Seals the result.
            seen: The record that the decision to issue was made on.
            credential: What to get it with.
            retain: Whether to keep a password, sealed.
            before_upstream: Called when the lease is held and before the upstream is; an error of it calls everything off.

        Returns:
            What became of it.

        Raises:
            CredentialRefusedError: The upstream refused it; the store is now ``rejected``.
            UpstreamError: No token; ``processed`` tells whether there may be one upstream, which is then intended for deletion.
            StorageError: Redis is away; a token that may exist upstream has an intent.
        """
        store_hash = seen.record.store_hash
        attempt_id = secrets.token_hex(16)
        name = f"{self._naming.token_prefix}/{store_hash}/{attempt_id}"
        lease = self._begin(keyring, seen, credential, attempt_id, name)
        if lease is None:
            return Issue.NOT_BEGUN
        try:
            before_upstream()
        except BrokerError:
            self._table.settle(store_hash, lease, None, keep_intent=False)
            raise
        token = self._obtain(keyring, seen, lease, credential, name)
        record = self._record_with(keyring, seen.record, credential, token, name, retain=retain)
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
        start = Start(store_hash, owner, attempt_id, seen.line, line, intent)
        fence = self._table.begin(start, self._lease_span)  # Steps 1 and 2, in one.
        return None if fence is None else Lease(owner, attempt_id, fence, line)

    def _obtain(
        self, keyring: Keyring, seen: Seen, lease: Lease, credential: Credential, name: str
    ) -> Secret:
        try:
            token = self._ask(seen.record.store_hash, credential, name)  # Step 3.
        except CredentialRefusedError as error:
            note = refusal(keyring, seen.record.store_hash, credential, error.reason)
            refused = seen.record.with_refusal(note)
            if refused.status != "active":
                refused = replace(refused, status="rejected", reason=error.reason)
            self._give_up(keyring, lease, refused, keep_intent=False)
            self._observer.store_issued(error.reason)
            raise
        except UpstreamError as error:
            self._give_up(
                keyring, lease, self._failed(seen.record, error), keep_intent=error.processed
            )
            self._observer.store_issued("unknown" if error.processed else error.reason)
            raise
        self._observer.store_issued("issued")
        return token

    def _ask(self, store_hash: str, credential: Credential, name: str) -> Secret:
        if isinstance(credential, AccessToken):
            self._upstream.check(store_hash, "x_auth_token", credential.token)
            return credential.token
        return self._upstream.issue(store_hash, credential.email, credential.password, name)

    def _failed(self, record: StoreRecord, error: UpstreamError) -> StoreRecord:
        foreign = isinstance(error, ForeignTokenError)
        if foreign:
            self._observer.security_event("foreign_token")
        if record.status == "active":
            return record
        return replace(record, status="quarantined" if foreign else "pending", reason=error.reason)

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
        credential: Credential,
        token: Secret,
        name: str,
        *,
        retain: bool,
    ) -> StoreRecord:
        imported = isinstance(credential, AccessToken)
        style: TokenStyle = "x_auth_token" if imported else "auth_token"
        generation = record.generation + 1
        sealed = seal_token(keyring, self._naming.instance, record.store_hash, generation, token)
        stored = StoredToken(style, generation, "" if imported else name, sealed, self._clock())
        retained = None
        if retain and isinstance(credential, B2BPassword):
            retained = seal_password(keyring, self._naming.instance, record.store_hash, credential)
        return record.with_token(stored, retained)

    def _commit(self, keyring: Keyring, lease: Lease, record: StoreRecord, token: Secret) -> bool:
        line = record.encode(keyring, self._naming.instance)
        committed = self._settle_stubbornly(  # Step 4.
            record.store_hash, lease, line, keep_intent=False
        )
        name = record.token.name if record.token else ""
        try:
            if committed:
                self._cleaner.clean(keyring, record, line)  # Step 6.
            elif name:
                delete_named(self._upstream, token, [name])  # Step 5.
                self._table.forget_attempts(record.store_hash, [lease.attempt_id])
        except (UpstreamError, CredentialRefusedError, StorageError, IntegrityError):
            # What is committed stands, and the rest is still written down for the next pass, so this caller is served.
            self._observer.store_issued("cleanup_deferred")
        return committed

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
