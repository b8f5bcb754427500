"""Stores: registered once, shown to whoever may see them, removed without leaving anything upstream.

What ``put`` does depends on what is there; the rules are in ``_plan``:

* a store that is active keeps its token when given a password (no second exchange);
* an access token replaces whatever is there, after one harmless read proved that it works;
* a credential that was refused is not sent again until it changes;
* while somebody else is issuing, everyone waits for that outcome instead of causing another.
"""

import hmac
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from enum import Enum, auto

from service.core.cleaning import Cleaner
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
from service.core.issuing import Issue, Issuer, Seen
from service.core.keyring import Keyring
from service.core.policy import store_matches
from service.core.ports import (
    KeyringSource,
    Observer,
    ReferenceTable,
    StoreTable,
    StoreView,
)
from service.core.records import (
    Refusal,
    StoreRecord,
    TokenStyle,
    decode_record,
    open_token,
)
from service.core.secret import Secret
from service.core.store_document import StoreDocument, store_document

_POLL = timedelta(milliseconds=100)
_SCANNED_AT_ONCE = 200


class _Plan(Enum):
    KEEP = auto()
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
        cleaner: Cleaner,
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
        self._cleaner = cleaner
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
        except IntegrityError as error:
            self._observer.security_event(error.reason)
            self._gate.record(call, about, "failed", error.reason)
            raise StoreNotActiveError("The store is quarantined.", reason="quarantined") from None
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
        keyring = self._keyring()
        shown, more = self._visible(patterns, after, limit)
        views = self._table.read(shown, self._clock()) if shown else []
        self._gate.record(call, about, "allowed")
        # The cursor is a store that the caller sees, so that it tells of no other.
        return list(self._documents(keyring, shown, views)), shown[-1] if more else None

    def remove(self, call: Call, store_hash: str) -> None:
        """Revoke a store's references, delete its tokens upstream, and forget it.

        The record goes last, and is closed first: whatever interrupts this, asking again finishes it, and so does a new PUT.

        Raises:
            ForbiddenError: Policy says no.
            StoreUnknownError: No such store.
            UpstreamError: Its token could not be deleted upstream; the store is still there, and closed.
            StoreNotActiveError: ``uncertain``: there may be a token that cannot be found yet.
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
        try:
            self._remove(keyring, store_hash, view.line)
        except BrokerError as error:
            self._gate.record(call, about, "failed", error.reason)
            raise
        self._gate.record(call, about, "allowed", "removed")

    # --- putting

    def _settle_on_token(
        self, call: Call, about: About, keyring: Keyring, credential: Credential, *, retain: bool
    ) -> bool:
        store_hash = about.store_hash
        asked = False
        for _ in range(self._patience // _POLL):
            view = self._view(store_hash)
            seen = Seen(self._record(keyring, store_hash, view), view.line)
            plan = self._plan(keyring, seen, view, credential)
            if plan is _Plan.WAIT:
                self._pause(_POLL)
            elif plan is _Plan.KEEP:
                if self._keep(keyring, seen, credential, retain=retain):
                    return False
            elif asked:
                # Whoever removed or changed the store meanwhile meant it; one call sends a credential once.
                raise _changed()
            else:
                issue = self._issuer.run(
                    keyring,
                    seen,
                    credential,
                    retain=retain,
                    before_upstream=lambda: self._gate.record(call, about, "started", "issue"),
                )
                if issue is Issue.COMMITTED:
                    return view.line is None
                asked = issue is Issue.OVERTAKEN
        raise StoreBusyError(
            "Another request is issuing this store's token.",
            reason="store_busy",
            retry_after=timedelta(seconds=1),
        )

    def _plan(self, keyring: Keyring, seen: Seen, view: StoreView, credential: Credential) -> _Plan:
        record = seen.record
        if record.status == "quarantined":
            raise StoreNotActiveError("The store is quarantined.", reason="quarantined")
        refusal = self._refusal_of(keyring, record, credential)
        if refusal is not None:
            raise CredentialRefusedError(
                "The upstream refused this credential before.", reason=refusal.reason
            )
        if view.lease_left is not None:
            return _Plan.WAIT
        if record.status == "active" and self._is_in_force(keyring, record, credential):
            return _Plan.KEEP
        return _Plan.ISSUE

    def _refusal_of(
        self, keyring: Keyring, record: StoreRecord, credential: Credential
    ) -> Refusal | None:
        for refusal in record.refusals:
            if refusal.key_id in keyring.key_ids:
                again = fingerprint(keyring, refusal.key_id, record.store_hash, credential)
                if hmac.compare_digest(again, refusal.fingerprint):
                    return refusal
        return None

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

    def _remove(self, keyring: Keyring, store_hash: str, line: bytes) -> None:
        self._references.revoke_store(store_hash)
        try:
            record = decode_record(keyring, self._instance, store_hash, line)
            for token in record.deletable:
                open_token(keyring, self._instance, store_hash, token)
        except IntegrityError as error:
            if error.reason in ("key_unavailable", "key_mismatch"):
                raise StoreNotActiveError(
                    "A key that the store needs is missing.", reason=error.reason
                ) from None
            # What was altered names nothing that could be deleted; removing it is all that can be done.
            self._observer.security_event(error.reason)
        else:
            line = self._closed(keyring, record, line)
            self._cleaner.clean_all(keyring, record)
        if not self._table.remove(store_hash, line):
            raise _changed()

    def _closed(self, keyring: Keyring, record: StoreRecord, line: bytes) -> bytes:
        """Write down that the token is not to be used any more, before it is deleted upstream; whatever comes between is visible."""
        closed = replace(record, status="needs_credential", reason="removing")
        written = closed.encode(keyring, self._instance)
        if not self._table.replace(record.store_hash, line, written):
            raise _changed()
        return written

    # --- showing

    def _visible(self, patterns: tuple[str, ...], after: str, limit: int) -> tuple[list[str], bool]:
        """Return the next stores among the patterns, and whether there are more."""
        found: list[str] = []
        while len(found) <= limit:
            hashes = self._table.page(after, _SCANNED_AT_ONCE)
            found.extend(name for name in hashes if store_matches(patterns, name))
            if len(hashes) < _SCANNED_AT_ONCE:
                break
            after = hashes[-1]
        return found[:limit], len(found) > limit

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
            yield store_document(record, view)


def _changed() -> StoreBusyError:
    return StoreBusyError(
        "The store changed meanwhile.", reason="changed", retry_after=timedelta(seconds=1)
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
