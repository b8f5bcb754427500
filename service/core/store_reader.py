"""Reading stores: the record as it was seen, verified, and what is around it."""

from dataclasses import dataclass

from service.core.clock import Clock
from service.core.errors import IntegrityError, StoreNotActiveError
from service.core.keyring import Keyring
from service.core.ports import Observer
from service.core.records import StoreRecord, decode_record
from service.core.store_ports import StoreTable, StoreView


@dataclass(frozen=True, slots=True)
class Seen:
    """A store's record as one reader saw it: the basis of a compare-and-set.

    Attributes:
        record: What it says; of a store that is not known, a fresh one.
        view: The stored line, and what is around it.
    """

    record: StoreRecord
    view: StoreView

    @property
    def line(self) -> bytes | None:
        """The record as it is stored; None for a store that is not known."""
        return self.view.line


class StoreReader:
    """Reads stores one by one."""

    def __init__(self, table: StoreTable, observer: Observer, instance: str, clock: Clock) -> None:
        self._table = table
        self._observer = observer
        self._instance = instance
        self._clock = clock

    def view(self, store_hash: str) -> StoreView:
        """Return what is stored of a store, not verified yet."""
        return self._table.read([store_hash], self._clock())[0]

    def seen(self, keyring: Keyring, store_hash: str) -> Seen:
        """Return a store as it is.

        Raises:
            StoreNotActiveError: ``quarantined``: what is stored is not what was stored.
        """
        view = self.view(store_hash)
        if view.line is None:
            return Seen(StoreRecord(store_hash, self._clock()), view)
        try:
            record = decode_record(keyring, self._instance, store_hash, view.line)
        except IntegrityError as error:
            self._observer.security_event(error.reason)
            raise quarantined() from None
        if record.status == "quarantined":
            raise quarantined()
        return Seen(record, view)


def quarantined() -> StoreNotActiveError:
    """Return the error of a store whose record cannot be relied on."""
    return StoreNotActiveError("The store is quarantined.", reason="quarantined")
