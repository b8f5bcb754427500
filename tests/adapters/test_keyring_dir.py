"""The keyring's directory: read as a whole, or refused as a whole."""

import base64
from collections.abc import Callable
from pathlib import Path

import pytest

from service.adapters.keyring_dir import KeyringDirectory
from service.core.keyring import Key, Keyring, KeyringError

SECRET = base64.b64encode(b"0123456789abcdefghijklmnopqrstuv").decode("ascii")


def _write(folder: Path, name: str, content: str, mode: int = 0o600) -> Path:
    path = folder / name
    path.write_text(content, "utf-8")
    path.chmod(mode)
    return path


def _ring(folder: Path) -> Keyring:
    return KeyringDirectory(str(folder), {}).read()


def _good(folder: Path) -> None:
    _write(folder, "k1.key", SECRET + "\n")
    _write(folder, "primary", "k1\n")


def test_all_keys_open_and_the_primary_seals(tmp_path: Path) -> None:
    """Other files of the directory are of no interest."""
    _good(tmp_path)
    _write(tmp_path, "k2.key", base64.b64encode(b"x" * 32).decode("ascii"), 0o640)
    _write(tmp_path, "README", "what this is")

    ring = _ring(tmp_path)

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
    "world-readable": (lambda folder: (folder / "k1.key").chmod(0o604), "by everybody"),
    "world-writable": (lambda folder: (folder / "k1.key").chmod(0o602), "by everybody"),
    "group-writable": (lambda folder: (folder / "k1.key").chmod(0o660), "written by its group"),
    "too long": (lambda folder: _write(folder, "k1.key", SECRET * 500), "k1.key is too long"),
    "primary for all": (lambda folder: (folder / "primary").chmod(0o644), "primary can be read"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_ring_with_a_fault_is_refused_as_a_whole(tmp_path: Path, fault: str) -> None:
    """The problem names the file and the rule, never the content."""
    _good(tmp_path)
    spoil, says = FAULTS[fault]
    spoil(tmp_path)

    with pytest.raises(KeyringError, match=says) as caught:
        _ring(tmp_path)

    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("mode", [0o400, 0o440, 0o600, 0o640])
def test_files_that_only_their_owner_can_change_are_taken(tmp_path: Path, mode: int) -> None:
    """0440 is what Kubernetes makes of a Secret's file for a pod with an fsGroup."""
    _good(tmp_path)
    (tmp_path / "k1.key").chmod(mode)

    assert _ring(tmp_path).key_ids == ("k1",)


def test_the_same_files_are_the_same_ring(tmp_path: Path) -> None:
    """So that whoever checks rings knows that there is nothing new; touched or copied files change nothing."""
    _good(tmp_path)
    directory = KeyringDirectory(str(tmp_path), {})
    first = directory.read()
    _good(tmp_path)

    again = directory.read()
    _write(tmp_path, "k2.key", base64.b64encode(b"x" * 32).decode("ascii"))

    assert again is first
    assert directory.read().key_ids == ("k1", "k2")


def test_the_swap_of_a_kubernetes_volume_is_seen_as_a_whole(tmp_path: Path) -> None:
    """All files are read behind ``..data``, whichever version it leads to; what is left of others does not count."""
    for version, key_id in (("..v1", "k1"), ("..v2", "k2")):
        (tmp_path / version).mkdir()
        _write(tmp_path / version, f"{key_id}.key", SECRET)
        _write(tmp_path / version, "primary", key_id, 0o440)
    (tmp_path / "k1.key").symlink_to("..data/k1.key")
    (tmp_path / "..data").symlink_to("..v1")
    directory = KeyringDirectory(str(tmp_path), {})
    before = directory.read().primary.key_id

    (tmp_path / "..new").symlink_to("..v2")
    (tmp_path / "..new").rename(tmp_path / "..data")

    assert (before, directory.read().primary.key_id) == ("k1", "k2")


class Service:
    """A key management service that reverses what it is given. Fulfils ``KeyWrapper``."""

    def __init__(self) -> None:
        self.away = False
        self.asked: list[str] = []

    def wrap(self, key_id: str, material: bytes) -> str:
        """See ``KeyWrapper.wrap``."""
        return f"{key_id}:{material[::-1].hex()}"

    def unwrap(self, key_id: str, wrapped: str) -> bytes:
        """See ``KeyWrapper.unwrap``."""
        self.asked.append(key_id)
        if self.away:
            raise KeyringError("the service is away")
        return bytes.fromhex(wrapped.removeprefix(f"{key_id}:"))[::-1]


MATERIAL = b"a wrapped key of thirty-two byte"


@pytest.fixture
def service() -> Service:
    """Who wraps."""
    return Service()


@pytest.fixture
def wrapped(tmp_path: Path, service: Service) -> KeyringDirectory:
    """A directory with a plain key and a wrapped one, which is primary."""
    _write(tmp_path, "k1.key", SECRET)
    _write(tmp_path, "k2.vault", service.wrap("k2", MATERIAL))
    _write(tmp_path, "primary", "k2")
    return KeyringDirectory(str(tmp_path), {"vault": service})


def test_a_wrapped_key_is_as_good_as_a_plain_one(wrapped: KeyringDirectory) -> None:
    """Both are in one ring."""
    ring = wrapped.read()

    assert (ring.key_ids, ring.primary.key_id) == (("k1", "k2"), "k2")
    assert ring.primary.mac("grant", b"x") == Key("k2", MATERIAL).mac("grant", b"x")


def test_a_wrapped_key_is_unwrapped_once(
    wrapped: KeyringDirectory, service: Service, tmp_path: Path
) -> None:
    """Not again when something else changes, even while the service is away; again when it changes itself."""
    wrapped.read()
    service.away = True
    _write(tmp_path, "k3.key", base64.b64encode(b"x" * 32).decode("ascii"))
    wrapped.read()
    service.away = False
    _write(tmp_path, "k2.vault", service.wrap("k2", MATERIAL[::-1]))
    wrapped.read()

    assert service.asked == ["k2", "k2"]


def test_while_the_service_is_away_there_is_no_ring(
    wrapped: KeyringDirectory, service: Service
) -> None:
    """A part of the keys would be another ring; it is asked again at the next look."""
    service.away = True
    with pytest.raises(KeyringError, match=r"k2\.vault: the service is away"):
        wrapped.read()
    service.away = False

    assert wrapped.read().key_ids == ("k1", "k2")


def test_what_unwraps_to_no_key_is_refused(
    wrapped: KeyringDirectory, service: Service, tmp_path: Path
) -> None:
    """A service may wrap anything."""
    _write(tmp_path, "k2.vault", service.wrap("k2", b"short"))

    with pytest.raises(KeyringError, match=r"k2\.vault does not hold 32 bytes"):
        wrapped.read()


def test_a_key_that_is_there_twice_is_refused(wrapped: KeyringDirectory, tmp_path: Path) -> None:
    """Nobody could tell which one counts."""
    _write(tmp_path, "k2.key", SECRET)

    with pytest.raises(KeyringError, match="k2 is there twice"):
        wrapped.read()


def test_a_missing_directory_is_refused(tmp_path: Path) -> None:
    """As one without keys."""
    with pytest.raises(KeyringError, match=r"no \*.key file"):
        _ring(tmp_path / "nowhere")
