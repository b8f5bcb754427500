"""Keys: who has which, what needs them, sealing everything again, and letting go of one.

They concern every store, so only whoever may read, or write, all of them may look at keys, or change what they are used for.
"""

from dataclasses import dataclass, replace
from datetime import timedelta

from service.core.clock import Clock
from service.core.errors import KeyInUseError, KeyUnknownError
from service.core.gate import About, Call, Gate
from service.core.key_agreement import Announcement, KeyAgreement
from service.core.key_ports import KeyTable
from service.core.keyring import Keyring
from service.core.policy import ANY_STORE
from service.core.ports import KeyringSource
from service.core.records_by_key import RecordCounts, count_by_key
from service.core.rewrap_state import RewrapState, decode_state
from service.core.rewrapping import KINDS, Kind

_CHANGED_OVER_WITHIN = timedelta(seconds=5)
_READ, _WRITE = About("store.read", ANY_STORE), About("store.write", ANY_STORE)


@dataclass(frozen=True, slots=True)
class KnownKey:
    """A key, as it is shown.

    Attributes:
        key_id: Its id.
        primary: Whether the replica that was asked seals with it.
        records: How many stored values need it, by kind.
        known_by: The live replicas that have it.
        missing_in: Those that do not.
        checked: Whether it is in use: a key that was retired, and one that nobody has had yet, is not.
    """

    key_id: str
    primary: bool
    records: dict[Kind, int]
    known_by: tuple[str, ...]
    missing_in: tuple[str, ...]
    checked: bool


@dataclass(frozen=True, slots=True)
class KnownKeys:
    """All keys.

    Attributes:
        keys: In the order of their ids.
        wanted: The key that the keyring of the replica that was asked says should seal; it does once every replica has it.
        replicas: All live ones.
        malformed: How many stored values do not say which key they need, because they were altered.
    """

    keys: tuple[KnownKey, ...]
    wanted: str
    replicas: tuple[str, ...]
    malformed: int


class Keys:
    """The use cases about keys."""

    def __init__(
        self,
        *,
        gate: Gate,
        keyring: KeyringSource,
        table: KeyTable,
        agreement: KeyAgreement,
        settled_after: timedelta,
        clock: Clock,
    ) -> None:
        """Take the parts, and how long what was begun with a key may still be written after another one has taken over."""
        self._gate = gate
        self._keyring = keyring
        self._table = table
        self._agreement = agreement
        self._settled_after = settled_after
        self._clock = clock

    def list(self, call: Call) -> KnownKeys:
        """Return all keys. Everything that is stored is looked at, so this may take a while.

        Raises:
            ForbiddenError: Policy does not let the caller read all stores.
        """
        self._gate.authorise(call, _READ)
        keyring = self._keyring()
        found = self._known(keyring, count_by_key(self._table))
        self._gate.record(call, _READ, "allowed", "keys")
        return found

    def rewrap(self, call: Call) -> RewrapState:
        """Have everything sealed again under the primary key, in the background.

        Raises:
            ForbiddenError: Policy does not let the caller write all stores.
            KeyInUseError: Not all replicas seal with the same key yet, or one is about to change over: what one seals again another
                would need again.
        """
        self._gate.authorise(call, _WRITE)
        keyring = self._keyring()
        if not self._agreement.is_settled(keyring):
            self._gate.record(call, _about(_WRITE, keyring.primary.key_id), "denied", "keys_differ")
            raise _in_use("keys_differ", _CHANGED_OVER_WITHIN)
        wanted = RewrapState(
            "wanted", keyring.primary.key_id, call.request_id, call.caller.identity
        )
        self._gate.record(call, _about(_WRITE, wanted.to), "allowed", "rewrap")
        while not self._table.note_rewrapping(self._table.rewrapping(), wanted.encode()):
            continue  # its progress was noted in between
        return wanted

    def rewrapping(self, call: Call) -> RewrapState:
        """Return how far that is.

        Raises:
            ForbiddenError: Policy does not let the caller read all stores.
        """
        self._gate.authorise(call, _READ)
        self._keyring()
        state = decode_state(self._table.rewrapping())
        self._gate.record(call, _READ, "allowed", "rewrap_state")
        return state

    def retire(self, call: Call, key_id: str) -> KnownKeys:
        """Let go of a key that nothing needs any more, so that its file can be taken away. Repeating it is no error.

        Raises:
            ForbiddenError: Policy does not let the caller write all stores.
            KeyUnknownError: No replica has such a key.
            KeyInUseError: A stored value needs it, or a replica seals with it, or did so a moment ago.
        """
        self._gate.authorise(call, _WRITE)
        keyring = self._keyring()
        about = _about(_WRITE, key_id)
        try:
            self._require_idle(keyring, key_id)
            # Twice, because what is being written while one looks may be where one has looked already.
            for _ in range(2):
                found = self._known(keyring, count_by_key(self._table))
                _require_unneeded(found, key_id)
        except (KeyUnknownError, KeyInUseError) as error:
            self._gate.record(call, about, "denied", error.reason)
            raise
        self._gate.record(call, about, "allowed", "retire_key")
        self._table.forget_check(key_id)
        return replace(
            found,
            keys=tuple(
                replace(key, checked=False) if key.key_id == key_id else key for key in found.keys
            ),
        )

    def _known(self, keyring: Keyring, counts: RecordCounts) -> KnownKeys:
        heard = self._agreement.heard(keyring)
        checks = self._table.checks()
        ids = {*keyring.key_ids, *checks, *counts.by_key}.union(*(r.key_ids for r in heard))
        wanted = next((r.wants for r in heard if r.replica == self._agreement.replica), "")
        return KnownKeys(
            keys=tuple(
                KnownKey(
                    key_id=key_id,
                    primary=key_id == keyring.primary.key_id,
                    records={kind: counts.by_kind[key_id, kind] for kind in KINDS},
                    known_by=tuple(r.replica for r in heard if key_id in r.key_ids),
                    missing_in=tuple(r.replica for r in heard if key_id not in r.key_ids),
                    checked=key_id in checks,
                )
                for key_id in sorted(ids)
            ),
            wanted=wanted or keyring.primary.key_id,
            replicas=tuple(r.replica for r in heard),
            malformed=counts.malformed,
        )

    def _require_idle(self, keyring: Keyring, key_id: str) -> None:
        """See to it that no live replica seals with a key, wants to, or has something under way that it began with it."""
        if key_id == keyring.primary.key_id:
            raise _in_use("key_seals")
        heard = self._agreement.heard(keyring)
        for replica in heard:
            self._require_idle_in(replica, key_id)

    def _require_idle_in(self, replica: Announcement, key_id: str) -> None:
        if not replica.key_ids:
            raise _in_use("replica_unknown")
        if key_id in (replica.seals, replica.wants):
            raise _in_use("key_seals")
        left = replica.left.get(key_id)
        if left is not None and self._clock() - left < self._settled_after:
            raise _in_use("key_sealed_lately", self._settled_after)


def _about(about: About, key_id: str) -> About:
    return replace(about, subject=key_id)


def _require_unneeded(found: KnownKeys, key_id: str) -> None:
    key = next((key for key in found.keys if key.key_id == key_id), None)
    if key is None:
        raise KeyUnknownError("No replica has such a key.", reason="key_unknown")
    if any(key.records.values()):
        raise _in_use("key_needed")


_TEXTS = {
    "keys_differ": (
        "Not every live replica seals with the key that is to be primary yet: each needs the key and a 'primary' that names it;"
        " 'broker keys list' shows which have it."
    ),
    "key_seals": "A replica seals with this key, or is about to.",
    "key_sealed_lately": "A replica sealed with this key a moment ago, and may still write what it began.",
    "key_needed": "Stored values need this key; 'broker keys rewrap' seals them again.",
    "replica_unknown": "A live replica does not say with which key it seals.",
}


def _in_use(reason: str, retry_after: timedelta | None = None) -> KeyInUseError:
    return KeyInUseError(_TEXTS[reason], reason=reason, retry_after=retry_after)
