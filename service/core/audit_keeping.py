"""What each process does for its part of the audit trail, beside writing it: begin it, try a sink that failed, sign heads, end it.

 1. The chain begins with ``broker.start``, which names the policy in force, and ends with ``broker.stop``.
 2. While the sink refuses, an entry is tried again and again, so that the broker recovers also when nobody sends it requests any more.
 3. Every few seconds the chain's head is signed and put into Redis, and those of other writers are looked at: one that went back, or is
    gone, is a security event, and this process keeps saying in its own heads what it has seen.

Source: DESIGN §11; ADR 24.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from service.core.audit import ChainHead
from service.core.audit_heads import Head, read_head, sign_head
from service.core.clock import Clock
from service.core.errors import IntegrityError
from service.core.gate import About, Call, Gate
from service.core.policy import ANY_STORE
from service.core.ports import AuditSink, HeadTable, Observer

HEADS_KEPT = timedelta(days=90)
"""After its last head a writer is forgotten; whoever keeps files for longer keeps exported heads beside them."""
RECENT = timedelta(hours=1)
"""Heads of that age are looked at, and named in one's own."""
MOST_SEEN = 64

PolicyDigest = Callable[[], str]


class AuditKeeper:
    """Looks after this process's chain."""

    def __init__(  # noqa: PLR0913 — the parts of the world that this touches, named at the call
        self,
        *,
        gate: Gate,
        sink: AuditSink,
        table: HeadTable,
        key: Ed25519PrivateKey | None,
        observer: Observer,
        instance: str,
        version: str,
        policy: PolicyDigest,
        clock: Clock,
    ) -> None:
        """Take the parts.

        Args:
            gate: Records.
            sink: Where the chain goes.
            table: Where heads go.
            key: Signs them; None where no key is set, so that there are none.
            observer: Who counts.
            instance: This installation's name.
            version: Of the broker.
            policy: Gives the digest of the policy in force.
            clock: The time.
        """
        self._gate = gate
        self._sink = sink
        self._table = table
        self._key = key
        self._observer = observer
        self._instance = instance
        self._version = version
        self._policy = policy
        self._clock = clock
        self._started = False
        #: writer → the latest head that this process has seen of it
        self._seen: dict[str, Head] = {}
        self._told: set[str] = set()

    def watch(self) -> None:
        """Begin the chain, and try a sink that failed.

        Raises:
            AuditError: It fails.
        """
        problem = self._sink.problem
        if not self._started:
            subject = f"policy:{self._policy()}"
            self._gate.record_own("broker.start", "allowed", self._version, subject)
            self._started = True
        elif problem:
            self._gate.record_own("audit.resume", "allowed", problem)

    def publish(self) -> None:
        """Sign how far the chain has come, and look at what the others signed.

        Raises:
            StorageError: Redis is away; the next head says the same and more.
            AuditError: The chain is stuck in a write, or what was found cannot be recorded.
        """
        self._publish(self._sink.head(), ended=False)

    def stop(self) -> None:
        """End the chain.

        Raises:
            AuditError, StorageError: The end could not be written, or not be signed.
        """
        self._publish(self._gate.end(), ended=True)

    def _publish(self, chain: ChainHead, *, ended: bool) -> None:
        if self._key is None:
            return
        now = self._clock()
        self._seen = {w: head for w, head in self._seen.items() if now - head.time < RECENT}
        seen = {w: head.chain.seq for w, head in self._seen.items() if w != chain.writer}
        signed = sign_head(self._key, Head(self._instance, chain, now, ended, seen))
        found = self._table.note(chain.writer, signed, now, (HEADS_KEPT, RECENT), MOST_SEEN)
        self._observer.audit_head_signed(now)
        self._look_at(list(self._read(found)), complete=len(found) < MOST_SEEN)

    def _read(self, found: Iterable[str]) -> Iterable[Head]:
        assert self._key is not None  # noqa: S101 — asked for only where heads are signed
        public = self._key.public_key()
        for signed in found:
            try:
                head = read_head(public, signed)
            except IntegrityError:
                # It may be signed with the key before or after ours; what it was before is missed below.
                continue
            if head.instance == self._instance:
                yield head

    def _look_at(self, heads: Sequence[Head], *, complete: bool) -> None:
        """Remember the others' heads, and tell of each writer once whose head went back or is gone."""
        found = {head.chain.writer: head for head in heads}
        for writer, known in self._seen.items():
            head = found.get(writer)
            gone = head is None and complete
            back = head is not None and head.chain.seq < known.chain.seq
            if (gone or back) and writer not in self._told:
                self._told.add(writer)
                self._observer.security_event("audit_head_lost")
                self._gate.record_own("audit.heads", "failed", "audit_head_lost", writer)
        for writer, head in found.items():
            if writer not in self._seen or head.chain.seq >= self._seen[writer].chain.seq:
                self._seen[writer] = head


class HeadReader:
    """The use case about the heads of all writers."""

    def __init__(self, gate: Gate, table: HeadTable) -> None:
        self._gate = gate
        self._table = table

    def page(self, call: Call, after: str, limit: int) -> tuple[list[tuple[str, str]], str | None]:
        """Return up to ``limit`` writers behind one, each with its head as it was signed, and where the next page starts.

        Raises:
            ForbiddenError: No grant lets the caller do so for all stores.
        """
        about = About("audit.read", ANY_STORE)
        self._gate.authorise(call, about)
        found = self._table.page(after, limit + 1)
        self._gate.record(call, about, "allowed")
        following = found[limit - 1][0] if len(found) > limit else None
        return found[:limit], following
