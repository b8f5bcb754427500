"""What a check of ``broker doctor`` found."""

from dataclasses import dataclass
from typing import Literal

Verdict = Literal["ok", "warning", "failed", "skipped"]


@dataclass(frozen=True, slots=True)
class Finding:
    """The outcome of one check.

    Attributes:
        check: Its name.
        verdict: What it comes to; a warning is for people to judge.
        found: What was found, in one line.
        means: What follows from it; empty when all is well.
        cure: What to do; empty when all is well.
    """

    check: str
    verdict: Verdict
    found: str
    means: str = ""
    cure: str = ""


def ok(check: str, found: str) -> Finding:
    """Return that all is well."""
    return Finding(check, "ok", found)


def skipped(check: str, because: str) -> Finding:
    """Return that a check could not be made."""
    return Finding(check, "skipped", because)
