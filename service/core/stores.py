"""Stores: registered, shown to whoever may see them, given another token, removed without leaving anything upstream.

Each use case authorises and records; what is done about tokens is in ``provision``, what is deleted upstream in ``cleaning``.
"""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace

from service.core.cleaning import Cleaner, Found
from service.core.clock import Clock
from service.core.credential import Credential
from service.core.errors import (
    BrokerError,
    IntegrityError,
    StoreNotActiveError,
    StoreUnknownError,
)
from service.core.gate import About, Call, Gate
from service.core.keyring import Keyring
from service.core.policy import store_matches
from service.core.ports import KeyringSource, Observer
from service.core.provision import Provision, changed
from service.core.records import StoreRecord, decode_record, open_token
from service.core.reference_ports import ReferenceTable
from service.core.store_document import StoreDocument, store_document
from service.core.store_ports import StoreTable, StoreView
from service.core.store_reader import StoreReader, quarantined

_SCANNED_AT_ONCE = 200
_WRITE, _READ = "store.write", "store.read"


class Stores:
    """The use cases about stores."""

    def __init__(  # noqa: PLR0913 — the parts of the world that stores touch, named at the call
        self,
        *,
        gate: Gate,
        keyring: KeyringSource,
        reader: StoreReader,
        table: StoreTable,
        references: ReferenceTable,
        provision: Provision,
        cleaner: Cleaner,
        observer: Observer,
        instance: str,
        clock: Clock,
    ) -> None:
        self._gate = gate
        self._keyring = keyring
        self._reader = reader
        self._table = table
        self._references = references
        self._provision = provision
        self._cleaner = cleaner
        self._observer = observer
        self._instance = instance
        self._clock = clock

    def put(
        self, call: Call, store_hash: str, credential: Credential, *, retain: bool
    ) -> tuple[StoreDocument, bool]:
        """Make a store active with a credential, and tell whether it is new.

        Raises:
            ForbiddenError: Policy says no.
            CredentialRefusedError: The upstream refused the credential, now or before.
            IssuingPausedError: Many credentials were refused lately.
            StoreNotActiveError: The store is quarantined.
            StoreBusyError: Somebody else is still issuing.
            UpstreamError: The upstream did not do it.
            LockedError, StorageError, AuditError: Nothing was begun, or what was begun has an intent.
        """
        about = About(_WRITE, store_hash)
        self._gate.authorise(call, about)
        keyring = self._keyring()
        with self._recorded(call, about):
            created = self._provision.put(
                keyring, store_hash, credential, self._announce(call, about), retain=retain
            )
        self._gate.record(call, about, "allowed", "created" if created else "changed")
        return self._document(store_hash), created

    def rotate(self, call: Call, store_hash: str, credential: Credential | None) -> StoreDocument:
        """Give a store a new token; the old one is deleted upstream after a while.

        Raises:
            CredentialNeededError: None given, and none at hand.
            Others: As ``put``, and ``StoreUnknownError``.
        """
        about = About(_WRITE, store_hash)
        self._gate.authorise(call, about)
        keyring = self._keyring()
        with self._recorded(call, about):
            announce = self._announce(call, about)
            self._provision.rotate(keyring, store_hash, credential, announce)
        self._gate.record(call, about, "allowed", "rotated")
        return self._document(store_hash)

    def roll_back(self, call: Call, store_hash: str) -> StoreDocument:
        """Make a store's previous token the active one again.

        Raises:
            ForbiddenError: Policy says no.
            StoreUnknownError: No such store.
            StoreNotActiveError: There is no previous token, or it works no more.
            StoreBusyError: The store changed meanwhile.
            UpstreamError: The upstream does not say whether it works.
        """
        about = About(_WRITE, store_hash)
        self._gate.authorise(call, about)
        keyring = self._keyring()
        self._gate.record(call, about, "started", "rollback")
        with self._recorded(call, about):
            self._provision.roll_back(keyring, store_hash)
        self._gate.record(call, about, "allowed", "rolled_back")
        return self._document(store_hash)

    def get(self, call: Call, store_hash: str) -> StoreDocument:
        """Return a store's document.

        Raises:
            ForbiddenError: Policy says no; unknown stores look the same to those who may not see them.
            StoreUnknownError: No such store.
        """
        about = About(_READ, store_hash)
        self._gate.authorise(call, about)
        try:
            document = self._document(store_hash)
        except StoreUnknownError:
            self._gate.record(call, about, "failed", "store_unknown")
            raise
        self._gate.record(call, about, "allowed")
        return document

    def page(
        self, call: Call, after: str, limit: int, *, deprecated: bool | None = None
    ) -> tuple[list[StoreDocument], str | None]:
        """Return up to ``limit`` stores that the caller may see, and where the next page starts.

        Args:
            call: Who asks.
            after: The last store of the page before; empty for the first page.
            limit: The most to return.
            deprecated: Only those that are, or only those that are not; None for all.

        Raises:
            ForbiddenError: Policy lets the caller see none.
        """
        about = About(_READ)
        patterns = call.policy.stores_of(call.caller.identity, about.action)
        if not patterns:
            raise self._gate.deny(call, about, "actions")
        keyring = self._keyring()
        found: list[StoreDocument] = []
        for document in self._visible(keyring, patterns, after):
            if deprecated in (None, document.deprecated):
                found.append(document)
            if len(found) > limit:
                break
        self._gate.record(call, about, "allowed")
        # The cursor is a store that the caller sees, so that it tells of no other.
        return found[:limit], found[limit - 1].store_hash if len(found) > limit else None

    def orphans(self, call: Call, store_hash: str) -> Found:
        """Return which tokens of abandoned attempts there are upstream.

        Raises:
            ForbiddenError: Policy says no.
            StoreUnknownError: No such store.
            UpstreamError: The upstream did not list them.
        """
        about = About(_READ, store_hash)
        self._gate.authorise(call, about)
        keyring = self._keyring()
        with self._recorded(call, about):
            found = self._cleaner.find(keyring, self._known(keyring, store_hash)[0])
        self._gate.record(call, about, "allowed", "orphans")
        return found

    def delete_orphans(self, call: Call, store_hash: str, *, forget: bool) -> Found:
        """Delete the tokens of abandoned attempts upstream, and return those that there were.

        Args:
            call: Who asks.
            store_hash: Which store.
            forget: Take the operator's word that no token is left of attempts that cannot be looked up, and forget those.

        Raises:
            ForbiddenError, StoreUnknownError, UpstreamError: As ``orphans``.
        """
        about = About(_WRITE, store_hash)
        self._gate.authorise(call, about)
        keyring = self._keyring()
        with self._recorded(call, about):
            record, line = self._known(keyring, store_hash)
            self._gate.record(call, about, "started", "delete_orphans")
            found = self._cleaner.find(keyring, record)
            self._cleaner.clean(keyring, record, line)
            if forget:
                unseen = (orphan.attempt for orphan in found.orphans if orphan.alive is None)
                self._table.forget_attempts(store_hash, unseen)
        self._gate.record(call, about, "allowed", "forgot_orphans" if forget else "deleted_orphans")
        return found

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
        about = About(_WRITE, store_hash)
        self._gate.authorise(call, about)
        keyring = self._keyring()
        view = self._reader.view(store_hash)
        if view.line is None:
            self._gate.record(call, about, "failed", "store_unknown")
            raise _unknown()
        self._gate.record(call, about, "started", "remove")
        with self._recorded(call, about):
            self._remove(keyring, store_hash, view.line)
        self._gate.record(call, about, "allowed", "removed")

    # --- recording

    def _announce(self, call: Call, about: About) -> Callable[[], None]:
        return lambda: self._gate.record(call, about, "started", "issue")

    @contextlib.contextmanager
    def _recorded(self, call: Call, about: About) -> Iterator[None]:
        """Record what goes wrong. A record that was altered is told as a quarantined store."""
        try:
            yield
        except IntegrityError as error:
            self._observer.security_event(error.reason)
            self._gate.record(call, about, "failed", error.reason)
            raise quarantined() from None
        except BrokerError as error:
            self._gate.record(call, about, "failed", error.reason)
            raise

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
            raise changed()

    def _closed(self, keyring: Keyring, record: StoreRecord, line: bytes) -> bytes:
        """Write down that the token is not to be used any more, before it is deleted upstream; whatever comes between is visible."""
        closed = replace(record, status="needs_credential", reason="removing")
        written = closed.encode(keyring, self._instance)
        if not self._table.replace(record.store_hash, line, written):
            raise changed()
        return written

    # --- showing

    def _known(self, keyring: Keyring, store_hash: str) -> tuple[StoreRecord, bytes]:
        seen = self._reader.seen(keyring, store_hash)
        if seen.line is None:
            raise _unknown()
        return seen.record, seen.line

    def _visible(
        self, keyring: Keyring, patterns: tuple[str, ...], after: str
    ) -> Iterator[StoreDocument]:
        """Yield the stores behind a place that are among the patterns, read only as far as somebody asks for them."""
        while True:
            hashes = self._table.page(after, _SCANNED_AT_ONCE)
            names = [name for name in hashes if store_matches(patterns, name)]
            views = self._table.read(names, self._clock()) if names else []
            for name, view in zip(names, views, strict=True):
                if view.line is not None:  # not removed since the page was read
                    yield self._documented(keyring, name, view)
            if len(hashes) < _SCANNED_AT_ONCE:
                return
            after = hashes[-1]

    def _document(self, store_hash: str) -> StoreDocument:
        view = self._reader.view(store_hash)
        if view.line is None:
            raise _unknown()
        return self._documented(self._keyring(), store_hash, view)

    def _documented(self, keyring: Keyring, store_hash: str, view: StoreView) -> StoreDocument:
        try:
            record = decode_record(keyring, self._instance, store_hash, view.line or b"")
        except IntegrityError as error:
            self._observer.security_event(error.reason)
            record = StoreRecord(
                store_hash, self._clock(), status="quarantined", reason=error.reason
            )
        return store_document(keyring, self._instance, record, view)


def _unknown() -> StoreUnknownError:
    return StoreUnknownError("No such store.", reason="store_unknown")
