"""Sealing everything again under the primary key, while requests go on.

One elected replica does it, at a bounded pace, in passes over all that is stored, until a pass finds nothing that needs another key. What
is done is done value by value, each by compare-and-set on the exact old bytes: a writer who comes in between wins, and the value is met
again in the next pass. So a crash at any point leaves every value readable under the old key or the new one, two that both think they
are elected do no harm, and going on is the same as beginning. If another key becomes primary meanwhile, everything is sealed again under
that one, as soon as every live replica seals with it: whoever asked meant the primary key.

Source: DESIGN §10; security.md §4.6.
"""

import secrets
from dataclasses import replace
from datetime import datetime, timedelta

from service.core.caller import Caller
from service.core.clock import Clock, Pause
from service.core.errors import IntegrityError
from service.core.gate import About, Call, Gate
from service.core.key_agreement import KeyAgreement
from service.core.key_ports import KeyObserver, KeyTable
from service.core.keyring import Keyring
from service.core.maintenance import OWN_IDENTITY, TERM
from service.core.policy import ANY_STORE, Policy
from service.core.ports import KeyringSource, Observer
from service.core.records_by_key import count_by_key
from service.core.rewrap_state import RewrapState, decode_state
from service.core.rewrapping import Stored, needed_keys, rewrapped
from service.core.store_ports import MaintenanceTable

_COUNT_EVERY = timedelta(minutes=1)
_COUNT_KEPT = timedelta(minutes=5)
_PER_SECOND = 1000


class _OvertakenError(Exception):
    """Somebody else was elected, or something else was asked for."""


class Rewrapper:
    """Seals again what is asked for, and counts what needs which key."""

    def __init__(  # noqa: PLR0913 — the parts of the world that this touches, named at the call
        self,
        *,
        gate: Gate,
        keyring: KeyringSource,
        table: KeyTable,
        agreement: KeyAgreement,
        agreed: MaintenanceTable,
        observer: Observer,
        counted: KeyObserver,
        instance: str,
        clock: Clock,
        pause: Pause,
    ) -> None:
        self._gate = gate
        self._keyring = keyring
        self._table = table
        self._agreement = agreement
        self._agreed = agreed
        self._observer = observer
        self._counted = counted
        self._instance = instance
        self._clock = clock
        self._pause = pause
        self._owner = secrets.token_hex(16)
        self._counted_at: datetime | None = None
        self.problem = ""

    def run(self) -> None:
        """Do what is asked for, if this process is the elected one, and show how many values need which key.

        Raises:
            LockedError, StorageError: Nothing can be done at this moment.
        """
        keyring = self._keyring()
        note = self._table.rewrapping()
        state = decode_state(note)
        if state.asked_for and self._may_seal(keyring, state) and self._elected():
            try:
                self._pass(keyring, *self._followed(keyring, note, state))
            except _OvertakenError:
                return
            self._counted_at = None
        self._count(keyring)

    def _count(self, keyring: Keyring) -> None:
        """Count once in a while, in one replica; the others read what it counted."""
        now = self._clock()
        due = self._counted_at is None or now - self._counted_at >= _COUNT_EVERY
        if due and self._agreed.claim("counting", self._owner, _COUNT_EVERY):
            self._counted_at = now
            self._table.note_counts(count_by_key(self._table).by_key, _COUNT_KEPT)
        counts = self._table.counts()
        self._counted.records_counted(counts)
        lacking = sorted(key_id for key_id in counts if key_id not in keyring.key_ids)
        self.problem = (
            f"stored values need {', '.join(lacking)}, which is not here" if lacking else ""
        )

    def _may_seal(self, keyring: Keyring, state: RewrapState) -> bool:
        """Tell whether what this process seals with is what was asked for, or has taken its place everywhere."""
        return state.to == keyring.primary.key_id or self._agreement.is_settled(keyring)

    def _followed(
        self, keyring: Keyring, note: bytes, state: RewrapState
    ) -> tuple[bytes, RewrapState]:
        """Return the note, begun anew if another key is primary now."""
        primary = keyring.primary.key_id
        if state.to == primary:
            return note, state
        anew = RewrapState("wanted", primary, state.request_id, state.caller)
        about = About("store.write", ANY_STORE, subject=primary)
        self._gate.record(_call(anew), about, "allowed", "rewrap")
        return self._noted(note, anew), anew

    def _pass(self, keyring: Keyring, note: bytes, before: RewrapState) -> None:
        """Look at everything once."""
        state = replace(before, state="running", left=0, altered=0)
        for page in self._table.scan():
            tried = 0
            for stored in page:
                outcome = self._rewrap(keyring, stored)
                if outcome is None:
                    continue
                tried += 1
                state = _counting(state, outcome)
            note = self._noted(note, state)
            self._pause(timedelta(seconds=tried / _PER_SECOND))
        # The outcome of what an operator asked for is recorded before it is told.
        finished = state.rewrapped == before.rewrapped and state.left == state.altered
        if finished:
            self._gate.record(
                _call(state),
                About("store.write", ANY_STORE, subject=state.to),
                "allowed",
                "rewrapped",
            )
        self._noted(
            note,
            replace(state, state="done" if finished else "running", passes=state.passes + 1),
        )

    def _noted(self, seen: bytes, state: RewrapState) -> bytes:
        note = state.encode()
        if not (self._elected() and self._table.note_rewrapping(seen, note)):
            raise _OvertakenError
        return note

    def _elected(self) -> bool:
        return self._agreed.claim("rewrapping", self._owner, TERM)

    def _rewrap(self, keyring: Keyring, stored: Stored) -> str | None:
        """Return what became of a value; None if there was nothing to do."""
        try:
            if needed_keys(stored) == {keyring.primary.key_id}:
                return None
            signed = rewrapped(keyring, self._instance, stored)
        except IntegrityError as error:
            self._observer.security_event(error.reason)
            return "altered"
        return "rewrapped" if self._table.swap(stored, signed) else "left"


def _call(state: RewrapState) -> Call:
    """Return in whose name the outcome is recorded: the broker's own, under the request that asked for it."""
    return Call(Caller(OWN_IDENTITY, "broker", "own"), state.request_id, Policy(()))


def _counting(state: RewrapState, outcome: str) -> RewrapState:
    if outcome == "rewrapped":
        return replace(state, rewrapped=state.rewrapped + 1)
    altered = state.altered + (outcome == "altered")
    return replace(state, left=state.left + 1, altered=altered)
