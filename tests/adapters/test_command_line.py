"""``broker``: what an operator types, and what stops a start."""

import base64
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from sandbox.demo.identities import Identities
from sandbox.demo.stack import write_access
from service import __version__
from service.adapters.keyring_dir import KeyringDirectory
from service.adapters.metrics import MULTIPROCESS
from service.cli import main
from service.outside import key_wrappers
from service.settings import Settings
from tests.support.key_services import Vault, serving

pytestmark = pytest.mark.usefixtures("logs_as_before")

FILE_MODE, FOLDER_MODE = 0o600, 0o700


def _run(*arguments: str, **settings: str) -> Result:
    # Without what this process itself was given.
    ours = {name: None for name in os.environ if name.startswith("BROKER_")}
    return CliRunner().invoke(main, arguments, env={**ours, "WEB_CONCURRENCY": None, **settings})


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture(autouse=True)
def _usual_umask() -> Iterator[None]:
    """As in most shells; the modes must not depend on it."""
    before = os.umask(0o022)
    yield
    os.umask(before)


def test_the_version_is_told() -> None:
    """And nothing else happens."""
    result = _run("--version")

    assert (result.exit_code, result.output) == (0, f"broker, version {__version__}\n")


def test_the_first_new_key_is_primary_and_its_owners_alone(tmp_path: Path) -> None:
    """The broker can read what the command made."""
    folder = tmp_path / "a" / "keyring"

    result = _run("keys", "new", str(folder), "--id", "k1")

    ring = KeyringDirectory(str(folder), {}).read()
    assert result.exit_code == 0
    assert "is the first key, and primary" in result.output
    assert (ring.key_ids, ring.primary.key_id) == (("k1",), "k1")
    assert _mode(folder) == FOLDER_MODE
    assert {_mode(path) for path in folder.iterdir()} == {FILE_MODE}
    assert (folder / "k1.key").read_text("ascii").strip() not in result.output


def test_a_further_key_does_not_become_primary(tmp_path: Path) -> None:
    """It seals only once every replica has it, which an operator decides."""
    _run("keys", "new", str(tmp_path), "--id", "k1")

    result = _run("keys", "new", str(tmp_path), "--id", "k2")

    ring = KeyringDirectory(str(tmp_path), {}).read()
    first, second = (base64.b64decode((tmp_path / f"{k}.key").read_bytes()) for k in ring.key_ids)
    assert "seals once 'primary' names it" in result.output
    assert ring.primary.key_id == "k1"
    assert first != second
    assert len(first) == len(second) == 32


def test_a_key_that_vault_wraps_is_nowhere_in_plain(tmp_path: Path) -> None:
    """What is in the file is Vault's; the broker's settings make it a key again."""
    token, folder = tmp_path / "token", tmp_path / "keyring"
    vault = Vault()
    token.write_text(vault.token, "ascii")
    with serving(vault):
        settings = {"BROKER_VAULT_URL": vault.url, "BROKER_VAULT_TOKEN_FILE": str(token)}
        result = _run("keys", "new", str(folder), "--id", "k1", "--wrap", "vault", **settings)
        wrappers = key_wrappers(Settings(vault_url=vault.url, vault_token_file=str(token)))
        ring = KeyringDirectory(str(folder), wrappers).read()

    assert result.exit_code == 0, result.output
    assert {path.name for path in folder.iterdir()} == {"k1.vault", "primary"}
    assert (folder / "k1.vault").read_text("ascii").startswith("vault:v1:")
    assert _mode(folder / "k1.vault") == FILE_MODE
    assert ring.key_ids == ("k1",)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({}, "BROKER_VAULT_URL is not set"),
        ({"BROKER_VAULT_URL": "http://vault.example"}, "BROKER_VAULT_URL: "),
        ({"BROKER_VAULT_URL": "https://vault.example"}, "BROKER_VAULT_TOKEN_FILE: needed with"),
    ],
)
def test_a_key_that_cannot_be_wrapped_is_not_made(
    tmp_path: Path, settings: dict[str, str], says: str
) -> None:
    """No file, not even a part of the ring."""
    folder = tmp_path / "keyring"

    result = _run("keys", "new", str(folder), "--wrap", "vault", **settings)

    assert result.exit_code == 1
    assert says in result.output
    assert not folder.exists()


def test_an_existing_key_is_never_overwritten(tmp_path: Path) -> None:
    """Without it everything that is sealed would be lost."""
    _run("keys", "new", str(tmp_path), "--id", "k1")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    result = _run("keys", "new", str(tmp_path), "--id", "k1")

    twin = _run("keys", "new", str(tmp_path), "--id", "k1", "--wrap", "vault")

    assert result.exit_code == twin.exit_code == 1
    assert "exists already" in result.output
    assert "exists already" in twin.output
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("beneath", ["", "keyring"])
def test_a_file_is_no_place_for_keys(tmp_path: Path, beneath: str) -> None:
    """One line that names it, and the file is as it was."""
    file = tmp_path / "file"
    file.write_text("content", "utf-8")

    result = _run("keys", "new", str(file / beneath), "--id", "k1")

    assert result.exit_code == 1
    assert result.output.startswith(f"Error: {file}")
    assert result.output.count("\n") == 1
    assert isinstance(result.exception, SystemExit)
    assert file.read_text("utf-8") == "content"


def test_a_key_is_named_after_the_day(tmp_path: Path) -> None:
    """Unless it is given another name."""
    _run("keys", "new", str(tmp_path))

    (key,) = tmp_path.glob("k20??????.key")
    assert (tmp_path / "primary").read_text("ascii").strip() == key.stem


@pytest.mark.parametrize("key_id", ["../k1", "K1", "a b", "-k", "k" * 33, "k1\n"])
def test_a_key_id_of_another_form_is_refused(tmp_path: Path, key_id: str) -> None:
    """It names a file and stands in every sealed value."""
    folder = tmp_path / "keyring"

    result = _run("keys", "new", str(folder), f"--id={key_id}")

    assert result.exit_code == 1
    assert not folder.exists()


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"BROKER_BIND": "nonsense"}, "Error: BROKER_BIND: "),
        ({"BROKER_REDIS_URL": "http://h"}, "Error: BROKER_REDIS_URL: begins with redis://"),
        ({"BROKER_UNKNOWN": "x"}, "Error: BROKER_UNKNOWN: there is no such setting"),
        ({"BROKER_UPSTREAM_URL": "http://h"}, "Error: BROKER_UPSTREAM_URL: plain HTTP needs"),
        ({"BROKER_ACCESS_FILE": "/nowhere/access.yaml"}, "Error: BROKER_ACCESS_FILE: /nowhere"),
    ],
)
def test_a_bad_setting_or_access_file_stops_the_start_with_one_line(
    settings: dict[str, str], says: str
) -> None:
    """Exit code 1, before anything listens."""
    result = _run("serve", **settings)

    assert result.exit_code == 1
    assert result.output.startswith(says)
    assert result.output.count("\n") == 1
    assert isinstance(result.exception, SystemExit)


def test_several_workers_get_one_place_to_count_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set before the metrics library is imported, because it looks only then."""
    monkeypatch.setenv(MULTIPROCESS, "to be removed at the end of the test")
    monkeypatch.delenv(MULTIPROCESS)

    result = _run("serve", WEB_CONCURRENCY="2", BROKER_ACCESS_FILE="/nowhere/access.yaml")

    folder = Path(os.environ[MULTIPROCESS])
    assert result.exit_code == 1
    assert _mode(folder) == FOLDER_MODE
    folder.rmdir()


def test_every_command_explains_itself() -> None:
    """``--help`` says what each is for."""
    assert isinstance(main, click.Group)
    for name in main.commands:
        result = _run(name, "--help")
        assert result.exit_code == 0
        assert len(result.output.splitlines()) > 3


def test_a_signing_key_that_is_none_stops_the_start(tmp_path: Path) -> None:
    """One line, which says what is wrong and nothing of what is in the file."""
    access = write_access(tmp_path, Identities())
    key = tmp_path / "audit.pem"
    key.write_text("canary7zq", "ascii")
    key.chmod(0o600)

    result = _run("serve", BROKER_ACCESS_FILE=str(access), BROKER_AUDIT_SIGNING_KEY_FILE=str(key))

    assert result.exit_code == 1
    assert result.output.startswith("Error: BROKER_AUDIT_SIGNING_KEY_FILE: it is not a private key")
    assert result.output.count("\n") == 1
    assert "canary7zq" not in result.output
