"""``python -m bench``: run the benchmarks and print the report."""

import argparse
import tempfile
from pathlib import Path

from bench.footprint import redis_bytes, resident
from bench.guarded import guard_us
from bench.load import ask_often
from bench.proxies import SIZES
from bench.report import Findings, as_text, write_json
from bench.rounds import Plan, run_rounds, to_terminal
from bench.seen import seen_token_us
from bench.setting import Setting, running_setting

_QUICK = Plan(connections=(32, 256), rounds=2, seconds=1.0, warm_up_seconds=0.3)
_USUAL = Plan(connections=(32, 256), rounds=7, seconds=2.5, warm_up_seconds=0.5)
_COUNTED_MINTS = 10_000
_MINTING_CONNECTIONS = 32


def main() -> None:
    """Measure and report."""
    options = _options()
    with tempfile.TemporaryDirectory(prefix="b2b-broker-bench-") as folder:
        to_terminal("starting Valkey, sandbox, broker and floors")
        with running_setting(Path(folder)) as setting:
            findings = _measure(setting, _plan(options))
    print(as_text(findings))
    if options.json:
        write_json(findings, options.json)


def _measure(setting: Setting, plan: Plan) -> Findings:
    # In a Redis that holds little else: a table that happens to double under the load would count for these few.
    to_terminal(f"{_COUNTED_MINTS} mints, for the bytes of one reference")
    before = redis_bytes(setting.redis)
    ask_often(setting.target("mint"), _COUNTED_MINTS, _MINTING_CONNECTIONS)
    reference_bytes = (redis_bytes(setting.redis) - before) / _COUNTED_MINTS
    samples = run_rounds(setting, plan, to_terminal)
    workers = [resident(pid) for pid in setting.workers["redeem"]]
    seen = seen_token_us(setting.access_file, setting.token)
    return Findings(samples, workers, reference_bytes, seen, guard_us(SIZES["1 MB"]))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench", description="the broker against floors")
    parser.add_argument("--seconds", type=float, help="for each target in each round")
    parser.add_argument("--rounds", type=int, help="for each number of connections")
    parser.add_argument("--connections", type=int, nargs="+", help="how many at a time")
    parser.add_argument("--quick", action="store_true", help="less of everything: under a minute")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every sample to a file")
    return parser.parse_args()


def _plan(options: argparse.Namespace) -> Plan:
    usual = _QUICK if options.quick else _USUAL
    return Plan(
        connections=tuple(options.connections or usual.connections),
        rounds=options.rounds or usual.rounds,
        seconds=options.seconds or usual.seconds,
        warm_up_seconds=usual.warm_up_seconds,
    )


if __name__ == "__main__":
    main()
