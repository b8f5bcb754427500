"""What verifying an audit trail finds, and what it comes to."""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, get_args

Verdict = Literal["whole", "unproven", "broken"]
Broken = Literal[
    "edited",
    "gap",
    "reordered",
    "duplicate",
    "rewritten",
    "cut",
    "missing_chain",
    "after_end",
    "forged_head",
    "lost_head",
    "old_head",
]
Unproven = Literal["unsigned_chain", "unsigned_tail"]
Note = Literal["not_ended", "torn_line"]
Kind = Broken | Unproven | Note


MOST_OF_A_KIND = 200
"""Findings that are kept of each kind; all are counted."""


@dataclass(frozen=True, slots=True)
class Place:
    """A line of a file."""

    file: str
    line: int


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it should be, or cannot be told.

    Attributes:
        kind: What.
        writer: In whose chain; empty if that cannot be told.
        seq: At which entry; 0 for the chain as a whole.
        text: A sentence.
        place: Where; None if it is about something that is not there.
    """

    kind: Kind
    writer: str
    seq: int
    text: str
    place: Place | None = None


@dataclass(slots=True)
class ChainReport:
    """What was found of one writer.

    Attributes:
        writer: Whose chain.
        first: The number of its first entry in the files; 0 for none.
        last: Of its last.
        entries: How many there are.
        signed_to: The number up to which a head vouches for it.
        ended: Whether the writer said that nothing follows.
        began_at: The time of its first entry.
        last_at: The time of its last.
    """

    writer: str
    first: int = 0
    last: int = 0
    entries: int = 0
    signed_to: int = 0
    ended: bool = False
    began_at: datetime | None = None
    last_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """The outcome.

    Attributes:
        verdict: ``broken`` if anything is wrong; ``unproven`` if nothing is, and not everything is vouched for.
        findings: The first ones of each kind, in the order in which they were found.
        counts: How many there are of each kind.
        chains: By writer.
        entries: Lines that are the trail's.
        others: Lines that are somebody else's.
    """

    verdict: Verdict
    findings: list[Finding]
    counts: dict[Kind, int]
    chains: list[ChainReport]
    entries: int
    others: int


class Findings:
    """Collects findings, in bounded memory."""

    def __init__(self) -> None:
        self.kept: list[Finding] = []
        self.counts: Counter[Kind] = Counter()

    def add(self, kind: Kind, writer: str, seq: int, text: str, place: Place | None = None) -> None:
        """Add one."""
        self.counts[kind] += 1
        if self.counts[kind] <= MOST_OF_A_KIND:
            self.kept.append(Finding(kind, writer, seq, text, place))

    @property
    def verdict(self) -> Verdict:
        """What they come to: notes change nothing."""
        if any(kind in self.counts for kind in get_args(Broken)):
            return "broken"
        return "unproven" if any(kind in self.counts for kind in get_args(Unproven)) else "whole"
