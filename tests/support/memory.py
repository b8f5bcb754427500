"""What a process has in memory, as the kernel counts it."""

import contextlib
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

MIB = 1024 * 1024


def resident_bytes(pid: int) -> int:
    """Return how much of a process is in memory now."""
    return _of_status(pid, "VmRSS")


def peak_bytes(pid: int) -> int:
    """Return the most that a process ever had in memory; not a sample, so that no moment is missed."""
    return _of_status(pid, "VmHWM")


def _of_status(pid: int, name: str) -> int:
    lines = Path(f"/proc/{pid}/status").read_text("ascii").splitlines()
    (size,) = [line.split()[1] for line in lines if line.startswith(f"{name}:")]
    return int(size) * 1024


def occurrences(pid: int, pattern: re.Pattern[bytes]) -> Counter[bytes]:
    """Return how often each text of a pattern is in the memory of a process, freed memory that was not used again included.

    Raises:
        PermissionError: It is closed to us.
    """
    found: Counter[bytes] = Counter()
    with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
        for start, end in _written_ranges(pid):
            memory.seek(start)
            # Some ranges are listed and not shown.
            with contextlib.suppress(OSError):
                found.update(pattern.findall(memory.read(end - start)))
    return found


def _written_ranges(pid: int) -> Iterator[tuple[int, int]]:
    for line in Path(f"/proc/{pid}/maps").read_text("utf-8").splitlines():
        addresses, rights = line.split()[:2]
        if rights.startswith("rw"):
            start, end = addresses.split("-")
            yield int(start, 16), int(end, 16)
