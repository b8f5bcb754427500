"""Verifying an audit trail against its signed heads: what was edited, left out, moved, cut off, repeated, or made up.

The files are read once, line by line; what is kept is a little for each writer. What is looked at, and the number stands at the code:

 1. each entry's hash fits its content;
 2. a writer's entries are numbered without gap, repetition or change of order, and each names the hash of the one before;
 3. where a head was signed, the entry of that number has the hash that was signed;
 4. every writer that signed a head is there, as far as its latest head at least, and nothing follows a head that says it is the last;
 5. every head is signed, and none is older than what another writer has seen of it;
 6. what no head covers is told: it may have been written by anybody, and more of it may be gone.

Entries of different writers may stand in any order: a file that several processes write has no other.

Source: DESIGN §11; ADR 24.
"""

import contextlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from service.core.audit import BEGIN
from service.core.audit_heads import Head, read_head
from service.core.audit_keeping import HEADS_KEPT, RECENT
from service.core.audit_lines import Line, UnreadableLineError, entries_of, read_entry
from service.core.audit_report import ChainReport, Findings, Kind, Place, Report
from service.core.errors import IntegrityError

UNSIGNED_FOR = timedelta(seconds=30)
"""How long after the latest head entries may go without one; heads are signed every few seconds."""
_MOST_MISSING = 1000


@dataclass(slots=True)
class _Chain:
    """What is kept of a writer: the report, the hash before, the heads by number, and what is missing so far."""

    report: ChainReport
    hash: str = BEGIN
    heads: dict[int, Head] = field(default_factory=dict)
    missing: set[int] = field(default_factory=set)

    @property
    def latest(self) -> Head | None:
        """The head that covers most."""
        return self.heads[max(self.heads)] if self.heads else None


class Verifier:
    """Takes heads, then lines, and then says what it found."""

    def __init__(self, keys: Sequence[Ed25519PublicKey], since: datetime | None = None) -> None:
        """Take the public keys, of which each head needs one, and from when on the files are complete; None for from the beginning."""
        self._keys = keys
        self._since = since
        self._chains: dict[str, _Chain] = {}
        self._instance: str | None = None
        self._found = Findings()
        self._heads: list[Head] = []
        self._entries = 0
        self._others = 0

    # --- heads

    def take_heads(self, heads: Iterable[tuple[str, str]]) -> None:
        """Take exported heads, each with the writer that it was listed under."""
        for writer, signed in heads:
            if not signed:
                self._found.add("lost_head", writer, 0, "its head was deleted")
                continue
            try:
                self._take_head(writer, signed)
            except IntegrityError:  # 5
                self._found.add("forged_head", writer, 0, "a head that no given key has signed")

    def _take_head(self, writer: str, signed: str) -> None:
        head = self._read_head(signed)
        self._instance = self._instance or head.instance
        if (head.chain.writer, head.instance) != (writer, self._instance):
            raise IntegrityError("It is somebody else's.", reason="forged_head")
        chain = self._chain(writer)
        other = chain.heads.setdefault(head.chain.seq, head)
        if other.chain.hash != head.chain.hash:
            self._found.add(
                "forged_head", writer, head.chain.seq, "two heads that contradict each other"
            )
        chain.heads[head.chain.seq] = max(other, head, key=lambda h: (h.ended, h.time))
        self._heads.append(head)

    def _read_head(self, signed: str) -> Head:
        for key in self._keys:
            with contextlib.suppress(IntegrityError):
                return read_head(key, signed)
        raise IntegrityError("No key has signed it.", reason="forged_head")

    # --- lines

    def read(self, place: Place, raw: bytes) -> None:
        """Take the next line."""
        entries = entries_of(raw)
        if not entries:
            self._others += bool(raw.strip())
        for entry in entries:
            self._read(place, entry)

    def _read(self, place: Place, entry: bytes) -> None:
        self._entries += 1
        try:
            line = read_entry(entry)
        except UnreadableLineError:
            # If it was more than what an error has left of an entry that was written again, the chain misses it.
            self._found.add("torn_line", "", 0, "not a whole entry", place)
            return
        if line.intact:
            self._follow(place, line)
            return
        self._found.add(
            "edited", line.writer, line.seq, "its hash does not fit its content", place
        )  # 1
        chain = self._chains.get(line.writer)
        if chain is not None and line.seq == chain.report.last + 1:
            self._advance(chain, line)

    def _follow(self, place: Place, line: Line) -> None:
        chain = self._chain(line.writer)
        report = chain.report
        if not report.entries:
            self._begin(chain, place, line)
        elif line.seq <= report.last:  # 2
            moved = line.seq in chain.missing
            kind: Kind = "reordered" if moved else "duplicate"
            text = f"stands behind entry {report.last}"
            self._found.add(kind, line.writer, line.seq, text, place)
            chain.missing.discard(line.seq)
            return
        elif line.seq > report.last + 1:
            self._miss(chain, place, line, report.last + 1)
        elif line.prev != chain.hash:
            text = "does not name the hash of the entry before"
            self._found.add("edited", line.writer, line.seq, text, place)
        self._advance(chain, line)
        signed = chain.heads.get(line.seq)
        if signed is not None and signed.chain.hash != line.hash:  # 3
            text = "is not the entry that its writer signed"
            self._found.add("rewritten", line.writer, line.seq, text, place)

    def _begin(self, chain: _Chain, place: Place, line: Line) -> None:
        began_before = self._since is not None and line.time <= self._since
        if line.seq == 1 and line.prev != BEGIN:
            self._found.add("edited", line.writer, 1, "names an entry before the first", place)
        elif line.seq > 1 and not began_before:
            self._miss(chain, place, line, 1)

    def _miss(self, chain: _Chain, place: Place, line: Line, first: int) -> None:
        last = line.seq - 1
        which = f"entry {first} is" if first == last else f"entries {first} to {last} are"
        self._found.add("gap", line.writer, line.seq, f"{which} not before it", place)
        room = _MOST_MISSING - len(chain.missing)
        chain.missing.update(range(first, min(last + 1, first + room)))

    def _advance(self, chain: _Chain, line: Line) -> None:
        report = chain.report
        report.first = report.first or line.seq
        report.began_at = report.began_at or line.time
        report.last, report.last_at = line.seq, line.time
        report.entries += 1
        chain.hash = line.hash

    # --- the end

    def report(self) -> Report:
        """Return what was found, when all lines were read."""
        seen = self._seen()
        newest = max((head.time for head in self._heads), default=None)
        for writer, chain in self._chains.items():
            self._finish(chain, newest)
            wanted = seen.get(writer, 0)
            latest = chain.latest
            if wanted > (latest.chain.seq if latest else 0):  # 5
                text = f"another writer has seen a head at entry {wanted}"
                self._found.add("old_head", writer, wanted, text)
        for writer in seen.keys() - self._chains.keys():
            text = "another writer has seen a head, and there is neither head nor entry"
            self._found.add("lost_head", writer, seen[writer], text)
        return Report(
            self._found.verdict,
            self._found.kept,
            dict(self._found.counts),
            [chain.report for chain in self._chains.values()],
            self._entries,
            self._others,
        )

    def _finish(self, chain: _Chain, newest: datetime | None) -> None:
        report, latest = chain.report, chain.latest
        if latest is None:  # 6
            text = "no head: it was killed within its first seconds, its head was deleted, or it is made up"
            self._found.add("unsigned_chain", report.writer, 0, text)
            return
        report.signed_to, report.ended = latest.chain.seq, latest.ended
        signed_to = latest.chain.seq
        if not report.entries:  # 4
            if signed_to and (self._since is None or latest.time >= self._since):
                text = f"{signed_to} entries were signed, and none is in the files"
                self._found.add("missing_chain", report.writer, signed_to, text)
            return
        if report.last < signed_to:
            text = f"ends at entry {report.last}, and {signed_to} were signed"
            self._found.add("cut", report.writer, report.last, text)
        elif latest.ended and report.last > signed_to:
            text = f"goes on behind entry {signed_to}, which its writer signed as the last"
            self._found.add("after_end", report.writer, report.last, text)
        elif (
            report.last_at
            and report.last_at - latest.time > UNSIGNED_FOR
            and report.last > signed_to
        ):  # 6
            text = f"entries {signed_to + 1} to {report.last} are younger than its latest head"
            self._found.add("unsigned_tail", report.writer, signed_to + 1, text)
        if not latest.ended and newest is not None and newest - latest.time > UNSIGNED_FOR:
            text = "stopped without an end: what it wrote after its latest head, if anything, is not vouched for"
            self._found.add("not_ended", report.writer, report.last, text)

    def _seen(self) -> dict[str, int]:
        """Return how far each writer has come at least, as others have signed it."""
        newest = max((head.time for head in self._heads), default=None)
        seen: dict[str, int] = {}
        for head in self._heads:
            # What a head that is about to be forgotten has seen may be forgotten already.
            if newest is not None and newest - head.time < HEADS_KEPT - 2 * RECENT:
                for writer, seq in head.seen.items():
                    seen[writer] = max(seq, seen.get(writer, 0))
        return seen

    def _chain(self, writer: str) -> _Chain:
        return self._chains.setdefault(writer, _Chain(ChainReport(writer)))
