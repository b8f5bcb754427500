"""Programs as an ordinary user runs them, and what they see of each other. Run as a module, it becomes such a program.

Root's processes may read all others by their capabilities. Without them, root is a user like others: what it cannot see of a process of
its own, no user can. For a user who is not root nothing is changed.
"""

import ctypes
import os
import subprocess
import sys
from pathlib import Path

INSIDES = ("environ", "mem", "maps", "fd/1", "exe")
"""Of ``/proc/<pid>``: variables, memory, what is mapped, an open file, the program."""
ORDINARILY = (sys.executable, "-m", "tests.support.peers")
"""In front of a command line: runs it as an ordinary user would."""
_PR_CAPBSET_DROP = 24
_CAPABILITIES = 64
_CAP_SYS_PTRACE = 19
_LOOK = """
import os, sys
for name in sys.argv[2:]:
    path = f"/proc/{sys.argv[1]}/{name}"
    try:
        if name in ("fd/1", "exe"):
            os.readlink(path)
        else:
            os.close(os.open(path, os.O_RDONLY))
        print(name)
    except PermissionError:
        pass
"""


def may_see_all() -> bool:
    """Tell whether we are one of those few who see the insides of a process that is closed."""
    status = Path("/proc/self/status").read_text("ascii")
    (effective,) = [line.split()[1] for line in status.splitlines() if line.startswith("CapEff:")]
    return bool(int(effective, 16) >> _CAP_SYS_PTRACE & 1)


def seen_by_peers(pid: int) -> set[str]:
    """Return which of the insides of a process another process of its user can see."""
    looking = subprocess.run(  # noqa: S603 — arguments of our own
        [*ORDINARILY, sys.executable, "-I", "-c", _LOOK, str(pid), *INSIDES],
        check=True,
        capture_output=True,
        text=True,
    )
    return set(looking.stdout.split())


def main() -> None:
    """Become the program of the command line, without any capability."""
    libc = ctypes.CDLL(None)
    for capability in range(_CAPABILITIES):
        libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)
    os.execv(sys.argv[1], sys.argv[1:])  # noqa: S606 — no shell, as it should be


if __name__ == "__main__":
    main()
