"""The directory of mounted credentials: what is read, what is refused, and what a swap of the volume does."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from service.adapters.stores_dir import StoresDirectory
from service.core.credential import AccessToken, B2BPassword, Credential
from tests.support.world import STORE

OTHER = "zzz999"
TOKEN = "abcdefghijklmnopqrstuvwxyz01234"
NOBODY = 65534


def write(folder: Path, **files: str | bytes) -> None:
    """Write files that only their owner can read."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        path = folder / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        path.chmod(0o600)


def values(credential: Credential | None) -> tuple[str, ...]:
    """Return what a credential is made of."""
    if credential is None:
        return ()
    if isinstance(credential, AccessToken):
        return (credential.token.reveal(),)
    assert isinstance(credential, B2BPassword)
    return credential.email.reveal(), credential.password.reveal()


def mount(root: Path, version: str, **stores: dict[str, str]) -> None:
    """Write a version of a volume as the kubelet does: a new folder, and ``..data`` swapped to it in one step."""
    for store_hash, files in stores.items():
        write(root / version / store_hash, **files)
        link = root / store_hash
        if not link.is_symlink():
            link.symlink_to(Path("..data") / store_hash)
    fresh = root / "..data_tmp"
    fresh.symlink_to(version)
    fresh.rename(root / "..data")


@pytest.fixture
def directory(tmp_path: Path) -> StoresDirectory:
    """An empty directory."""
    return StoresDirectory(str(tmp_path))


@pytest.fixture
def unprivileged() -> Iterator[None]:
    """Be somebody to whom permissions apply."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.parametrize("folder", ["", "/nowhere/at/all"])
def test_no_directory_has_no_credentials(folder: str) -> None:
    """Mounting is optional, and the volume may come later."""
    directory = StoresDirectory(folder)

    assert (directory.find(STORE), directory.versions(), directory.problem) == (None, {}, "")


def test_e_mail_and_password_are_a_credential(tmp_path: Path, directory: StoresDirectory) -> None:
    """Without the line's end that editors leave, and with everything else."""
    write(tmp_path / STORE, email="a@b.example\n", password=" p w \r\n")

    assert values(directory.find(STORE)) == ("a@b.example", " p w ")
    assert directory.find(OTHER) is None
    assert directory.problem == ""


def test_an_access_token_counts_before_a_password(
    tmp_path: Path, directory: StoresDirectory
) -> None:
    """It is what a store moves to."""
    write(tmp_path / STORE, email="a@b.example", password="p", access_token=TOKEN + "\n")

    assert values(directory.find(STORE)) == (TOKEN,)


@pytest.mark.parametrize(
    ("files", "problem"),
    [
        ({"email": "a@b.example"}, "email and password go together"),
        ({"password": "canary"}, "email and password go together"),
        ({"email": "a@b.example", "password": ""}, "password is one line"),
        ({"email": "a@b.example", "password": "\n"}, "password is one line"),
        ({"email": "a@b.example", "password": "a\nb"}, "password is one line"),
        ({"email": "a@b.example", "password": "a\n\n"}, "password is one line"),
        ({"email": "a@b.example", "password": "a\x00b"}, "password is one line"),
        ({"email": "a@b.example", "password": "x" * 4097}, "password is one line"),
        ({"email": b"\xff\xfe", "password": "canary"}, "email cannot be read"),
        ({"access_token": "a" * 19}, "access_token"),
        ({"access_token": "a" * 129}, "access_token"),
        ({"access_token": "schlüssel" * 4}, "access_token"),
        ({"access_token": "ключключключключключ"}, "access_token"),
        ({"access_token": "a" * 20 + ": x"}, "access_token"),
        ({"access_token": ""}, "access_token is one line"),
    ],
)
def test_files_that_cannot_be_used_are_no_credential_and_are_told(
    tmp_path: Path, directory: StoresDirectory, files: dict[str, str | bytes], problem: str
) -> None:
    """Which store, which file, which rule; never what is in it."""
    write(tmp_path / STORE, **files)

    assert directory.find(STORE) is None
    assert directory.problem.startswith(f"{STORE}/")
    assert problem in directory.problem
    assert all(str(content)[:8] not in directory.problem for content in files.values() if content)


@pytest.mark.parametrize("mode", [0o604, 0o602, 0o644, 0o666])
@pytest.mark.parametrize("name", ["email", "password"])
def test_files_that_everybody_can_read_are_no_credential(
    tmp_path: Path, directory: StoresDirectory, name: str, mode: int
) -> None:
    """They are no secret; for the group they may be."""
    write(tmp_path / STORE, email="a@b.example", password="p")
    (tmp_path / STORE / name).chmod(mode)

    assert directory.find(STORE) is None
    assert directory.problem == f"{STORE}/{name} can be read or written by everybody"
    (tmp_path / STORE / name).chmod(0o640)
    assert directory.find(STORE) is not None
    assert directory.problem == ""


def test_a_folder_in_the_place_of_a_file_is_no_credential(
    tmp_path: Path, directory: StoresDirectory
) -> None:
    """Whatever else it may be."""
    write(tmp_path / STORE, email="a@b.example")
    (tmp_path / STORE / "password").mkdir(mode=0o700)

    assert directory.find(STORE) is None
    assert directory.problem == f"{STORE}/password cannot be read"


@pytest.mark.usefixtures("unprivileged")
@pytest.mark.parametrize("closed", ["file", "store", "root"])
def test_what_cannot_be_read_is_told_and_harms_nobody(closed: str) -> None:
    """Neither a request nor maintenance fails because of a wrong mode of the volume."""
    root = Path(f"/tmp/stores-{os.getpid()}-{closed}")  # noqa: S108 — where somebody without rights can write
    write(root / STORE, email="a@b.example", password="p")
    write(root / OTHER, email="a@b.example", password="p")
    path = {"file": root / STORE / "password", "store": root / STORE, "root": root}[closed]
    path.chmod(0o000)
    directory = StoresDirectory(str(root))
    try:
        found = [values(directory.find(name)) for name in (STORE, OTHER)]
        versions = directory.versions()
        problem = directory.problem
    finally:
        path.chmod(0o700)
        for folder in (root / STORE, root / OTHER):
            for file in folder.iterdir():
                file.unlink()
            folder.rmdir()
        root.rmdir()

    assert found[0] == ()
    assert (found[1] != ()) is (closed != "root")
    assert (OTHER in versions) is (closed != "root")
    assert "cannot be read" in problem


def change_password(root: Path) -> None:
    """Change one file in its place."""
    write(root / STORE, password="another")


def replace_file(root: Path) -> None:
    """Change one file by renaming another over it; its time and size stay."""
    path = root / STORE / "password"
    found = path.stat()
    write(root / STORE, other="q")
    os.utime(root / STORE / "other", ns=(found.st_atime_ns, found.st_mtime_ns))
    (root / STORE / "other").rename(path)


def add_token(root: Path) -> None:
    """Add a file."""
    write(root / STORE, access_token=TOKEN)


def take_away(root: Path) -> None:
    """Remove a file."""
    (root / STORE / "password").unlink()


@pytest.mark.parametrize("change", [change_password, replace_file, add_token, take_away])
def test_a_change_of_any_file_changes_the_stores_version(
    tmp_path: Path, directory: StoresDirectory, change: Callable[[Path], None]
) -> None:
    """And no other's; as long as nothing changes the version does not."""
    write(tmp_path / STORE, email="a@b.example", password="p")
    write(tmp_path / OTHER, email="a@b.example", password="p")
    before, again = directory.versions(), directory.versions()

    change(tmp_path)
    after = directory.versions()

    assert before == again
    assert before[STORE] != after[STORE]
    assert before[OTHER] == after[OTHER]


def test_only_stores_are_looked_at(tmp_path: Path, directory: StoresDirectory) -> None:
    """Not what a volume has beside them."""
    for name in ("..2026_11_23", "lost+found", "UPPER", "abc", "a" * 21, ".hidden", STORE):
        write(tmp_path / name, email="a@b.example", password="p")
    write(tmp_path, zzz999="a file")

    assert list(directory.versions()) == [STORE]


def test_a_swap_of_the_volume_changes_all_files_at_once(
    tmp_path: Path, directory: StoresDirectory
) -> None:
    """An e-mail and a password always come from the same version."""
    mount(tmp_path, "..1", abc123={"email": "one@b.example", "password": "one"})
    before, first = values(directory.find(STORE)), directory.versions()

    mount(tmp_path, "..2", abc123={"email": "two@b.example", "password": "two"})

    assert before == ("one@b.example", "one")
    assert values(directory.find(STORE)) == ("two@b.example", "two")
    assert directory.versions() != first


def test_a_volume_for_each_store_is_swapped_as_well(
    tmp_path: Path, directory: StoresDirectory
) -> None:
    """The link is in the store's own folder then."""
    folder = tmp_path / STORE
    write(folder / "..1", email="one@b.example", password="one")
    (folder / "..data").symlink_to("..1")
    for name in ("email", "password"):
        (folder / name).symlink_to(Path("..data") / name)

    before = values(directory.find(STORE))
    write(folder / "..2", email="two@b.example", password="two")
    (folder / "..tmp").symlink_to("..2")
    (folder / "..tmp").rename(folder / "..data")

    assert before == ("one@b.example", "one")
    assert values(directory.find(STORE)) == ("two@b.example", "two")


def test_a_volume_that_vanishes_in_the_middle_has_no_stores(tmp_path: Path) -> None:
    """The kubelet removes the old version as soon as the new one is there; the next look finds that."""

    class Vanishing(type(tmp_path)):  # type: ignore[misc]  # the path of this platform
        """Is gone as soon as somebody has seen that it is there."""

        def iterdir(self) -> Iterator[Path]:
            """See ``Path.iterdir``."""
            raise FileNotFoundError

    directory = StoresDirectory(str(tmp_path))
    directory._folder = Vanishing(tmp_path)

    assert directory.versions() == {}


def test_a_problem_ends_with_the_store(tmp_path: Path, directory: StoresDirectory) -> None:
    """What is not mounted any more is nobody's concern."""
    write(tmp_path / STORE, email="a@b.example")
    directory.find(STORE)
    told = directory.problem
    (tmp_path / STORE / "email").unlink()
    (tmp_path / STORE).rmdir()

    directory.versions()

    assert told
    assert directory.problem == ""


def test_several_problems_are_told_together(tmp_path: Path, directory: StoresDirectory) -> None:
    """Each store once."""
    for name in (STORE, OTHER):
        write(tmp_path / name, email="a@b.example")
        directory.find(name)
        directory.find(name)

    assert directory.problem.split("; ") == [
        f"{STORE}/email and password go together",
        f"{OTHER}/email and password go together",
    ]


def test_an_empty_folder_is_no_credential_and_no_problem(
    tmp_path: Path, directory: StoresDirectory
) -> None:
    """The Secret may not have been filled yet."""
    (tmp_path / STORE).mkdir()

    assert directory.find(STORE) is None
    assert directory.problem == ""
