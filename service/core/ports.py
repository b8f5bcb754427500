"""What the rules need of the world. The promise of each port stands here; the adapters only keep it.

Every method raises only the errors named in its docstring, whatever library is beneath it.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal, Protocol

from service.core.allowance import Allowance
from service.core.audit import AuditEntry, ChainHead
from service.core.caller import Caller
from service.core.credential import Credential
from service.core.keyring import Keyring
from service.core.policy import Access as AccessKind
from service.core.policy import Policy
from service.core.records import TokenStyle
from service.core.reference import Accessor
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


# --- stores


@dataclass(frozen=True, slots=True)
class Attempt:
    """An issue that was begun.

    Attributes:
        attempt_id: Unique; a part of the token's name.
        fence: Rises with every attempt on the store.
        intent: The signed intent.
    """

    attempt_id: str
    fence: int
    intent: bytes


@dataclass(frozen=True, slots=True)
class StoreView:
    """A store as it is stored, read in one step.

    Attributes:
        line: The signed record; None for a store that is not known.
        lease_left: How long somebody may still be issuing; None when nobody is.
        attempts: Intents that are not settled.
        last_used_at: To the minute; None if never.
        live_references: How many references are neither expired, used up nor revoked. References that a revocation by caller ended
            are counted until they expire.
        store_lock: The note of the lock that is on the store; None if none is.
        all_lock: The note of the lock that is on all stores.
    """

    line: bytes | None
    lease_left: timedelta | None
    attempts: tuple[Attempt, ...]
    last_used_at: datetime | None
    live_references: int
    store_lock: bytes | None = None
    all_lock: bytes | None = None


@dataclass(frozen=True, slots=True)
class Census:
    """How many there are of what the broker keeps.

    Attributes:
        stores: Stores, by status and by token style (empty for none).
        live_references: References that are neither expired, used up nor revoked.
    """

    stores: Mapping[tuple[str, str], int] = field(default_factory=dict)
    live_references: int = 0


@dataclass(frozen=True, slots=True)
class Start:
    """What an issue begins with.

    Attributes:
        store_hash: The store.
        owner: Unique; who would hold the lease.
        attempt_id: Unique; a part of the token's name.
        seen: The record that the decision was made on; None if there was none.
        line: The record to write, so that an attempt is never about a store that nobody can see.
        intent: Signed; None if nothing will be made upstream.
        ends_at: When the lease ends by itself; then somebody has to look at the store, unless all went well.
    """

    store_hash: str
    owner: str
    attempt_id: str
    seen: bytes | None
    line: bytes
    intent: bytes | None
    ends_at: datetime


@dataclass(frozen=True, slots=True)
class Lease:
    """What ``begin`` gave: the right to issue for one store for a while.

    Attributes:
        owner: Who holds it.
        attempt_id: For which attempt.
        fence: Later leases have higher ones.
        seen: The record as it was when the lease began.
        ends_at: When it ends by itself.
    """

    owner: str
    attempt_id: str
    fence: int
    seen: bytes
    ends_at: datetime


class StoreTable(Protocol):
    """The stores in Redis. Every method raises ``StorageError`` when Redis is away or refuses."""

    def read(self, store_hashes: Iterable[str], now: datetime) -> list[StoreView]:
        """Return the views of stores, in their order."""

    def page(self, after: str, limit: int) -> list[str]:
        """Return up to ``limit`` store hashes greater than ``after``, sorted."""

    def begin(self, start: "Start", span: timedelta) -> int | None:
        """Take the lease and write record and intent, atomically, if the record is still ``seen`` and nobody holds the lease.

        Repeating it with the same owner gives the same answer, so a lost reply does no harm.

        Returns:
            The fence, or None if another is issuing or the record has changed.

        Raises:
            StoreLockedError: The store is locked; nothing was written.
        """

    def settle(
        self, store_hash: str, lease: Lease, line: bytes | None, *, keep_intent: bool
    ) -> bool:
        """Write the record and end the attempt, atomically, if the lease's fence is current and the record is as it was.

        Repeating it gives the same answer.

        Args:
            store_hash: The store.
            lease: From ``begin``.
            line: The new record; None leaves it and only ends the attempt.
            keep_intent: True when it is unknown what the upstream did.

        Returns:
            False if the fence or the record has moved on: nothing was written.
        """

    def outdate_attempts(self, store_hash: str) -> None:
        """Make every attempt stale that nobody holds the lease for, so that whoever slept through its lease writes nothing any more."""

    def forget_attempts(self, store_hash: str, attempt_ids: Iterable[str]) -> None:
        """Drop intents that are settled."""

    def replace(self, store_hash: str, seen: bytes, line: bytes) -> bool:
        """Write the record if it is still ``seen`` and nobody is issuing."""

    def remove(self, store_hash: str, seen: bytes) -> bool:
        """Remove the record if it is still ``seen``, and make every attempt under way stale. Unsettled intents stay."""


@dataclass(frozen=True, slots=True)
class LockNotes:
    """The notes of all locks.

    Attributes:
        on_all: Of the lock on all stores; None if it is off.
        stores: Store hash → note.
    """

    on_all: bytes | None
    stores: Mapping[str, bytes]


class LockTable(Protocol):
    """The locks in Redis. Every method raises ``StorageError`` when Redis is away or refuses.

    A lock holds from the moment at which the method returns, on every replica: the step that mints, uses or begins an issue reads it.
    Locks are never removed by themselves, nor with the store.
    """

    def lock(self, store_hash: str, note: bytes) -> bytes | None:
        """Lock a store, and return the note in force, an earlier one if it was locked; None if there is no such store."""

    def unlock(self, store_hash: str) -> None:
        """Take the lock off a store."""

    def lock_all(self, note: bytes) -> bytes:
        """Lock all stores, and return the note in force. An error may leave some locked; asking again completes it."""

    def unlock_all(self) -> None:
        """Take the lock off all; those of single stores stay."""

    def read(self) -> LockNotes:
        """Return every lock. One that is on a part of all stores, because it failed half-way, counts as on all."""


class MaintenanceTable(Protocol):
    """What the replicas agree on about work that nobody asks for. Every method raises ``StorageError`` when Redis is away or refuses."""

    def claim(self, what: str, owner: str, span: timedelta) -> bool:
        """Return whether ``owner`` has, or keeps, the right to do something for a while."""

    def claim_store(self, what: str, store_hash: str, owner: str, span: timedelta) -> bool:
        """Do the same for something about one store."""

    def is_claimed(self, what: str, store_hash: str) -> bool:
        """Return whether anybody has such a claim on a store."""

    def due(self, now: datetime, limit: int) -> list[str]:
        """Return stores that somebody has to look at by now; ``limit`` in each partition."""

    def look_at(self, store_hash: str, at: datetime) -> None:
        """Have a store looked at, at that time or before."""

    def looked_at(self, store_hash: str, when: datetime, again: datetime | None) -> None:
        """Note that a store was looked at, and when it has to be again; None for not at all.

        Whoever asked meanwhile for a later time than ``when`` is not forgotten.
        """

    def note_refused(self, store_hash: str, now: datetime, keep: timedelta) -> int:
        """Note that the upstream refused a store's password, for at least ``keep``, and return how many stores were refused within it."""

    def refused_since(self, moment: datetime) -> int:
        """Return the number of stores whose password was refused since then."""

    def note_census(self, census: Census, keep: timedelta) -> None:
        """Tell the other replicas how many there are."""

    def census(self) -> Census:
        """Return what was told last; nothing if that is too long ago. It is for metrics: whoever writes Redis can make it up."""


class MountedCredentials(Protocol):
    """Credentials that the operator mounts as files; read when needed, never copied."""

    def find(self, store_hash: str) -> Credential | None:
        """Return a store's mounted credential, or None if there is none that can be used."""

    def versions(self) -> Mapping[str, object]:
        """Return something that differs whenever a store's files do, for each store that has any."""


# --- references

Verdict = Literal[
    "ok",
    "unknown",
    "altered",
    "revoked",
    "used_up",
    "wrong_caller",
    "wrong_access",
    "store_forbidden",
    "store_locked",
    "all_locked",
    "store_unknown",
    "store_not_active",
    "budget",
    "caller_share",
    "max_rate",
    "endpoint_budget",
]


@dataclass(frozen=True, slots=True)
class Taken:
    """What a use found.

    Attributes:
        verdict: ``ok`` means that one use was taken; every other verdict took none.
        reference: The stored reference; not verified yet.
        store: The store's signed record; not verified yet.
        allowance: For the proxy, the limit on requests that the upstream knows too, or that is in the way.
        nearest: When nothing is in the way, the limit that will be reached first.
    """

    verdict: Verdict
    reference: bytes | None = None
    store: bytes | None = None
    allowance: Allowance | None = None
    nearest: Allowance | None = None


@dataclass(frozen=True, slots=True)
class Minted:
    """A reference that is to be stored."""

    accessor: Accessor
    store_hash: str
    minted_by: str
    audience: str
    uses: str
    signed: bytes
    ttl: timedelta
    expires_at: datetime


class ReferenceTable(Protocol):
    """The references in Redis; each method is one atomic step and one round trip.

    Every method raises ``StorageError`` when Redis is away or refuses.
    """

    def mint(self, minted: Minted, now: datetime) -> str:
        """Store a reference if its store is active.

        Returns:
            ``ok``, ``store_unknown``, ``store_locked``, ``all_locked``, or the store's stored status.
        """

    def use(
        self,
        accessor: Accessor,
        identity: str,
        access: AccessKind,
        stores: tuple[str, ...],
        now: datetime,
        endpoint: str = "",
    ) -> Taken:
        """Check existence, audience, access, stores and epochs, take one use, and return the stored reference and store.

        For the proxy the use also takes one request of what the store, the endpoint and the grant have in a minute. Within any minute no
        more are let through than that; no caller can have all of what the store or the endpoint has; a refusal takes no use.

        A use whose reply was lost is asked for again under the same nonce, so that it is never taken twice.

        Args:
            accessor: Of the reference.
            identity: Of the caller.
            access: How it is to be used.
            stores: Patterns of the stores for which policy lets the caller do this.
            now: For ``last_used_at``, and for what a minute is.
            endpoint: The endpoint with a limit of its own that the request is for, if it is.
        """

    def lower(self, store_hash: str, pool: str, left: int, until: datetime, now: datetime) -> None:
        """Let no more than ``left`` requests of a pool through until then, because the upstream said so. Never raises a limit."""

    def look(self, accessor: Accessor) -> Taken:
        """Return the stored reference and whether it is live, taking no use."""

    def page(
        self, store_hash: str, after: str, limit: int, now: datetime
    ) -> tuple[list[tuple[Accessor, Taken]], str | None]:
        """Return up to ``limit`` references of a store behind the place ``after`` (empty: from the start), and the next place."""

    def revoke(self, accessor: Accessor, store_hash: str) -> bool:
        """Make a reference useless at once.

        Returns:
            False if there was nothing to revoke.
        """

    def revoke_store(self, store_hash: str) -> None:
        """Revoke everything minted so far for a store."""

    def revoke_caller(self, identity: str) -> None:
        """Revoke everything minted so far by or for a caller."""

    def revoke_all(self) -> None:
        """Revoke everything minted so far."""


# --- upstream


@dataclass(frozen=True, slots=True)
class ProxyRequest:
    """A request as it goes upstream.

    Attributes:
        method: Upper case.
        target: Path and query, to be sent byte for byte.
        headers: All of them, the token's included.
        body: Chunks; None for no body.
        body_bytes: The length; None when it is not known, which is then sent in chunks.
        abandoned: Tells whether nobody waits for the answer any more; None if that cannot happen.
    """

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: Iterable[bytes] | None = None
    body_bytes: int | None = None
    abandoned: Callable[[], bool] | None = None


class ProxyResponse(Protocol):
    """An answer of the upstream whose body has not been read yet."""

    @property
    def status(self) -> int:
        """The status code."""

    @property
    def headers(self) -> list[tuple[str, str]]:
        """The headers, in order; they describe the body as ``chunks`` gives it."""

    def chunks(self) -> Iterator[bytes]:
        """Yield the body with any content encoding undone.

        Raises:
            UpstreamError: It broke off or took too long.
        """

    def close(self) -> None:
        """Give the connection back, or close it if the body was not read to its end."""


class Upstream(Protocol):
    """BigCommerce B2B Edition. Every method ends within the upstream timeout and raises only ``UpstreamError``."""

    def issue(self, store_hash: str, email: Secret, password: Secret, name: str) -> Secret:
        """Exchange a password for a new token, with exactly one request that is never repeated.

        Raises:
            CredentialRefusedError: The upstream refused e-mail, password or role.
        """

    def check(self, store_hash: str, style: TokenStyle, token: Secret) -> None:
        """Make one harmless read with a token.

        Raises:
            CredentialRefusedError: The upstream does not accept it.
        """

    def tokens(self, token: Secret) -> Iterator[tuple[int, str]]:
        """Yield id and name of every token of the store of ``token``."""

    def delete(self, token: Secret, token_id: int) -> None:
        """Delete a token by id; one that is gone already counts as deleted."""

    def exchange(self, request: ProxyRequest) -> ProxyResponse:
        """Send a proxied request once, follow nothing, and return as soon as the headers are there."""


# --- callers


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
