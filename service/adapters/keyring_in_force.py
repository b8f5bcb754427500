"""The keyring in force in this process. Fulfils ``KeyringSource``.

While there is none the broker is locked: it looks again whenever a keyring is needed, at most once a second, and every few seconds in the
background, so it unlocks by itself. Later it takes new keys and another primary without a restart. A ring that is refused never
replaces one that is in force; the refusal shows in ``/readyz``, a metric and a log line.
"""

import threading
import time
from collections.abc import Callable
from datetime import timedelta

import structlog

from service.core.errors import AuditError, BrokerError, LockedError, StorageError
from service.core.keyring import Keyring, KeyringError

Read = Callable[[], Keyring]
Admit = Callable[[Keyring, Keyring | None], Keyring]
Observe = Callable[[bool], None]
"""Told whether the newest ring was refused."""
Record = Callable[[bool, str], None]
"""Records whether a ring is taken, and the id of the key that seals from now on (empty: none); an error of it keeps the old one."""
_AGAIN = timedelta(seconds=5)
_LOOK_EVERY_SECONDS = 1.0
_PATIENCE_SECONDS = 1.0


class KeyringInForce:
    """Holds the ring in force."""

    def __init__(
        self,
        read: Read,
        admit: Admit,
        observe: Observe,
        record: Record = lambda _taken, _key_id: None,
    ) -> None:
        """Take where rings come from, who decides whether they are taken, and whom to tell."""
        self._record = record
        self._read = read
        self._admit = admit
        self._observe = observe
        self._keyring: Keyring | None = None
        self._failure: BrokerError = _locked()
        self._looked_at = -_LOOK_EVERY_SECONDS
        self._lock = threading.Lock()
        self.problem = "not read yet"

    def __call__(self) -> Keyring:
        """Return the ring in force.

        Raises:
            LockedError: There is none yet.
            StorageError: There is one, and Redis, which it has to be checked against, is away.
            AuditError: There is one, and that cannot be recorded.
        """
        keyring = self._keyring
        if keyring is not None:
            return keyring
        # Whoever unwraps keys may take seconds; nobody waits for that.
        if self._lock.acquire(timeout=_PATIENCE_SECONDS):
            try:
                if time.monotonic() - self._looked_at >= _LOOK_EVERY_SECONDS:
                    self._look()
            finally:
                self._lock.release()
        if self._keyring is None:
            raise self._failure
        return self._keyring

    @property
    def unlocked(self) -> bool:
        """Whether there is a ring in force."""
        return self._keyring is not None

    def look(self) -> None:
        """Take what is new, if there is anything and it is good."""
        with self._lock:
            self._look()

    def _look(self) -> None:
        self._looked_at = time.monotonic()
        before = self._keyring
        try:
            ring = self._admit(self._read(), before)
            if _differ(before, ring):
                self._record(True, ring.primary.key_id)  # noqa: FBT003 — it is taken
        except KeyringError as error:
            self._failure = _locked()
            self._refuse(str(error))
        except (StorageError, AuditError) as error:
            # Nothing is wrong with the ring. One that is in force stays so, and whoever needs what is away will be told.
            self._failure = error
        else:
            self._keyring = ring
            self.problem = ""
            self._observe(False)  # noqa: FBT003 — it is not refused
            if _differ(before, ring):
                structlog.get_logger().info(
                    "keyring_in_force", keys=list(ring.key_ids), primary=ring.primary.key_id
                )

    def _refuse(self, problem: str) -> None:
        self._observe(True)  # noqa: FBT003 — it is refused
        if problem == self.problem:
            return
        self.problem = problem
        structlog.get_logger().error("keyring_refused", problem=problem)
        self._record(False, self._keyring.primary.key_id if self._keyring else "")  # noqa: FBT003 — it is refused


def _locked() -> LockedError:
    return LockedError(
        "The broker is locked: it has no keyring that it can use.",
        reason="locked",
        retry_after=_AGAIN,
    )


def _differ(before: Keyring | None, now: Keyring) -> bool:
    return before is None or (before.key_ids, before.primary.key_id) != (
        now.key_ids,
        now.primary.key_id,
    )
