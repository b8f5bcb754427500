"""``KeyringSource``: locked until there is a usable ring, and then open."""

import base64
from collections.abc import Callable
from pathlib import Path

import pytest

from sandbox.demo.processes import wait_until
from service.adapters.keyring_dir import KeyringDirectory, KeyringError, read_keyring
from service.core.errors import LockedError
from service.core.keyring import Keyring

SECRET = base64.b64encode(b"0123456789abcdefghijklmnopqrstuv").decode("ascii")


def _write(folder: Path, name: str, content: str, mode: int = 0o600) -> Path:
    path = folder / name
    path.write_text(content, "utf-8")
    path.chmod(mode)
    return path


def _good(folder: Path) -> None:
    _write(folder, "k1.key", SECRET + "\n")
    _write(folder, "primary", "k1\n")


def test_all_keys_open_and_the_primary_seals(tmp_path: Path) -> None:
    """Other files of the directory are of no interest."""
    _good(tmp_path)
    _write(tmp_path, "k2.key", base64.b64encode(b"x" * 32).decode("ascii"), 0o640)
    _write(tmp_path, "README", "what this is")

    ring = read_keyring(tmp_path)

    assert (ring.key_ids, ring.primary.key_id) == (("k1", "k2"), "k1")


# what is wrong → how to make it so, and what the problem says
FAULTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "nothing there": (lambda folder: (folder / "k1.key").unlink(), r"no \*.key file"),
    "no primary": (lambda folder: (folder / "primary").unlink(), "primary cannot be read"),
    "primary of another": (lambda folder: _write(folder, "primary", "k9"), "does not name a key"),
    "empty primary": (lambda folder: _write(folder, "primary", ""), "does not name a key"),
    "short": (lambda folder: _write(folder, "k1.key", "c2hvcnQ="), "k1.key is not 32 bytes"),
    "not base64": (lambda folder: _write(folder, "k1.key", "!" * 44), "k1.key is not 32 bytes"),
    "not ASCII": (lambda folder: _write(folder, "k1.key", "é" * 22), "k1.key cannot be read"),
    "id": (lambda folder: _write(folder, "K 2.key", SECRET), "K 2.key is not 32 bytes"),
    "a folder": (lambda folder: (folder / "k2.key").mkdir(mode=0o700), "k2.key cannot be read"),
    "dangling": (lambda folder: (folder / "k2.key").symlink_to("gone"), "k2.key cannot be read"),
    "world-readable": (lambda folder: (folder / "k1.key").chmod(0o604), "read or written by every"),
    "world-writable": (lambda folder: (folder / "k1.key").chmod(0o602), "read or written by every"),
    "primary for all": (lambda folder: (folder / "primary").chmod(0o644), "primary can be read"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_ring_with_a_fault_is_refused_as_a_whole(tmp_path: Path, fault: str) -> None:
    """The problem names the file and the rule, never the content."""
    _good(tmp_path)
    spoil, says = FAULTS[fault]
    spoil(tmp_path)

    with pytest.raises(KeyringError, match=says) as caught:
        read_keyring(tmp_path)

    assert SECRET not in str(caught.value)


def test_a_missing_directory_is_refused(tmp_path: Path) -> None:
    """As one without keys."""
    with pytest.raises(KeyringError, match=r"no \*.key file"):
        read_keyring(tmp_path / "nowhere")


def test_locked_until_the_keys_appear_and_open_ever_after(tmp_path: Path) -> None:
    """It looks again by itself, tells meanwhile what is wrong, and keeps what it has read."""
    source = KeyringDirectory(str(tmp_path))
    with pytest.raises(LockedError) as caught:
        source()
    problem = source.problem
    _good(tmp_path)
    with pytest.raises(LockedError):
        source()

    def opened() -> Keyring | None:
        try:
            return source()
        except LockedError:
            return None

    wait_until("the ring is picked up", lambda: opened() is not None, 3)
    ring = source()
    (tmp_path / "k1.key").unlink()

    assert (caught.value.reason, caught.value.retry_after is not None) == ("locked", True)
    assert problem == "there is no *.key file in the keyring directory"
    assert source.problem == ""
    assert source() is ring


def test_a_ring_that_is_there_opens_at_the_first_use(tmp_path: Path) -> None:
    """No waiting at an ordinary start."""
    _good(tmp_path)

    assert KeyringDirectory(str(tmp_path))().primary.key_id == "k1"
