"""What a process has in memory, as the kernel counts it."""

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
