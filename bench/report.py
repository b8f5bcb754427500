"""What a run found: a table for people, and the same with every sample as JSON."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from bench.footprint import Resident
from bench.proxies import PROXY, named
from bench.rounds import Sample, Spread, ratios

MIB = 1024 * 1024
AIM_RATIO = 0.85
AIM_WORKER_BYTES = 90 * MIB
AIM_REFERENCE_BYTES = 700
AIM_SEEN_TOKEN_SHARE = 0.05
AIM_GUARD_SHARE = 0.10
_AIMED = ("mint", "redeem")
_HEAD = (
    f"{'connections':>11}  {'target':<30} {'ratio to its floor':>22} {'req/s':>7}"
    f" {'p50 ms':>7} {'p99 ms':>7} {'worker µs':>9} {'client µs':>9}"
)


@dataclass(frozen=True, slots=True)
class Findings:
    """Everything that was measured.

    Attributes:
        samples: One for each target, round and number of connections.
        workers: Memory of the broker's workers after the load.
        reference_bytes: What one live reference takes in Redis.
        seen_token_us: CPU time of verifying a token that was seen before.
        guard_us: CPU time of the response guard for a body of 1 MB.
    """

    samples: Sequence[Sample]
    workers: Sequence[Resident]
    reference_bytes: float
    seen_token_us: float
    guard_us: float


def as_text(findings: Findings) -> str:
    """Return the report for people."""
    return "\n".join([_HEAD, *_rows(findings.samples), "", *_verdicts(findings)])


def write_json(findings: Findings, path: Path) -> None:
    """Write everything, single samples included."""
    path.write_text(json.dumps(asdict(findings), indent=2) + "\n", "utf-8")


def _rows(samples: Sequence[Sample]) -> list[str]:
    groups = dict.fromkeys((sample.connections, sample.target) for sample in samples)
    order = sorted(groups, key=lambda group: group[0])
    return [_row(samples, connections, target) for connections, target in order]


def _row(samples: Sequence[Sample], connections: int, target: str) -> str:
    own = [s for s in samples if (s.connections, s.target) == (connections, target)]
    ratio = _shown(ratios(samples, connections, target))
    return (
        f"{connections:>11}  {target:<30} {ratio:>22} {median(s.per_second for s in own):>7.0f}"
        f" {median(s.p50_ms for s in own):>7.1f} {median(s.p99_ms for s in own):>7.1f}"
        f" {median(s.worker_cpu_us for s in own):>9.0f} {median(s.client_cpu_us for s in own):>9.0f}"
    )


def _shown(found: Spread) -> str:
    return f"{found.median:.2f} ({found.least:.2f} to {found.greatest:.2f})"


def _verdicts(findings: Findings) -> list[str]:
    counts = sorted({sample.connections for sample in findings.samples})
    lines = [
        _verdict(
            f"{target}, {count} connections",
            f"{(ratio := ratios(findings.samples, count, target).median):.2f} of floor B",
            f"at least {AIM_RATIO}",
            met=ratio >= AIM_RATIO,
        )
        for count in counts
        for target in _AIMED
    ]
    rss = max(worker.rss for worker in findings.workers)
    divided = [worker.pss for worker in findings.workers if worker.pss is not None]
    seen = (
        f"{max(divided) / MIB:.1f} MiB with shared pages divided"
        if divided
        else "shared pages in full"
    )
    share = findings.seen_token_us / _worker_us(findings, "redeem")
    guard_share = findings.guard_us / _worker_us(findings, named(PROXY, "1 MB"))
    return [
        *lines,
        _verdict(
            "resident memory of a worker",
            f"{rss / MIB:.1f} MiB ({seen})",
            f"at most {AIM_WORKER_BYTES / MIB:.0f} MiB",
            met=rss <= AIM_WORKER_BYTES,
        ),
        _verdict(
            "a live reference in Redis",
            f"{findings.reference_bytes:.0f} bytes",
            f"at most {AIM_REFERENCE_BYTES}",
            met=findings.reference_bytes <= AIM_REFERENCE_BYTES,
        ),
        _verdict(
            "a token that was seen before",
            f"{findings.seen_token_us:.1f} µs, {share:.1%} of a redeem",
            f"at most {AIM_SEEN_TOKEN_SHARE:.0%}",
            met=share <= AIM_SEEN_TOKEN_SHARE,
        ),
        _verdict(
            "the response guard",
            f"{findings.guard_us:.0f} µs for 1 MB, {guard_share:.1%} of a worker's time for it",
            f"at most {AIM_GUARD_SHARE:.0%}",
            met=guard_share <= AIM_GUARD_SHARE,
        ),
    ]


def _worker_us(findings: Findings, target: str) -> float:
    return median(s.worker_cpu_us for s in findings.samples if s.target == target)


def _verdict(what: str, found: str, aim: str, *, met: bool) -> str:
    return f"{'met   ' if met else 'MISSED'}  {what}: {found} (aim: {aim})"
