"""Which keyring is in force: checked against what is stored, and agreed upon with the other replicas.

Before a ring is taken:

 1. **Key check.** Redis holds a sealed value for each key. A key that cannot open its own is another key of the same name; a ring that
    has none of the keys that are in use belongs to another installation. Either would start a second universe beside what is stored.
 2. **Nothing in use is lost.** A key that was in force may be missing in the new ring only if no stored value needs it and no other
    replica seals with it.
 3. **Announcement.** Each replica says which keys it has, with which it seals, and with which it wants to, signed with a key of the
    ring, for 30 seconds at a time. Saying so and learning what the others say is one atomic step, so of two replicas at least one
    knows of the other: a key that is wanted begins to seal only when all live replicas have it, and a replica that lacks a key that
    another one seals with, or is about to, does not start.

Whoever writes Redis can take announcements away or put senseless ones there, and so make a replica wait or refuse to start; they
cannot choose the key that seals, because announcements are signed and the choice is the operator's file.

Source: DESIGN §10; security.md §4.5, §4.6.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from service.core.clock import Clock, from_millis, to_millis
from service.core.errors import IntegrityError
from service.core.key_checks import listed, new_check, require_opens, require_ours
from service.core.key_ports import KeyObserver, KeyTable
from service.core.keyring import Keyring, KeyringError
from service.core.records_by_key import count_by_key
from service.core.signed import Place, sign, signed_with, verify

ANNOUNCED_FOR = timedelta(seconds=30)
_COUNT_AGAIN = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Announcement:
    """What a replica says about its keys.

    Attributes:
        replica: Its name.
        key_ids: The keys that it has; none if what it says is not readable here.
        seals: With which it seals.
        wants: With which its keyring says that it should.
        left: When it stopped sealing with others, by key id.
    """

    replica: str
    key_ids: frozenset[str] = frozenset()
    seals: str = ""
    wants: str = ""
    left: Mapping[str, datetime] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Lacking:
    """What was found out about a ring without a key that was in force: counting is not done again at every look."""

    ring: Keyring
    counted_at: datetime
    needed: set[str]


class KeyAgreement:
    """Decides which keyring is in force in this process. Not thread-safe: whoever holds the ring takes care of that."""

    def __init__(
        self, table: KeyTable, observer: KeyObserver, instance: str, replica: str, clock: Clock
    ) -> None:
        self._table = table
        self._observer = observer
        self._instance = instance
        self.replica = replica
        self._clock = clock
        self._checked: Keyring | None = None
        self._lacking: _Lacking | None = None
        #: key id → when this process stopped sealing with it
        self._left: dict[str, datetime] = {}

    def admit(self, found: Keyring, in_force: Keyring | None) -> Keyring:
        """Return the ring to be in force: ``found``, with the primary that all live replicas have.

        Args:
            found: What the operator's files say. The same object means that they have not changed.
            in_force: The ring so far; None at the start.

        Raises:
            KeyringError: It must not be taken, and why.
            StorageError: Redis is away, so that it cannot be checked.
        """
        if found is not self._checked:
            if in_force is not None:
                self._let_go(found, in_force)  # 2
            self._check(found)  # 1
            self._checked = found
        seals = self._agree(found, in_force)  # 3
        if in_force is not None and in_force.primary.key_id != seals:
            self._left[in_force.primary.key_id] = self._clock()
        self._observer.primary_pending(pending=seals != found.primary.key_id)
        return found.sealing_with(seals)

    # --- 1, 2

    def _check(self, found: Keyring) -> None:
        known = self._table.checks()
        require_ours(found, known, self._instance)
        # Only now, so that a ring that is refused leaves no trace.
        for key_id in found.key_ids:
            if key_id not in known:
                fresh = new_check(found, key_id, self._instance)
                standing = self._table.add_check(key_id, fresh)
                require_opens(found, key_id, standing, self._instance)

    def _let_go(self, found: Keyring, in_force: Keyring) -> None:
        """Forget the keys that are not there any more, unless something needs them."""
        lost = set(in_force.key_ids) - set(found.key_ids)
        if not lost:
            return
        known, now = self._lacking, self._clock()
        if known is None or known.ring is not found or now - known.counted_at >= _COUNT_AGAIN:
            needed = lost & (self._used_by_others(in_force) | set(count_by_key(self._table).by_key))
            known = self._lacking = _Lacking(found, now, needed)
        if known.needed:
            raise KeyringError(
                f"{listed(known.needed)} is missing, and stored values need it, or another replica seals with it:"
                " put it back, and take it away after 'broker keys retire'"
            )
        for key_id in lost:
            self._table.forget_check(key_id)

    def _used_by_others(self, ring: Keyring) -> set[str]:
        others = [other for other in self.heard(ring) if other.replica != self.replica]
        return {key_id for other in others for key_id in (other.seals, other.wants)}

    # --- 3

    def _agree(self, found: Keyring, in_force: Keyring | None) -> str:
        """Return the id of the key to seal with."""
        wants = found.primary.key_id
        if in_force is None:
            seals = self._first(found)
        elif in_force.primary.key_id in found.key_ids:
            seals = in_force.primary.key_id
        else:
            seals = wants
        said = self._announce(found.sealing_with(seals), wants)
        if in_force is None:
            # Perhaps somebody has said so since the first look.
            _require_all(found, said, self._heard(found, said))
        heard = self._heard(found, said)
        return wants if all(wants in other.key_ids for other in heard) else seals

    def _first(self, found: Keyring) -> str:
        """Return the key that a process which has just started seals with: the one that it should, or that the others still do."""
        said = self._table.announcements()
        heard = self._heard(found, said)
        _require_all(found, said, heard)
        wants = found.primary.key_id
        if all(wants in other.key_ids for other in heard):
            return wants
        return next((other.seals for other in heard if other.seals in found.key_ids), wants)

    def _announce(self, ring: Keyring, wants: str) -> Mapping[str, bytes]:
        body = {
            "keys": ring.key_ids,
            "seals": ring.primary.key_id,
            "wants": wants,
            "left": {key_id: to_millis(at) for key_id, at in self._left.items()},
        }
        place = self._place(self.replica)
        signed = sign(ring, place, json.dumps(body, separators=(",", ":")).encode("ascii"))
        return self._table.announce(self.replica, signed, ANNOUNCED_FOR)

    def heard(self, ring: Keyring) -> list[Announcement]:
        """Return what all live replicas say, by name."""
        return self._heard(ring, self._table.announcements())

    def is_settled(self, ring: Keyring) -> bool:
        """Tell whether all live replicas seal with the primary key of a ring, and none wants another."""
        used = {key_id for other in self.heard(ring) for key_id in (other.seals, other.wants)}
        return used == {ring.primary.key_id}

    def _heard(self, ring: Keyring, said: Mapping[str, bytes]) -> list[Announcement]:
        return [self._read(ring, name, signed) for name, signed in sorted(said.items())]

    def _read(self, ring: Keyring, name: str, signed: bytes) -> Announcement:
        try:
            body = json.loads(verify(ring, self._place(name), signed))
        except IntegrityError:
            # It may be that of a replica with keys that are not here; as far as one knows it has none of ours.
            return Announcement(name)
        left = {key_id: from_millis(at) for key_id, at in body["left"].items()}
        return Announcement(name, frozenset(body["keys"]), body["seals"], body["wants"], left)

    def _place(self, name: str) -> Place:
        return Place(self._instance, "keys", name)


def _require_all(found: Keyring, said: Mapping[str, bytes], heard: list[Announcement]) -> None:
    """See to it that a ring which is new here has every key that another replica seals with, or is about to."""
    used = {key_id for other in heard for key_id in (other.seals, other.wants) if key_id}
    for other in heard:
        if not other.key_ids:
            try:
                used.add(signed_with(said[other.replica]))
            except IntegrityError:
                continue  # senseless: nobody who has keys wrote it
    lacking = used - set(found.key_ids)
    if lacking:
        raise KeyringError(
            f"another replica seals with {listed(lacking)}, which is not here yet: is the mounted keyring the newest?"
        )
