"""What the host allows this process: how many files it may open, where it may write, and where it may listen."""

import os
import resource
import socket
import tempfile
from pathlib import Path

_OWN_FILES = 48
"""For listeners, the log, the audit trail, the keyring, health checks, and background work."""
_FILES_OF_A_THREAD = 3
"""A connection to Redis for a thread of each pool, and one to the upstream."""
_FEWEST_CONNECTIONS = 16
_MOST_CONNECTIONS = 1000


class HostError(Exception):
    """It is not enough to run on; the text says what is missing."""


def connections(threads: int) -> int:
    """Return how many clients' connections one worker may hold, so that files are left for all that it has to do for them.

    Raises:
        HostError: There are too few.
    """
    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if allowed == resource.RLIM_INFINITY:
        return _MOST_CONNECTIONS
    own = _OWN_FILES + _FILES_OF_A_THREAD * threads
    if allowed < own + _FEWEST_CONNECTIONS:
        raise HostError(
            f"{allowed} open files are too few (ulimit -n): {threads} threads need {own + _FEWEST_CONNECTIONS}"
        )
    return min(allowed - own, _MOST_CONNECTIONS)


def listening_socket(address: str, backlog: int = 0) -> socket.socket:
    """Return a socket that listens at ``host:port``.

    Raises:
        HostError: The address is taken, not this host's, or not one that it can have, such as IPv6 where there is none.
    """
    host, _, port = address.rpartition(":")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host.strip("[]"), int(port)), family=family, backlog=backlog)
    except OSError as error:
        # Without the address, which stands in the setting.
        raise HostError(str(error.strerror).partition(" (")[0]) from None


def writable_folder() -> Path:
    """Return a folder for what is not to be kept: in memory, where that is possible.

    Raises:
        HostError: There is none.
    """
    memory = Path("/dev/shm")  # noqa: S108 — what goes there gets a name of its own, for its maker alone
    if os.access(memory, os.W_OK | os.X_OK):
        return memory
    try:
        return Path(tempfile.gettempdir())
    except FileNotFoundError:
        raise HostError(
            "neither /dev/shm nor a temporary directory can be written to; mount one of them"
        ) from None
