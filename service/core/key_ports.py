"""What the rules about keys need of the world."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Protocol

from service.core.rewrapping import Stored


class KeyTable(Protocol):
    """What Redis holds about keys. Every method raises ``StorageError`` when Redis is away or refuses."""

    def checks(self) -> Mapping[str, bytes]:
        """Return the sealed check value of each key that was ever in use here and is not retired."""

    def add_check(self, key_id: str, check: bytes) -> bytes:
        """Write a key's check value if there is none, and return the one that stands."""

    def forget_check(self, key_id: str) -> None:
        """Remove a key's check value; none is no error."""

    def announce(self, name: str, announcement: bytes, keep: timedelta) -> Mapping[str, bytes]:
        """Say which keys a replica has, for a while, and return in the same step what all live ones say, this one too."""

    def announcements(self) -> Mapping[str, bytes]:
        """Return what all live replicas say, by their names."""

    def scan(self) -> Iterator[Sequence[Stored]]:
        """Yield all stored values that need keys, some at a time.

        What is there from the beginning to the end is yielded at least once; what comes or changes meanwhile perhaps not.
        """

    def swap(self, stored: Stored, signed: bytes) -> bool:
        """Put another signed part in the place of ``stored.signed``, atomically, if it is still exactly that; expiry and all else stay.

        Repeating it gives the same answer. A store's record is left alone while somebody is issuing for it.

        Returns:
            False if it is not as it was: nothing was written.
        """

    def rewrapping(self) -> bytes:
        """Return what was noted last about rewrapping; empty for nothing."""

    def note_rewrapping(self, seen: bytes, note: bytes) -> bool:
        """Note something about rewrapping if the note is still ``seen``, or is this one already."""

    def note_counts(self, counts: Mapping[str, int], keep: timedelta) -> None:
        """Tell the other replicas how many stored values need each key."""

    def counts(self) -> Mapping[str, int]:
        """Return what was told last; nothing if that is too long ago. It is for showing: whoever writes Redis can make it up."""


class KeyObserver(Protocol):
    """Who counts what happens to keys. Never fails, never blocks, never sees a secret."""

    def records_counted(self, counts: Mapping[str, int]) -> None:
        """How many stored values need each key, by its id."""

    def primary_pending(self, *, pending: bool) -> None:
        """Whether this replica waits for others before it seals with the key that its keyring says."""
