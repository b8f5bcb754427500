"""The folder in which several workers count, so that whoever is asked can add up.

It lies in memory where that is possible, which also does without a writable ``/tmp``. Its maker holds a lock on it, and so do the workers
that it forks. What a broker left behind that was killed is locked by nobody, and goes when the next one starts.
"""

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

PREFIX = "b2b-broker-metrics-"


def counting_folder(places: Sequence[Path] | None = None) -> Path:
    """Make a folder, and remove those that nobody counts in any more.

    Args:
        places: Where, by preference.

    Raises:
        OSError: None of the places can be written.
    """
    error = OSError("no place is given")
    for place in _places() if places is None else places:
        _sweep(place)
        try:
            return _made(place)
        except OSError as failed:
            error = failed
    raise error


def remove(folder: Path) -> None:
    """Remove a folder, if it is one of those."""
    if folder.name.startswith(PREFIX):
        shutil.rmtree(folder, ignore_errors=True)


def _places() -> list[Path]:
    places = [Path("/dev/shm")]  # noqa: S108 — mkdtemp makes a folder of our own in it
    with contextlib.suppress(FileNotFoundError):  # there is no writable one
        places.append(Path(tempfile.gettempdir()))
    return places


def _made(place: Path) -> Path:
    while True:
        folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=place))
        # Held until the last process that has it ends.
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if folder.is_dir():
            return folder
        os.close(descriptor)  # another broker that starts swept it before it was locked


def _sweep(place: Path) -> None:
    for folder in place.glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):  # it is somebody else's, in use, or gone
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(descriptor)
