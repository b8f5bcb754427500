"""Ratios compare what was measured in one round, and the order rotates."""

import pytest

from bench.footprint import Resident
from bench.load import Load, Target
from bench.proxies import PROXY, named
from bench.report import MIB, Findings, as_text
from bench.rounds import Sample, ratios, rotated, sample_of
from bench.setting import FLOOR_REDIS

_PROXY = named(PROXY, "1 MB")


def _sample(number: int, target: str, per_second: float) -> Sample:
    return Sample(32, number, target, FLOOR_REDIS, per_second, 1.0, 2.0, 500.0, 30.0)


def _samples(redeem: float) -> list[Sample]:
    floors = [_sample(number, FLOOR_REDIS, speed) for number, speed in enumerate([1000, 100, 500])]
    broker = [
        _sample(number, target, floors[number].per_second * redeem * more)
        for target in ("mint", "redeem", _PROXY)
        for number, more in enumerate([1.0, 0.9, 1.1])
    ]
    return floors + broker


def test_a_ratio_is_with_the_floor_of_the_same_round() -> None:
    """A round on a slow machine, ten times slower here, counts like any other."""
    samples = _samples(0.8)

    found = ratios(samples, 32, "redeem")

    assert (found.median, found.least, found.greatest) == pytest.approx((0.8, 0.72, 0.88))


def test_each_round_begins_with_another_target_and_has_all() -> None:
    """So no target always follows the same one, or always comes first."""
    targets = [Target(name, 1, 200, (), name) for name in "abc"]

    rounds = ["".join(target.name for target in rotated(targets, by)) for by in range(4)]

    assert rounds == ["abc", "bca", "cab", "abc"]


def test_cpu_is_shared_among_all_answers_and_throughput_counts_those_in_time() -> None:
    """Warm-up costs CPU too; it is no throughput."""
    target = Target("mint", 1, 201, (), FLOOR_REDIS)
    load = Load(seconds=2.0, latencies=[0.001, 0.002], answers=4, client_cpu_seconds=0.0004)

    sample = sample_of(load, 32, 0, target, worker_cpu_seconds=0.002)

    assert (sample.target, sample.floor, sample.per_second) == ("mint", FLOOR_REDIS, 1.0)
    assert (sample.worker_cpu_us, sample.client_cpu_us) == pytest.approx((500.0, 100.0))


@pytest.mark.parametrize(
    ("redeem", "rss", "reference_bytes", "seen_share", "guard_share", "missed"),
    [
        (0.9, 80, 600, 0.04, 0.09, 0),
        (0.8, 80, 600, 0.04, 0.09, 2),
        (0.9, 91, 600, 0.04, 0.09, 1),
        (0.9, 80, 701, 0.04, 0.09, 1),
        (0.9, 80, 600, 0.06, 0.09, 1),
        (0.9, 80, 600, 0.04, 0.11, 1),
    ],
)
def test_the_report_says_which_aims_are_missed(
    redeem: float,
    rss: int,
    reference_bytes: float,
    seen_share: float,
    guard_share: float,
    missed: int,
) -> None:
    """Each aim has its line, and only those that are missed say so."""
    samples = _samples(redeem)
    workers = [Resident(rss * MIB, 50 * MIB)]
    seen, guard = (share * samples[0].worker_cpu_us for share in (seen_share, guard_share))
    findings = Findings(samples, workers, reference_bytes, seen, guard)

    text = as_text(findings)

    assert text.count("MISSED") == missed
    assert text.count("(aim: ") == 6
