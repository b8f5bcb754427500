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
        pss: The same with shared pages divided among those who share them; None if the process is closed to us, as the broker's
            is to all but root.
    """

    rss: int
    pss: int | None


def resident(pid: int) -> Resident:
    """Return the resident memory of a process."""
    rss = _bytes_of(pid, "status", "VmRSS")
    try:
        return Resident(rss, _bytes_of(pid, "smaps_rollup", "Pss"))
    except PermissionError:
        return Resident(rss, None)


def _bytes_of(pid: int, table: str, name: str) -> int:
    lines = Path(f"/proc/{pid}/{table}").read_text("utf-8").splitlines()
    (kibibytes,) = [line.split()[1] for line in lines if line.startswith(f"{name}:")]
    return int(kibibytes) * 1024


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
