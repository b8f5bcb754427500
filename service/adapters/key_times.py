"""When the keys of the keyring were made, for the metric that reminds of their rotation.

A key's id says so where it is a date, as ``broker keys new`` makes it. Otherwise its file does; in a mounted Kubernetes Secret that is when
the pod began.
"""

import contextlib
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

_SUFFIX = ".key"


class KeyTimes:
    """Looks at the files' names and times, never into them."""

    def __init__(self, folder: str, show: Callable[[Mapping[str, float]], None]) -> None:
        """Take the keyring's directory, and whom to show the moments: key id → seconds since 1970."""
        self._folder = Path(folder)
        self._show = show

    def look(self) -> None:
        """Show what there is."""
        made_at = {}
        for path in self._folder.glob(f"*{_SUFFIX}"):
            with contextlib.suppress(FileNotFoundError):  # it was removed in this moment
                made_at[path.stem] = _from_id(path.stem) or path.stat().st_mtime
        self._show(made_at)


def _from_id(key_id: str) -> float | None:
    try:
        return datetime.strptime(key_id, "k%Y%m%d").replace(tzinfo=UTC).timestamp()
    except ValueError:
        return None
