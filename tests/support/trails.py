"""Audit trails as several processes write them, with the heads that they sign, for tests that alter them."""

import random
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from service.core.audit import AuditEntry, Chain, ChainHead
from service.core.audit_heads import Head, sign_head
from service.core.audit_report import Place, Report
from service.core.audit_verify import Verifier
from tests.support.clock import START
from tests.support.world import INSTANCE, MINTER, OPERATOR, STORE, WORKER

KEY = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
_SECOND = timedelta(seconds=1)
_ENTRIES = (
    AuditEntry(START, "r", OPERATOR, "store.write", "started", STORE, reason="issue"),
    AuditEntry(START, "r", OPERATOR, "store.write", "allowed", STORE, reason="created"),
    AuditEntry(START, "r", MINTER, "reference.mint", "allowed", STORE, "cba_1", WORKER, "minter"),
    AuditEntry(START, "r", WORKER, "reference.use", "denied", STORE, "cba_1", reason="used_up"),
)


@dataclass
class Trail:
    """What is in the files and in Redis.

    Attributes:
        lines: With the writer of each.
        heads: The latest of each writer, signed.
        older: Heads that were overwritten, by writer, the oldest first.
    """

    lines: list[tuple[str, bytes]] = field(default_factory=list)
    heads: dict[str, str] = field(default_factory=dict)
    older: dict[str, list[tuple[int, str]]] = field(default_factory=dict)

    def of(self, writer: str) -> list[int]:
        """Return where a writer's lines are."""
        return [place for place, (name, _) in enumerate(self.lines) if name == writer]


@dataclass
class _Process:
    chain: Chain
    seen: dict[str, int] = field(default_factory=dict)


class Writing:
    """Processes that write, sign, see each other's heads, and stop."""

    def __init__(self, writers: int, random_: random.Random) -> None:
        self.trail = Trail()
        self._random = random_
        self._now = START
        self._processes = {
            name: _Process(Chain(name))
            for name in (f"{random_.getrandbits(64):016x}" for _ in range(writers))
        }

    def run(self, entries: int) -> Trail:
        """Write in any order, sign now and then, and stop in order."""
        names = list(self._processes)
        for number in range(entries):
            self._now += _SECOND
            name = names[number] if number < len(names) else self._random.choice(names)
            self.write(name)
            if self._random.random() < 0.3:
                self.sign(self._random.choice(names))
        for name in names:  # what the last heads say is seen by the others before they end
            self.sign(name)
        for name in names:
            self.sign(name)
        for name in names:
            self.write(name)
            self.sign(name, ended=True)
        return self.trail

    def write(self, name: str) -> None:
        """Write an entry."""
        chain = self._processes[name].chain
        entry = self._random.choice(_ENTRIES)
        request_id = f"r-{self._random.getrandbits(32):x}"
        line, digest = chain.link(replace(entry, time=self._now, request_id=request_id))
        chain.advance(digest)
        self.trail.lines.append((name, line))

    def sign(self, name: str, *, ended: bool = False) -> None:
        """Sign the head of a chain, and let the process see the heads of the others."""
        process = self._processes[name]
        head = Head(INSTANCE, process.chain.head, self._now, ended, dict(process.seen))
        signed = sign_head(KEY, head)
        self.trail.older.setdefault(name, []).append((process.chain.head.seq, signed))
        self.trail.heads[name] = signed
        process.seen = {
            other: self.trail.older[other][-1][0]
            for other in self._processes
            if other != name and other in self.trail.older
        }


def written(seed: int, writers: int = 3, entries: int = 24) -> Trail:
    """Return the trail of processes that have all stopped in order."""
    return Writing(writers, random.Random(seed)).run(entries)  # noqa: S311 — a test that can be repeated


def verified(
    trail: Trail, *, since: datetime | None = None, heads: Iterable[tuple[str, str]] = ()
) -> Report:
    """Return what verifying a trail finds."""
    verifier = Verifier([KEY.public_key()], since)
    verifier.take_heads([*trail.heads.items(), *heads])
    for number, (_, line) in enumerate(trail.lines, start=1):
        verifier.read(Place("audit.jsonl", number), line)
    return verifier.report()


def forged(writer: str, seq: int, prev: str, random_: random.Random) -> tuple[bytes, str]:
    """Return a line that somebody without the key made up, and its hash, which fits."""
    chain = Chain(writer)
    chain.head = ChainHead(writer, seq - 1, prev)
    entry = replace(random_.choice(_ENTRIES), request_id=f"f-{random_.getrandbits(32):x}")
    return chain.link(entry)
