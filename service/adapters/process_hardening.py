"""Keeps what a process holds inside it: other processes of its user cannot read it, and one that dies leaves no core file.

On Linux a process that is not dumpable belongs to root in ``/proc``: its environment, memory and open files are closed to its own user,
and so is attaching a debugger. A core that is piped to a collector, which no limit of size stops, is not made either. The kernel forgets
this when a process executes another program or changes its user, and a fork keeps it; hence it is done at the start of each command, and
again in each worker.

Source: prctl(2), PR_SET_DUMPABLE; core(5); security.md §4.7.
"""

import ctypes
import faulthandler
import resource
import sys

_PR_SET_DUMPABLE = 4
_STDERR = 2


def harden_process() -> bool:
    """Close this process, and tell whether its memory is closed to its own user; it is on Linux only."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # What is left to tell where a process ended: file, line and function of each frame, and no variables.
    faulthandler.enable(_STDERR)
    if sys.platform != "linux":
        return False
    off = ctypes.c_ulong(0)
    libc = ctypes.CDLL(None)
    return bool(libc.prctl(_PR_SET_DUMPABLE, off, off, off, off) == 0)
