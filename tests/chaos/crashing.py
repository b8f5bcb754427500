"""Dying on purpose: a process that passes an armed point ends there, as it would by a power cut.

A point is armed by a file ``<point>@<store hash>`` (``-`` for any store) in the directory that ``CRASH_PLANS`` names. The file says how
many passings are let through before, and how to die:

* ``worker``: this process is killed, and gunicorn starts another;
* ``all``: the whole broker is killed;
* ``pause``: this process is stopped, until somebody continues it.

Whoever dies renames the file to ``<name>.fired`` first and writes its process id into it, so that each arming kills once.
"""

import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path

ANY_STORE = "-"
_here = threading.local()


def _kill_worker() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _kill_all() -> None:
    os.killpg(0, signal.SIGKILL)


def _pause() -> None:
    # To this very thread: one that waits elsewhere might take so long to get it that this one goes on.
    signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)


#: how → what ends or stops
_WAYS: dict[str, Callable[[], None]] = {"worker": _kill_worker, "all": _kill_all, "pause": _pause}


def arm(plans: Path, point: str, store_hash: str, how: str, *, passings_before: int = 0) -> Path:
    """Have the next one that passes a point die there, and return the file that will tell of it."""
    path = plans / f"{point}@{store_hash}"
    # In one step, so that nobody reads it half written.
    written = path.with_name(f"{path.name}.new")
    written.write_text(f"{passings_before} {how}", "ascii")
    written.rename(path)
    return plans / f"{path.name}.fired"


def is_about(store_hash: str) -> None:
    """Note which store this thread is concerned with."""
    _here.store_hash = store_hash


def passed(point: str) -> None:
    """Die here, if the point is armed for the store that this thread is concerned with, or for any."""
    plans = Path(os.environ["CRASH_PLANS"])
    for store_hash in (getattr(_here, "store_hash", ANY_STORE), ANY_STORE):
        path = plans / f"{point}@{store_hash}"
        if path.exists() and _is_mine(path):
            _WAYS[path.with_name(f"{path.name}.fired").read_text("ascii").split()[1]]()


def _is_mine(path: Path) -> bool:
    """Count a passing, and tell whether this process is the one to die; of several at the same moment one is."""
    claimed = path.with_name(f"{path.name}.{os.getpid()}.{threading.get_ident()}")
    try:
        path.rename(claimed)
    except FileNotFoundError:
        return False
    before, how = claimed.read_text("ascii").split()
    if int(before):
        claimed.write_text(f"{int(before) - 1} {how}", "ascii")
        claimed.rename(path)
        return False
    claimed.write_text(f"{os.getpid()} {how}", "ascii")
    claimed.rename(path.with_name(f"{path.name}.fired"))
    return True
