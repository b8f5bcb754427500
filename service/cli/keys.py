"""``broker keys``: the keyring's files."""

import base64
import os
import secrets
from datetime import UTC, datetime
from pathlib import Path

import click

from service.cli.parameters import examples
from service.core.keyring import KEY_BYTES, KEY_ID

_OWNER_ONLY = 0o600
_FOLDER_OWNER_ONLY = 0o700


@click.group()
def keys() -> None:
    """Look after the keyring."""


@keys.command(epilog=examples("broker keys new ./keyring", "broker keys new ./keyring --id k2"))
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--id", "key_id", help="The key's id; default: today's date, such as k20261123.")
def new(folder: Path, key_id: str | None) -> None:
    """Make a new key in FOLDER, and make it primary if it is the first.

    No existing file is ever changed. The key is made on this machine and only the file holds it: keep a copy where you keep the
    keys of your backups, because without it everything that is sealed is lost.
    """
    key_id = key_id or f"k{datetime.now(UTC):%Y%m%d}"
    if not KEY_ID.fullmatch(key_id):
        raise click.ClickException("a key id is 1 to 32 of a-z, 0-9, '-' and '_'")
    path = folder / f"{key_id}.key"
    try:
        folder.mkdir(mode=_FOLDER_OWNER_ONLY, parents=True, exist_ok=True)
        _write_new(path, base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode("ascii"))
    except FileExistsError as error:
        raise click.ClickException(f"{error.filename} exists already") from None
    except OSError as error:
        raise click.ClickException(f"{error.filename}: {error.strerror}") from None
    primary = folder / "primary"
    if not primary.exists():
        _write_new(primary, key_id)
        click.echo(f"{path} is the first key, and primary")
    else:
        click.echo(f"{path} is new; it seals once 'primary' names it and every replica has it")


def _write_new(path: Path, content: str) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    with os.fdopen(os.open(path, flags, _OWNER_ONLY), "w", encoding="ascii") as file:
        file.write(content + "\n")
