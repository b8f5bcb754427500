"""Interleaved rounds: each measures every target once, in an order that rotates, so that a slow minute of the machine hits all alike.

A ratio compares throughputs of one round, never of two.
"""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

from bench.footprint import cpu_seconds
from bench.load import Load, Phase, Target, apply_load
from bench.setting import Setting


@dataclass(frozen=True, slots=True)
class Plan:
    """How much to measure.

    Attributes:
        connections: Each number of connections gets rounds of its own.
        rounds: Of each.
        seconds: For each target in each round.
        warm_up_seconds: Before each of those.
    """

    connections: tuple[int, ...]
    rounds: int
    seconds: float
    warm_up_seconds: float


@dataclass(frozen=True, slots=True)
class Sample:
    """One target in one round.

    Attributes:
        connections: How many.
        round: Which, from 0.
        target: Its name.
        floor: The name of what it is compared with.
        per_second: Answers.
        p50_ms: Latency.
        p99_ms: Latency.
        worker_cpu_us: CPU time of all its workers for each answer.
        client_cpu_us: CPU time of the client for each answer.
    """

    connections: int
    round: int
    target: str
    floor: str
    per_second: float
    p50_ms: float
    p99_ms: float
    worker_cpu_us: float
    client_cpu_us: float


@dataclass(frozen=True, slots=True)
class Spread:
    """Of several numbers the middle one, the least and the greatest."""

    median: float
    least: float
    greatest: float


def run_rounds(setting: Setting, plan: Plan, tell: Callable[[str], None]) -> list[Sample]:
    """Measure everything.

    Args:
        setting: What runs.
        plan: How much.
        tell: Gets a line on each round.

    Raises:
        LoadError: A server does not answer as expected.
    """
    samples = []
    for connections in plan.connections:
        phase = Phase(connections, plan.seconds, plan.warm_up_seconds)
        for number in range(plan.rounds):
            tell(f"{connections} connections, round {number + 1} of {plan.rounds}")
            samples += [
                _measured(setting, target, phase, number)
                for target in rotated(setting.targets, number)
            ]
    return samples


def rotated(targets: Sequence[Target], by: int) -> list[Target]:
    """Return the targets beginning with another one."""
    start = by % len(targets)
    return [*targets[start:], *targets[:start]]


def _measured(setting: Setting, target: Target, phase: Phase, number: int) -> Sample:
    workers = setting.workers[target.name]
    before = cpu_seconds(workers)
    load = apply_load(target, phase)
    used = cpu_seconds(workers) - before
    return sample_of(load, phase.connections, number, target, used)


def sample_of(
    load: Load, connections: int, number: int, target: Target, worker_cpu_seconds: float
) -> Sample:
    """Return what one load says."""
    return Sample(
        connections=connections,
        round=number,
        target=target.name,
        floor=target.floor,
        per_second=load.per_second,
        p50_ms=load.latency(0.50) * 1e3,
        p99_ms=load.latency(0.99) * 1e3,
        worker_cpu_us=worker_cpu_seconds / load.answers * 1e6,
        client_cpu_us=load.client_cpu_seconds / load.answers * 1e6,
    )


def ratios(samples: Sequence[Sample], connections: int, target: str) -> Spread:
    """Return the throughput of a target divided by that of its floor in the same round."""
    chosen = [sample for sample in samples if sample.connections == connections]
    speed = {(sample.round, sample.target): sample.per_second for sample in chosen}
    return spread([s.per_second / speed[s.round, s.floor] for s in chosen if s.target == target])


def spread(numbers: Sequence[float]) -> Spread:
    """Return the middle, the least and the greatest."""
    return Spread(median(numbers), min(numbers), max(numbers))


def to_terminal(line: str) -> None:
    """Tell how far a run is, beside the report."""
    print(line, file=sys.stderr, flush=True)
