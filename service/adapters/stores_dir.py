"""Stores' credentials from a directory that the operator mounts. Fulfils ``MountedCredentials``.

``<store hash>/email`` and ``<store hash>/password``, or ``<store hash>/access_token``, which counts before the other two. The files are
read when they are needed and kept nowhere. Kubernetes swaps all files of a volume at once by its ``..data`` link; the link is followed once
for a whole look, so that an e-mail and a password always come from the same version.

A store whose files cannot be used has no mounted credential, and ``problem`` says which and why.

Source: DESIGN §5; security.md §5.5.
"""

import re
import stat
from collections.abc import Mapping
from pathlib import Path

from service.core.credential import AccessToken, B2BPassword, Credential
from service.core.secret import Secret

_STORE_HASH = re.compile(r"[a-z0-9]{4,20}", re.ASCII)
_ACCESS_TOKEN = re.compile(r"[A-Za-z0-9]{20,128}", re.ASCII)
_LARGEST = 4096
_NAMES = ("email", "password", "access_token")


class _UnusableError(Exception):
    """A file cannot be used; the text names it and the rule."""


class StoresDirectory:
    """Reads mounted credentials."""

    def __init__(self, folder: str) -> None:
        """Take the directory; empty for none."""
        self._folder = Path(folder) if folder else None
        #: store hash → what is wrong with its files
        self._problems: dict[str, str] = {}

    @property
    def problem(self) -> str:
        """Which stores' files cannot be used, and why; empty if all can."""
        return "; ".join(self._problems.values())

    def find(self, store_hash: str) -> Credential | None:
        """See ``MountedCredentials.find``."""
        try:
            folder = self._store_folder(store_hash)
            found = _credential(folder) if folder else None
        except _UnusableError as error:
            self._problems[store_hash] = f"{store_hash}/{error}"
            return None
        except OSError:
            self._problems[store_hash] = f"{store_hash}/ cannot be read"
            return None
        self._problems.pop(store_hash, None)
        return found

    def versions(self) -> Mapping[str, object]:
        """See ``MountedCredentials.versions``."""
        try:
            root = _resolved(self._folder)
            paths = sorted(root.iterdir()) if root else []
        except OSError:  # it may have been swapped in this moment; the next look tells
            self._problems = {"": "the directory cannot be read"}
            return {}
        found: dict[str, object] = {}
        for path in paths:
            version = _versions(path) if _STORE_HASH.fullmatch(path.name) else None
            if version is not None:
                found[path.name] = version
        # What is not mounted any more is nobody's concern.
        self._problems = {name: why for name, why in self._problems.items() if name in found}
        return found

    def _store_folder(self, store_hash: str) -> Path | None:
        root = _resolved(self._folder)
        return _resolved(root / store_hash) if root else None


def _resolved(folder: Path | None) -> Path | None:
    """Return a directory as it is at this moment: behind ``..data``, where Kubernetes has one."""
    if folder is None or not folder.is_dir():
        return None
    data = folder / "..data"
    return data.resolve() if data.is_dir() else folder


def _versions(path: Path) -> tuple[object, ...] | None:
    """Return the versions of a store's files, in their order; None if it has no folder, nothing if that cannot be read."""
    try:
        folder = _resolved(path)
    except OSError:
        return ()
    return tuple(_version(folder / name) for name in _NAMES) if folder else None


def _version(path: Path) -> object:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size


def _credential(folder: Path) -> Credential | None:
    token = _read(folder / "access_token")
    if token is not None:
        if not _ACCESS_TOKEN.fullmatch(token.reveal()):
            raise _UnusableError("access_token is 20 to 128 letters and digits")
        return AccessToken(token)
    email, password = _read(folder / "email"), _read(folder / "password")
    if email is None and password is None:
        return None
    if email is None or password is None:
        raise _UnusableError("email and password go together")
    return B2BPassword(email, password)


def _read(path: Path) -> Secret | None:
    """Return the content of a file without the line's end that editors leave; None if there is no such file."""
    try:
        if path.stat().st_mode & (stat.S_IROTH | stat.S_IWOTH):
            raise _UnusableError(f"{path.name} can be read or written by everybody")
        with path.open("r", encoding="utf-8", newline="") as file:
            content = file.read(_LARGEST + 1)
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError):
        raise _UnusableError(f"{path.name} cannot be read") from None
    content = content.removesuffix("\n").removesuffix("\r")
    if not content or len(content) > _LARGEST or not content.isprintable():
        raise _UnusableError(f"{path.name} is one line of text, not empty")
    return Secret(content)
