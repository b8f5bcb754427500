"""The keyring from a mounted directory.

``<key id>.key`` holds 32 random bytes in base64; ``primary`` holds the id of the key that seals. Instead of ``.key``, a key may be kept
wrapped: ``<key id>.vault`` and ``<key id>.aws-kms`` hold what a key management service gave for it, and that service unwraps it, once
for each content of the file in the life of the process.

All files are read together: behind Kubernetes' ``..data`` link, which is followed once, they are of one version.
"""

import base64
import binascii
import hashlib
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from service.core.keyring import KEY_BYTES, Key, Keyring, KeyringError

PLAIN = "key"
_PRIMARY = "primary"
_LONGEST_FILE_BYTES = 8192
_FORBIDDEN = {
    stat.S_IROTH: ("read by everybody", "o="),
    stat.S_IWOTH: ("written by everybody", "o="),
    stat.S_IWGRP: ("written by its group", "g-w"),
}


class KeyWrapper(Protocol):
    """A key management service."""

    def wrap(self, key_id: str, material: bytes) -> str:
        """Return a key as it may be kept in a file: printable, one line, bound to the installation and the id.

        Raises:
            KeyringError: The service did not do it; the text never holds what it answered.
        """

    def unwrap(self, key_id: str, wrapped: str) -> bytes:
        """Return a key that was wrapped under this id.

        Raises:
            KeyringError: As ``wrap``.
        """


class KeyringDirectory:
    """Reads the directory, as often as it is asked to."""

    def __init__(self, folder: str, wrappers: Mapping[str, KeyWrapper]) -> None:
        """Take the directory, and who unwraps the files of each suffix."""
        self._folder = Path(folder)
        self._wrappers = wrappers
        self._read: tuple[str, Keyring] | None = None
        #: digest of a wrapped key's id and file → the key
        self._unwrapped: dict[str, Key] = {}

    def read(self) -> Keyring:
        """Return the keyring; the same object for as long as the files do not change.

        Raises:
            KeyringError: Something is missing, unreadable, malformed, open to others, or cannot be unwrapped.
        """
        files = self._files()
        digest = _digest(*(part for name in sorted(files) for part in (name, files[name])))
        if self._read is None or self._read[0] != digest:
            self._read = digest, self._keyring(files)
        return self._read[1]

    def _files(self) -> dict[str, str]:
        """Return the content of each file that matters, by name."""
        link = self._folder / "..data"
        folder = link.resolve() if link.exists() else self._folder
        names = {path.name for path in folder.glob("*.*") if path.suffix[1:] in self._suffixes}
        if not names:
            raise KeyringError("there is no *.key file in the keyring directory")
        return {name: _read(folder / name) for name in sorted({*names, _PRIMARY})}

    @property
    def _suffixes(self) -> set[str]:
        return {PLAIN, *self._wrappers}

    def _keyring(self, files: Mapping[str, str]) -> Keyring:
        keys: dict[str, Key] = {}
        unwrapped: dict[str, Key] = {}
        for name, content in files.items():
            if name == _PRIMARY:
                continue
            key_id, _, suffix = name.rpartition(".")
            if key_id in keys:
                raise KeyringError(f"{key_id} is there twice; take one of its files away")
            if suffix == PLAIN:
                keys[key_id] = _plain(name, key_id, content)
            else:
                digest = _digest(name, content)
                keys[key_id] = unwrapped[digest] = self._unwrap(name, content, digest)
        self._unwrapped = unwrapped
        try:
            return Keyring(keys, files[_PRIMARY])
        except ValueError:
            raise KeyringError("'primary' does not name a key of the ring") from None

    def _unwrap(self, name: str, content: str, digest: str) -> Key:
        known = self._unwrapped.get(digest)
        if known is not None:
            return known
        key_id, _, suffix = name.rpartition(".")
        try:
            return Key(key_id, self._wrappers[suffix].unwrap(key_id, content))
        except KeyringError as error:
            raise KeyringError(f"{name}: {error}") from None
        except ValueError:
            raise KeyringError(f"{name} does not hold 32 bytes under a valid id") from None


def _plain(name: str, key_id: str, content: str) -> Key:
    try:
        return Key(key_id, base64.b64decode(content, validate=True))
    except (ValueError, binascii.Error):
        raise KeyringError(f"{name} is not {KEY_BYTES} bytes in base64 under a valid id") from None


def _read(path: Path) -> str:
    try:
        mode = path.stat().st_mode
        for bit, (what, remedy) in _FORBIDDEN.items():
            if mode & bit:
                raise KeyringError(f"{path.name} can be {what} (chmod {remedy} {path.name})")
        with path.open("r", encoding="ascii") as file:
            content = file.read(_LONGEST_FILE_BYTES + 1)
    except (OSError, UnicodeDecodeError):
        raise KeyringError(f"{path.name} cannot be read") from None
    if len(content) > _LONGEST_FILE_BYTES:
        raise KeyringError(f"{path.name} is too long")
    return content.strip()


def _digest(*parts: str) -> str:
    digest = hashlib.sha256()
    for part in parts:
        content = part.encode("utf-8", "replace")
        digest.update(len(content).to_bytes(8, "big") + content)
    return digest.hexdigest()
