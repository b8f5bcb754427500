"""Stores: registered once, shown to whoever may see them, removed without leaving anything upstream.

What ``put`` does depends on what is there; the rules are in ``_plan``:

* a store that is active keeps its token when given a password (no second exchange);
* an access token replaces whatever is there, after one harmless read proved that it works;
* a credential that was refused is not sent again until it changes;
* while somebody else is issuing, everyone waits for that outcome instead of causing another.
"""

import hmac
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum, auto

from service.core.clock import Clock, Pause
from service.core.credential import (
    AccessToken,
    B2BPassword,
    Credential,
    fingerprint,
    seal_password,
)
from service.core.errors import (
    BrokerError,
    CredentialRefusedError,
    IntegrityError,
    StoreBusyError,
    StoreNotActiveError,
    StoreUnknownError,
)
from service.core.gate import About, Call, Gate
from service.core.issuing import Issuer, Seen
from service.core.keyring import Keyring
from service.core.lifecycle import status_of
from service.core.orphans import delete_named
from service.core.policy import store_matches
from service.core.ports import (
    KeyringSource,
    Observer,
    ReferenceTable,
    StoreTable,
    StoreView,
    Upstream,
)
from service.core.records import (
    Status,
    StoredToken,
    StoreRecord,
    TokenStyle,
    decode_record,
    open_token,
)
from service.core.secret import Secret

_POLL = timedelta(milliseconds=100)


@dataclass(frozen=True, slots=True)
class PreviousToken:
    """The token before the active one, as it is shown."""

    generation: int
    token_style: TokenStyle


@dataclass(frozen=True, slots=True)
class StoreDocument:
    """A store as it is shown; never a secret."""

    store_hash: str
    status: Status
    reason: str
    token_style: TokenStyle | None
    generation: int
    deprecated: bool
    retained: bool
    issued_at: datetime | None
    last_used_at: datetime | None
    live_references: int
    previous: PreviousToken | None


class _Plan(Enum):
    KEEP = auto()
    RETAIN = auto()
    WAIT = auto()
    ISSUE = auto()


class Stores:
    """The use cases about stores."""

    def __init__(  # noqa: PLR0913 — the parts of the world that stores touch, named at the call
        self,
        *,
        gate: Gate,
        keyring: KeyringSource,
        table: StoreTable,
        references: ReferenceTable,
        upstream: Upstream,
        issuer: Issuer,
        observer: Observer,
        instance: str,
        patience: timedelta,
        clock: Clock,
        pause: Pause,
    ) -> None:
        """Take the parts; ``patience`` bounds how long a caller waits for another's issue."""
        self._gate = gate
        self._keyring = keyring
        self._table = table
        self._references = references
        self._upstream = upstream
        self._issuer = issuer
        self._observer = observer
        self._instance = instance
        self._patience = patience
        self._clock = clock
        self._pause = pause

    def put(
        self, call: Call, store_hash: str, credential: Credential, *, retain: bool
    ) -> tuple[StoreDocument, bool]:
        """Make a store active with a credential, and tell whether it is new.

        Raises:
            ForbiddenError: Policy says no.
            CredentialRefusedError: The upstream refused the credential, now or before.
            StoreNotActiveError: The store is quarantined.
            StoreBusyError: Somebody else is still issuing.
            UpstreamError: The upstream did not do it.
            LockedError, StorageError, AuditError: Nothing was begun, or what was begun has an intent.
        """
        about = About("store.write", store_hash)
        self._gate.authorise(call, about)
        keyring = self._keyring()
        try:
            created = self._settle_on_token(call, about, keyring, credential, retain=retain)
        except BrokerError as error:
            self._gate.record(call, about, "failed", error.reason)
            raise
        self._gate.record(call, about, "allowed", "created" if created else "changed")
        return self._document(store_hash), created

    def get(self, call: Call, store_hash: str) -> StoreDocument:
        """Return a store's document.

        Raises:
            ForbiddenError: Policy says no; unknown stores look the same to those who may not see them.
            StoreUnknownError: No such store.
        """
        about = About("store.read", store_hash)
        self._gate.authorise(call, about)
        try:
            document = self._document(store_hash)
        except StoreUnknownError:
            self._gate.record(call, about, "failed", "store_unknown")
            raise
        self._gate.record(call, about, "allowed")
        return document

    def page(self, call: Call, after: str, limit: int) -> tuple[list[StoreDocument], str | None]:
        """Return up to ``limit`` stores that the caller may see, and where the next page starts.

        Raises:
            ForbiddenError: Policy lets the caller see none.
        """
        about = About("store.read")
        patterns = call.policy.stores_of(call.caller.identity, about.action)
        if not patterns:
            raise self._gate.deny(call, about, "actions")
        keyring, now = self._keyring(), self._clock()
        hashes = self._table.page(after, limit)
        shown = [name for name in hashes if store_matches(patterns, name)]
        views = self._table.read(shown, now) if shown else []
        self._gate.record(call, about, "allowed")
        documents = list(self._documents(keyring, shown, views))
        return documents, hashes[-1] if len(hashes) == limit else None

    def remove(self, call: Call, store_hash: str) -> None:
        """Revoke a store's references, delete its tokens upstream, and forget it.

        The record goes last: whatever interrupts this, asking again finishes it.

        Raises:
            ForbiddenError: Policy says no.
            StoreUnknownError: No such store.
            UpstreamError: Its token could not be deleted upstream; the store is still there.
            StoreBusyError: It changed meanwhile.
        """
        about = About("store.write", store_hash)
        self._gate.authorise(call, about)
        keyring = self._keyring()
        view = self._view(store_hash)
        if view.line is None:
            self._gate.record(call, about, "failed", "store_unknown")
            raise StoreUnknownError("No such store.")
        self._gate.record(call, about, "started", "remove")
        self._references.revoke_store(store_hash)
        try:
            self._delete_upstream(keyring, store_hash, view.line)
            if not self._table.remove(store_hash, view.line):
                raise StoreBusyError(
                    "The store changed meanwhile.", reason="changed", retry_after=_POLL
                )
        except BrokerError as error:
            self._gate.record(call, about, "failed", error.reason)
            raise
        self._gate.record(call, about, "allowed", "removed")

    # --- putting

    def _settle_on_token(
        self, call: Call, about: About, keyring: Keyring, credential: Credential, *, retain: bool
    ) -> bool:
        store_hash = about.store_hash
        deadline = self._clock() + self._patience
        created = False
        while self._clock() < deadline:
            view = self._view(store_hash)
            created = created or view.line is None
            seen = Seen(self._record(keyring, store_hash, view), view.line)
            plan = self._plan(keyring, seen, view, credential)
            if plan is _Plan.WAIT:
                self._pause(_POLL)
            elif plan is _Plan.KEEP:
                if self._keep(keyring, seen, credential, retain=retain):
                    return False
            elif self._issuer.run(
                keyring,
                seen,
                credential,
                retain=retain,
                before_upstream=lambda: self._gate.record(call, about, "started", "issue"),
            ):
                return view.line is None
        raise StoreBusyError(
            "Another request is issuing this store's token.",
            reason="store_busy",
            retry_after=timedelta(seconds=1),
        )

    def _plan(self, keyring: Keyring, seen: Seen, view: StoreView, credential: Credential) -> _Plan:
        record = seen.record
        if record.status == "quarantined":
            raise StoreNotActiveError("The store is quarantined.", reason="quarantined")
        if record.refusal and self._was_refused(keyring, record, credential):
            raise CredentialRefusedError(
                "The upstream refused this credential before.", reason=record.refusal.reason
            )
        if view.lease_left is not None:
            return _Plan.WAIT
        if record.status == "active" and self._is_in_force(keyring, record, credential):
            return _Plan.KEEP
        return _Plan.ISSUE

    def _was_refused(self, keyring: Keyring, record: StoreRecord, credential: Credential) -> bool:
        refusal = record.refusal
        if refusal is None or refusal.key_id not in keyring.key_ids:
            return False
        again = fingerprint(keyring, refusal.key_id, record.store_hash, credential)
        return hmac.compare_digest(again, refusal.fingerprint)

    def _is_in_force(self, keyring: Keyring, record: StoreRecord, credential: Credential) -> bool:
        """Tell whether the store needs nothing from this credential."""
        if isinstance(credential, B2BPassword):
            return True
        if record.token is None or record.token.style != "x_auth_token":
            return False
        held = open_token(keyring, self._instance, record.store_hash, record.token)
        return hmac.compare_digest(held.reveal(), credential.token.reveal())

    def _keep(self, keyring: Keyring, seen: Seen, credential: Credential, *, retain: bool) -> bool:
        """Leave the token as it is and only see to the retention of the password; False if the store changed meanwhile."""
        record = seen.record
        if isinstance(credential, AccessToken) or (not retain and record.credential is None):
            return True
        sealed = None
        if retain:
            sealed = seal_password(keyring, self._instance, record.store_hash, credential)
        changed = replace(record, credential=sealed)
        assert seen.line is not None  # noqa: S101 — an active store has a record
        return self._table.replace(
            record.store_hash, seen.line, changed.encode(keyring, self._instance)
        )

    # --- removing

    def _delete_upstream(self, keyring: Keyring, store_hash: str, line: bytes) -> None:
        try:
            record = decode_record(keyring, self._instance, store_hash, line)
            held = [token for token in (record.previous, record.token) if token and token.name]
            for token in held:
                self._delete_token(keyring, record, token)
        except IntegrityError as error:
            # A record that cannot be read names nothing that could be deleted; the operator is told, and removing it is right.
            self._observer.security_event(error.reason)

    def _delete_token(self, keyring: Keyring, record: StoreRecord, token: StoredToken) -> None:
        opened = open_token(keyring, self._instance, record.store_hash, token)
        try:
            self._issuer.clean(keyring, record, opened)
            delete_named(self._upstream, opened, [token.name])
        except CredentialRefusedError:
            # It is dead upstream already, which is what was wanted.
            return

    # --- showing

    def _view(self, store_hash: str) -> StoreView:
        return self._table.read([store_hash], self._clock())[0]

    def _record(self, keyring: Keyring, store_hash: str, view: StoreView) -> StoreRecord:
        if view.line is None:
            return StoreRecord(store_hash, self._clock())
        try:
            return decode_record(keyring, self._instance, store_hash, view.line)
        except IntegrityError as error:
            self._observer.security_event(error.reason)
            raise StoreNotActiveError("The store is quarantined.", reason="quarantined") from None

    def _document(self, store_hash: str) -> StoreDocument:
        view = self._view(store_hash)
        if view.line is None:
            raise StoreUnknownError("No such store.")
        return next(self._documents(self._keyring(), [store_hash], [view]))

    def _documents(
        self, keyring: Keyring, hashes: list[str], views: list[StoreView]
    ) -> Iterator[StoreDocument]:
        for store_hash, view in zip(hashes, views, strict=True):
            if view.line is None:  # removed since the page was read
                continue
            try:
                record = decode_record(keyring, self._instance, store_hash, view.line)
            except IntegrityError as error:
                self._observer.security_event(error.reason)
                record = StoreRecord(
                    store_hash, self._clock(), status="quarantined", reason=error.reason
                )
            yield _shown(record, view)


def _shown(record: StoreRecord, view: StoreView) -> StoreDocument:
    token, previous = record.token, record.previous
    return StoreDocument(
        store_hash=record.store_hash,
        status=status_of(record, leased=view.lease_left is not None, unsettled=bool(view.attempts)),
        reason=record.reason,
        token_style=token.style if token else None,
        generation=record.generation,
        deprecated=token is not None and token.style == "auth_token",
        retained=record.credential is not None,
        issued_at=token.issued_at if token else None,
        last_used_at=view.last_used_at,
        live_references=view.live_references,
        previous=PreviousToken(previous.generation, previous.style) if previous else None,
    )


def active_token(
    keyring: Keyring, instance: str, store_hash: str, line: bytes
) -> tuple[TokenStyle, Secret]:
    """Return style and value of the active token of a stored record.

    Raises:
        IntegrityError: The record or the token was altered.
        StoreNotActiveError: There is none.
    """
    record = decode_record(keyring, instance, store_hash, line)
    if record.status != "active" or record.token is None:
        raise StoreNotActiveError("The store has no usable token.", reason=record.status)
    return record.token.style, open_token(keyring, instance, store_hash, record.token)
