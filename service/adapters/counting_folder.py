"""The folder in which several workers count, so that whoever is asked can add up.

Its maker holds a lock on it, and so do the workers
that it forks. What a broker left behind that was killed is locked by nobody, and goes when the next one starts.
"""

import contextlib
import fcntl
import os
import shutil
import tempfile
from pathlib import Path

PREFIX = "b2b-broker-metrics-"


def counting_folder(place: Path) -> Path:
    """Make a folder in a place, and remove those that nobody counts in any more.

    Raises:
        OSError: The place cannot be written.
    """
    _sweep(place)
    while True:
        folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=place))
        # Held until the last process that has it ends.
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if folder.is_dir():
            return folder
        os.close(descriptor)  # another broker that starts swept it before it was locked


def remove(folder: Path) -> None:
    """Remove a folder, if it is one of those."""
    if folder.name.startswith(PREFIX):
        shutil.rmtree(folder, ignore_errors=True)


def _sweep(place: Path) -> None:
    for folder in place.glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):  # it is somebody else's, in use, or gone
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(descriptor)
