"""Looking after stores without being asked: what a crash left behind, what has come to its end, what can be repaired by what is at hand.

One elected replica does it; that saves work and is not needed for it to be right, because everything it does goes through the same leases
and comparisons as a request. A store is looked at when it is due: after every attempt to get a token (``begin`` makes the appointment, so
that a crash cannot miss it), when its previous token is to be retired, when its token is about to expire, and when its mounted credential
changes. Looking does, in this order:

 1. retire the previous token, when its time has come;
 2. delete upstream what was retired, and what abandoned attempts left;
 3. get a token, if the store has none or one that expires soon, and a credential is at hand.

A store that is locked is left as it is, and looked at again later.

Source: DESIGN §5.
"""

import secrets
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import TypeVar

from service.core.caller import Caller
from service.core.cleaning import Cleaner
from service.core.clock import Clock
from service.core.errors import (
    BrokerError,
    IntegrityError,
    StorageError,
    StoreNotActiveError,
)
from service.core.gate import About, Call, Gate
from service.core.keyring import Keyring
from service.core.lifecycle import shown
from service.core.lock import lock_of
from service.core.login_pause import is_paused
from service.core.policy import Policy
from service.core.ports import KeyringSource, Observer
from service.core.provision import Provision
from service.core.records import StoredToken, StoreRecord, decode_record
from service.core.store_ports import Census, MaintenanceTable, MountedCredentials, StoreTable
from service.core.store_reader import Seen, StoreReader

OWN_IDENTITY = "broker:maintenance"
"""Whom the audit trail names for what the broker does by itself. No issuer may be called ``broker``."""

TERM = timedelta(seconds=15)
"""How long an election holds; each pass renews it."""
AGAIN = timedelta(minutes=5)
"""How long after a look that could not finish the store is looked at again: at most two issues in ten minutes (F53)."""
_CENSUS_EVERY = timedelta(minutes=1)
_CENSUS_KEPT = timedelta(minutes=5)
_AT_ONCE = 4
_COUNTED_AT_ONCE = 500
_RENEWAL_SHARE = 10
_RENEW_LEAST, _RENEW_MOST = timedelta(minutes=5), timedelta(days=1)

Result = TypeVar("Result")


class Maintenance:
    """Looks after stores."""

    def __init__(  # noqa: PLR0913 — the parts of the world that this touches, named at the call
        self,
        *,
        gate: Gate,
        keyring: KeyringSource,
        reader: StoreReader,
        table: StoreTable,
        agreed: MaintenanceTable,
        provision: Provision,
        cleaner: Cleaner,
        mounted: MountedCredentials,
        observer: Observer,
        instance: str,
        clock: Clock,
    ) -> None:
        self._gate = gate
        self._keyring = keyring
        self._reader = reader
        self._table = table
        self._agreed = agreed
        self._provision = provision
        self._cleaner = cleaner
        self._mounted = mounted
        self._observer = observer
        self._instance = instance
        self._clock = clock
        self._owner = secrets.token_hex(16)
        self._versions: Mapping[str, object] = {}
        self._counted_at: datetime | None = None
        #: store hash → when this process last asked the upstream for a token of it
        self._tried: dict[str, datetime] = {}

    def run(self) -> None:
        """Do what is due, if this process is the elected one.

        Raises:
            LockedError, StorageError: Nothing can be done at this moment.
        """
        keyring = self._keyring()  # first of all: a locked broker writes nothing
        # The alarm ends by itself in every process, also where nobody asks for a token any more.
        self._observer.issuing_paused(paused=is_paused(self._agreed, self._clock()))
        if not self._agreed.claim("maintenance", self._owner, TERM):
            self._versions = {}  # whoever is elected next looks at everything that is mounted
            self._show(self._agreed.census())
            return
        versions = self._mounted.versions()
        for store_hash in self._changed_mounts(versions):
            self._agreed.look_at(store_hash, self._clock())
        self._versions = dict(versions)  # only now, so that none is lost if Redis fails in between
        for store_hash in self._agreed.due(self._clock(), _AT_ONCE):
            if not self._agreed.claim("maintenance", self._owner, TERM):
                return
            self.look_after(keyring, store_hash)
        self._count_stores(keyring)

    def look_after(self, keyring: Keyring, store_hash: str) -> None:
        """Do for one store what can be done, and make the next appointment.

        Raises:
            StorageError: Redis is away; the old appointment stands.
        """
        now = self._clock()
        try:
            again = self._look_after(keyring, store_hash)
        except StorageError:
            raise
        except StoreNotActiveError:
            again = None  # quarantined: an operator has to look at it
        except BrokerError:
            # Whoever failed has recorded it, and the store says what it is in.
            again = now + AGAIN
        except Exception:
            # A defect that one store brings to light must not keep the others from being looked at.
            self._agreed.looked_at(store_hash, now, now + AGAIN)
            raise
        self._agreed.looked_at(store_hash, now, again)

    def _look_after(self, keyring: Keyring, store_hash: str) -> datetime | None:
        """Return when the store has to be looked at again; None for not at all."""
        seen = self._reader.seen(keyring, store_hash)
        if lock_of(seen.view) is not None:
            return self._clock() + AGAIN
        if seen.view.lease_left is not None:
            return self._clock() + seen.view.lease_left
        if seen.line is None and store_hash not in self._mounted.versions():
            # What attempts of a store that is gone have left can only be found with a new credential for it.
            return None
        if self._retire_previous(keyring, seen):
            seen = self._reader.seen(keyring, store_hash)
        done = self._clean(keyring, seen)
        if self._needs_token(keyring, seen):
            if self._tried_lately(store_hash):
                return self._next_look(seen, done=False)
            self._get_token(keyring, seen)
            seen = self._reader.seen(keyring, store_hash)
        return self._next_look(seen, done=done)

    def _retire_previous(self, keyring: Keyring, seen: Seen) -> bool:
        until = seen.record.previous_until
        if until is None or until > self._clock():
            return False
        about = About("store.write", seen.record.store_hash)
        self._gate.record(self._call(), about, "started", "retire")
        self._provision.replace(keyring, seen, seen.record.without_previous())
        return True

    def _clean(self, keyring: Keyring, seen: Seen) -> bool:
        """Return whether nothing is left upstream that is not kept."""
        if seen.record.status != "active" or seen.line is None:
            return not seen.view.attempts
        if not seen.view.attempts and not seen.record.retired:
            return True
        call, about = self._call(), About("store.write", seen.record.store_hash)
        self._gate.record(call, about, "started", "clean")
        line = seen.line
        return self._recorded(
            call, about, "clean", lambda: self._cleaner.clean(keyring, seen.record, line)
        )

    def _needs_token(self, keyring: Keyring, seen: Seen) -> bool:
        record = seen.record
        if record.reason == "removing":
            return False
        at_hand = self._provision.at_hand(keyring, record)
        if at_hand is None:
            return False
        if record.status == "active" and not _expires_soon(record.token, self._clock()):
            # An access token is what the operator says now; a password makes no second token for a store that has one.
            return not self._provision.is_in_force(keyring, record, at_hand)
        return True

    def _get_token(self, keyring: Keyring, seen: Seen) -> None:
        store_hash = seen.record.store_hash
        about = About("store.write", store_hash)
        call = self._call()

        def announce() -> None:
            self._gate.record(call, about, "started", "issue")
            self._tried[store_hash] = self._clock()

        def get() -> None:
            if seen.record.token is None:
                credential = self._provision.at_hand(keyring, seen.record)
                if credential is not None:
                    retain = seen.record.credential is not None
                    self._provision.put(keyring, store_hash, credential, announce, retain=retain)
            else:
                keep = seen.record.status == "active"
                self._provision.rotate(
                    keyring,
                    store_hash,
                    None,
                    announce,
                    decided_on=seen.record,
                    keep_previous=keep,
                )

        self._recorded(call, about, "issued", get)

    def _tried_lately(self, store_hash: str) -> bool:
        """Tell whether the upstream was asked for a token of the store a moment ago."""
        now = self._clock()
        self._tried = {name: at for name, at in self._tried.items() if now - at < AGAIN}
        return store_hash in self._tried

    def _recorded(self, call: Call, about: About, what: str, act: Callable[[], Result]) -> Result:
        """Act, and record what came of it."""
        try:
            result = act()
        except (BrokerError, IntegrityError) as error:
            self._gate.record(call, about, "failed", error.reason)
            raise
        self._gate.record(call, about, "allowed", what)
        return result

    def _next_look(self, seen: Seen, *, done: bool) -> datetime | None:
        record, now = seen.record, self._clock()
        appointments = [record.previous_until, _renewal_of(record.token)]
        if not done or (record.status != "active" and seen.view.attempts):
            appointments.append(now + AGAIN)
        # What could have been done by now was tried just now.
        return min((m if m > now else now + AGAIN for m in appointments if m), default=None)

    def _changed_mounts(self, versions: Mapping[str, object]) -> list[str]:
        changed = [
            name for name, version in versions.items() if self._versions.get(name) != version
        ]
        for name in changed:
            self._tried.pop(name, None)
        return changed

    def _call(self) -> Call:
        caller = Caller(OWN_IDENTITY, "broker", "own")
        return Call(caller, secrets.token_hex(12), Policy(()))

    # --- counting

    def _remind(self, seen: Seen) -> None:
        """Make an appointment for a store that needs one, unless it has an earlier one; records of the first release have none."""
        left = bool(seen.view.attempts or seen.record.retired)
        again = self._next_look(seen, done=not left)
        if again is not None:
            self._agreed.look_at(seen.record.store_hash, again)

    def _count_stores(self, keyring: Keyring) -> None:
        """Count all stores by status and style, once in a while; and see to it that none of them lacks an appointment that it needs."""
        now = self._clock()
        if self._counted_at is not None and now - self._counted_at < _CENSUS_EVERY:
            return
        self._counted_at = now
        counts: Counter[tuple[str, str]] = Counter()
        live, after = 0, ""
        while hashes := self._table.page(after, _COUNTED_AT_ONCE):
            for name, view in zip(hashes, self._table.read(hashes, now), strict=True):
                if view.line is None:
                    continue  # removed since the page was read
                try:
                    record = decode_record(keyring, self._instance, name, view.line)
                except IntegrityError:
                    record = StoreRecord(name, now, status="quarantined")
                else:
                    self._remind(Seen(record, view))
                live += view.live_references
                leased = view.lease_left is not None
                status = shown(record.status, leased=leased, unsettled=bool(view.attempts))
                counts[status, record.token.style if record.token else ""] += 1
            after = hashes[-1]
        census = Census(counts, live)
        self._agreed.note_census(census, _CENSUS_KEPT)
        self._show(census)

    def _show(self, census: Census) -> None:
        self._observer.stores_counted(census.stores)
        self._observer.references_counted(census.live_references)


def _renewal_of(token: StoredToken | None) -> datetime | None:
    """Return when a token that ends by itself is to be replaced: after nine tenths of its life, within bounds."""
    if token is None or token.expires_at is None:
        return None
    share = (token.expires_at - token.issued_at) / _RENEWAL_SHARE
    return token.expires_at - min(max(share, _RENEW_LEAST), _RENEW_MOST)


def _expires_soon(token: StoredToken | None, now: datetime) -> bool:
    renewal = _renewal_of(token)
    return renewal is not None and renewal <= now
