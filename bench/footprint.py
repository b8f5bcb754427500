"""What processes hold and use, from ``/proc``, and what Redis holds. Linux only.

Source: proc(5), ``smaps_rollup`` and ``stat``.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import redis

_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Resident:
    """Memory of one process, in bytes.

    Attributes:
        rss: Resident, pages shared with other processes counted in full.
        pss: The same with shared pages divided among those who share them.
    """

    rss: int
    pss: int


def resident(pid: int) -> Resident:
    """Return the resident memory of a process."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text("ascii").splitlines()[1:]
    kibibytes = {line.partition(":")[0]: int(line.split()[1]) for line in lines}
    return Resident(kibibytes["Rss"] * 1024, kibibytes["Pss"] * 1024)


def cpu_seconds(pids: Iterable[int]) -> float:
    """Return the CPU time that processes have used so far, in user and in kernel mode."""
    return sum(_ticks(pid) for pid in pids) / _TICKS


def _ticks(pid: int) -> int:
    # The second field is the program's name in parentheses and may hold blanks.
    fields = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def redis_bytes(client: "redis.Redis") -> int:
    """Return what Redis has allocated."""
    return int(client.info("memory")["used_memory"])
