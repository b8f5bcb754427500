"""When many stores' credentials are refused at once, something is wrong with us and not with them: issuing pauses.

A wrong password is refused once and never sent again (``records.Refusal``), which protects one account. If a rollout gives many stores the
wrong passwords, or the upstream begins to refuse everybody, each of them would still be sent once; this stops it after a few.

Source: DESIGN §2 P7; security.md §3.3 F59.
"""

from datetime import datetime, timedelta

from service.core.clock import Clock
from service.core.errors import IssuingPausedError
from service.core.gate import Gate
from service.core.ports import Observer
from service.core.store_ports import MaintenanceTable

WINDOW = timedelta(minutes=1)
MOST_STORES = 5


class LoginPause:
    """Counts the stores whose credentials were refused lately, across all replicas."""

    def __init__(
        self, gate: Gate, table: MaintenanceTable, observer: Observer, clock: Clock
    ) -> None:
        self._gate = gate
        self._table = table
        self._observer = observer
        self._clock = clock

    def check(self) -> None:
        """Return if a password may be sent.

        Raises:
            IssuingPausedError: Too many stores were refused within a minute.
        """
        paused = is_paused(self._table, self._clock())
        self._observer.issuing_paused(paused=paused)
        if paused:
            raise IssuingPausedError(
                "Many credentials were refused lately, so that none is sent for a moment.",
                reason="issuing_paused",
                retry_after=WINDOW,
            )

    def refused(self, store_hash: str) -> None:
        """Note that the upstream refused a store's password, and record that the pause begins if it does.

        Raises:
            AuditError: It could not be recorded.
        """
        refused = self._table.note_refused(store_hash, self._clock(), WINDOW)
        self._observer.issuing_paused(paused=refused > MOST_STORES)
        if refused == MOST_STORES + 1:
            self._observer.security_event("many_credentials_refused")
            self._gate.record_own("issuing.pause", "started", "many_credentials_refused")


def is_paused(table: MaintenanceTable, now: datetime) -> bool:
    """Tell whether too many stores were refused within the last minute."""
    return table.refused_since(now - WINDOW) > MOST_STORES
