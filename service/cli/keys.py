"""``broker keys``: making keys, offline; and, over the HTTP API, who has which, sealing everything again, and letting go of one."""

import base64
import os
import secrets
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import click

from service.adapters.keyring_dir import PLAIN, KeyWrapper
from service.cli.api import Api, Json, RefusedError, UnavailableError, reaches_broker
from service.cli.parameters import examples
from service.cli.showing import as_json, show_one, show_rows
from service.core.keyring import KEY_BYTES, KEY_ID, KeyringError

_OWNER_ONLY = 0o600
_FOLDER_OWNER_ONLY = 0o700
_POLL_SECONDS = 0.5
_COLUMNS = ("key_id", "primary", "stores", "references", "intents", "known_by", "missing_in")


@click.group()
def keys() -> None:
    """Look after the keyring.

    To change keys: make a new one (new) and give it to every replica; name it in the file 'primary' and wait until list shows it as
    primary; seal everything again (rewrap); let go of the old one (retire); then take its file away, and keep it with your backups.
    """


@keys.command(epilog=examples("broker keys new ./keyring", "broker keys new ./keyring --id k2"))
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--id", "key_id", help="The key's id; default: today's date, such as k20261123.")
@click.option(
    "--wrap",
    type=click.Choice(["vault", "aws-kms"]),
    help="Have the key wrapped by this service, as the BROKER_VAULT_ or BROKER_AWS_ settings say, so that the key itself is in no file.",
)
def new(folder: Path, key_id: str | None, wrap: str | None) -> None:
    """Make a new key in FOLDER, and make it primary if it is the first.

    No existing file is ever changed. The key is made on this machine and only the file holds it: keep a copy where you keep the
    keys of your backups, because without it everything that is sealed is lost.
    """
    key_id = key_id or f"k{datetime.now(UTC):%Y%m%d}"
    if not KEY_ID.fullmatch(key_id):
        raise click.ClickException("a key id is 1 to 32 of a-z, 0-9, '-' and '_'")
    path = folder / f"{key_id}.{wrap or PLAIN}"
    _refuse_twins(folder, key_id)
    content = _content(key_id, wrap)
    try:
        folder.mkdir(mode=_FOLDER_OWNER_ONLY, parents=True, exist_ok=True)
        _write_new(path, content)
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


@keys.command(name="list", epilog=examples("broker keys list", "broker keys list --json"))
@as_json
@reaches_broker
def list_keys(api: Api, *, in_json: bool) -> None:
    """Show the keys: which one seals, how many stored values need each, and which live replicas have it."""
    _show(api.ask("GET", "/v1/keys"), in_json=in_json)


@keys.command(epilog=examples("broker keys rewrap", "broker keys rewrap --no-wait"))
@click.option("--wait/--no-wait", default=True, show_default=True, help="Wait until it is done.")
@as_json
@reaches_broker
def rewrap(api: Api, *, wait: bool, in_json: bool) -> None:
    """Seal everything that is stored again under the primary key.

    The broker does it in the background, while requests go on. It may be interrupted, and asked for again, at any time.
    Exit code 1: something was altered, or needs a key that is gone, and cannot be sealed again.
    """
    progress = api.ask("POST", "/v1/keys/rewrap")
    if wait:
        progress = _waited(api, progress)
    show_one(progress, in_json=in_json)
    if progress["altered"]:
        raise RefusedError(f"{progress['altered']} stored values cannot be sealed again")


@keys.command(epilog=examples("broker keys retire k1"))
@click.argument("key_id")
@as_json
@reaches_broker
def retire(api: Api, key_id: str, *, in_json: bool) -> None:
    """Let go of KEY_ID, so that its file can be taken away. Refused while anything needs it or any replica seals with it."""
    _show(api.ask("POST", f"/v1/keys/{key_id}/retire"), in_json=in_json)
    if not in_json:
        click.echo(f"{key_id} is needed no more: take its file away, and keep it with the backups")


def _show(found: Json, *, in_json: bool) -> None:
    if in_json:
        show_one(found, in_json=True)
        return
    rows = [
        {**key, **{f"{kind}s": count for kind, count in key["records"].items()}}
        for key in found["keys"]
    ]
    show_rows(rows, _COLUMNS, in_json=False)
    if not any(key["primary"] and key["key_id"] == found["wanted"] for key in found["keys"]):
        click.echo(f"{found['wanted']} is to be primary, and will be once every replica has it")
    if found["malformed"]:
        click.echo(f"{found['malformed']} stored values do not say which key they need: altered")


def _waited(api: Api, progress: Json) -> Json:
    """Wait until it is done, telling people how far it is, and return the end."""
    to, told = progress["to"], sys.stderr.isatty()
    while progress["state"] in ("wanted", "running"):
        time.sleep(_POLL_SECONDS)
        progress = api.ask("GET", "/v1/keys/rewrap")
        if progress["state"] == "none":
            raise UnavailableError("it is not noted any more that this was asked for: ask again")
        if progress["to"] != to:
            to = progress["to"]
            click.echo(f"{to} is primary now: everything is sealed again under that", err=True)
        if told:
            click.echo(f"\r{progress['rewrapped']} sealed again", nl=False, err=True)
    if told:
        click.echo(err=True)
    return progress


def _refuse_twins(folder: Path, key_id: str) -> None:
    for twin in folder.glob(f"{key_id}.*"):
        raise click.ClickException(f"{twin} exists already")


def _content(key_id: str, wrap: str | None) -> str:
    material = secrets.token_bytes(KEY_BYTES)
    if wrap is None:
        return base64.b64encode(material).decode("ascii")
    try:
        return _wrapper(wrap).wrap(key_id, material)
    except KeyringError as error:
        raise click.ClickException(str(error)) from None


def _wrapper(wrap: str) -> KeyWrapper:
    from service.outside import key_wrappers
    from service.settings import SettingsError, load_settings

    try:
        return key_wrappers(load_settings())[wrap]
    except SettingsError as error:
        raise click.ClickException(str(error)) from None


def _write_new(path: Path, content: str) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    with os.fdopen(os.open(path, flags, _OWNER_ONLY), "w", encoding="ascii") as file:
        file.write(content + "\n")
