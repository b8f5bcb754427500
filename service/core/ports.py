"""What the rules need of the world. The promise of each port stands here; the adapters only keep it.

Every method raises only the errors named in its docstring, whatever library is beneath it. Ports of stores, references and the upstream
have files of their own: ``store_ports``, ``reference_ports``, ``upstream_ports``.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Protocol

from service.core.audit import AuditEntry, ChainHead
from service.core.caller import Caller
from service.core.keyring import Keyring
from service.core.policy import Policy
from service.core.secret import Secret

KeyringSource = Callable[[], Keyring]
"""Returns the keyring in force. Raises ``LockedError`` while there is none."""


class AuditSink(Protocol):
    """Where audit entries go."""

    @property
    def problem(self) -> str:
        """Why the last entry was refused; empty when it was written."""

    def record(self, entry: AuditEntry) -> None:
        """Append the entry to this process's chain and hand it to the operating system before returning.

        Raises:
            AuditError: It could not be written within a bounded time. The chain has not moved.
        """

    def head(self) -> ChainHead:
        """Return how far the chain has come.

        Raises:
            AuditError: It cannot be told within a bounded time, because a write hangs.
        """

    def end(self, entry: AuditEntry) -> ChainHead:
        """Append the chain's last entry; whatever is to be recorded afterwards is refused.

        Raises:
            AuditError: As ``record``.
        """


class HeadTable(Protocol):
    """The writers' signed heads in Redis. Every method raises ``StorageError`` when Redis is away or refuses."""

    def note(
        self,
        writer: str,
        signed: str,
        now: datetime,
        spans: tuple[timedelta, timedelta],
        limit: int,
    ) -> list[str]:
        """Put a writer's head in the place of the one before.

        Args:
            writer: Whose.
            signed: The head.
            now: The time.
            spans: How long a writer is kept after its last head, and what counts as recent.
            limit: The most to return.

        Returns:
            Recent heads as they were, the latest first; nobody has verified them.
        """

    def page(self, after: str, limit: int) -> list[tuple[str, str]]:
        """Return up to ``limit`` writers greater than ``after``, sorted, each with its head."""


class Observer(Protocol):
    """Who counts what happens. Never fails, never blocks, never sees a secret."""

    def security_event(self, kind: str) -> None:
        """Something happened that an honest caller does not do."""

    def audit_head_signed(self, at: datetime) -> None:
        """The head of this process's audit chain was signed and stored."""

    def store_issued(self, outcome: str) -> None:
        """An issue ended."""

    def reference(self, operation: str, outcome: str) -> None:
        """A reference was minted, redeemed, used, or refused."""

    def budget_left(self, share: float) -> None:
        """A request was taken from a limit on requests to the upstream, and this much of it is left: 1 is all."""

    def budget_refusal(self, kind: str) -> None:
        """A request was refused so that a limit on requests to the upstream holds."""

    def issuing_paused(self, *, paused: bool) -> None:
        """Whether many refused credentials keep passwords from being sent."""

    def stores_counted(self, counts: Mapping[tuple[str, str], int]) -> None:
        """How many stores there are, by status and by token style (empty for none)."""

    def references_counted(self, live: int) -> None:
        """How many references are live."""

    def locks_counted(self, *, everything: bool, stores: int) -> None:
        """Whether all stores are locked, and how many are by themselves."""


class Access(Protocol):
    """One snapshot of the access file: who can prove who they are, and what they may do."""

    @property
    def policy(self) -> Policy:
        """What callers may do."""

    def by_token(self, token: Secret) -> Caller:
        """Return the caller whose workload token this is.

        Raises:
            UnauthenticatedError: It proves nothing; the reason says which check failed, the detail never does.
        """

    def by_key(self, key: Secret) -> Caller:
        """Return the caller whose API key this is.

        Raises:
            UnauthenticatedError: It is nobody's.
        """

    def by_certificate(self, chain: Sequence[bytes]) -> Caller:
        """Return the caller whose client certificate this is.

        Args:
            chain: In DER: the caller's own, then those that lead to its authority. The peer has shown that it has the key.

        Raises:
            UnauthenticatedError: It proves nothing.
        """

    def vouched(self, identity: str) -> Caller:
        """Return the caller whose client certificate a trusted proxy has verified.

        Raises:
            UnauthenticatedError: No issuer of the access file gives such an identity.
        """


AccessSource = Callable[[], Access]
"""Returns the snapshot in force."""
