"""The keyring from a mounted directory. Fulfils ``KeyringSource``.

``<key id>.key`` holds 32 random bytes in base64; ``primary`` holds the id of the key that seals. While the directory holds no usable
ring the broker is locked; it looks again, at most once a second, whenever a keyring is needed, so it unlocks by itself.
"""

import base64
import binascii
import stat
import threading
import time
from datetime import timedelta
from pathlib import Path

from service.core.errors import LockedError
from service.core.keyring import Key, Keyring

_AGAIN = timedelta(seconds=5)
_LOOK_EVERY_SECONDS = 1.0
_SUFFIX = ".key"


class KeyringError(Exception):
    """The directory holds no usable keyring. The text names files, never their content."""


class KeyringDirectory:
    """Gives the keyring, once there is one."""

    def __init__(self, folder: str) -> None:
        self._folder = Path(folder)
        self._keyring: Keyring | None = None
        self._looked_at = -_LOOK_EVERY_SECONDS
        self._lock = threading.Lock()
        self.problem = "not read yet"

    def __call__(self) -> Keyring:
        """Return the keyring.

        Raises:
            LockedError: There is none yet.
        """
        keyring = self._keyring or self._look()
        if keyring is None:
            raise LockedError(
                "The broker is locked: it has no keyring.", reason="locked", retry_after=_AGAIN
            )
        return keyring

    def _look(self) -> Keyring | None:
        with self._lock:
            if self._keyring is None and time.monotonic() - self._looked_at >= _LOOK_EVERY_SECONDS:
                self._looked_at = time.monotonic()
                try:
                    self._keyring = read_keyring(self._folder)
                    self.problem = ""
                except KeyringError as error:
                    self.problem = str(error)
        return self._keyring


def read_keyring(folder: Path) -> Keyring:
    """Return the keyring of a directory.

    Raises:
        KeyringError: Something is missing, unreadable, malformed, or readable by everybody.
    """
    keys = {}
    for path in sorted(folder.glob(f"*{_SUFFIX}")):
        key_id = path.name.removesuffix(_SUFFIX)
        try:
            keys[key_id] = Key(key_id, base64.b64decode(_read(path), validate=True))
        except (ValueError, binascii.Error):
            raise KeyringError(f"{path.name} is not 32 bytes in base64 under a valid id") from None
    if not keys:
        raise KeyringError(f"there is no *{_SUFFIX} file in the keyring directory")
    try:
        return Keyring(keys, _read(folder / "primary"))
    except ValueError:
        raise KeyringError("'primary' does not name a key of the ring") from None


def _read(path: Path) -> str:
    try:
        if path.stat().st_mode & (stat.S_IROTH | stat.S_IWOTH):
            raise KeyringError(
                f"{path.name} can be read or written by everybody (chmod o= {path.name})"
            )
        return path.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError):
        raise KeyringError(f"{path.name} cannot be read") from None
