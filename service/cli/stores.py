"""``broker stores``: over the HTTP API, as any caller. Passwords and tokens come from a prompt or a file, never from an argument."""

from typing import Any

import click

from service.cli.api import Api, Json, reaches_broker, read_secret
from service.cli.parameters import STORE_HASH, examples
from service.cli.showing import as_json, show_one, show_rows

_COLUMNS = (
    "store_hash",
    "status",
    "reason",
    "token_style",
    "generation",
    "deprecated",
    "live_references",
    "last_used_at",
    "locked",
)
_email = click.option("--email", help="The administrator's; default: asked for.")
_password_file = click.option("--password-file", help="File with the password; default: asked for.")
_access_token_file = click.option(
    "--access-token-file",
    help="File with the token of a BigCommerce API account, instead of e-mail and password.",
)


@click.group()
def stores() -> None:
    """Register stores, and look after their tokens."""


@stores.command(
    epilog=examples(
        "broker stores put abc123 --email owner@shop.example",
        "broker stores put abc123 --email owner@shop.example --password-file /run/secrets/password --retain",
        "broker stores put abc123 --access-token-file /run/secrets/access-token",
    )
)
@click.argument("store_hash", type=STORE_HASH)
@_email
@_password_file
@_access_token_file
@click.option(
    "--retain", is_flag=True, help="Keep the password, sealed, for rotation and self-repair."
)
@as_json
@reaches_broker
def put(  # noqa: PLR0913 — one parameter for each option
    api: Api,
    store_hash: str,
    email: str | None,
    password_file: str | None,
    access_token_file: str | None,
    *,
    retain: bool,
    in_json: bool,
) -> None:
    """Register STORE_HASH, or give it another credential."""
    body: Json = {"credential": _credential(email, password_file, access_token_file)}
    if retain:
        body["retain"] = True
    show_one(api.ask("PUT", f"/v1/stores/{store_hash}", body), in_json=in_json)


@stores.command(
    name="list", epilog=examples("broker stores list", "broker stores list --deprecated")
)
@click.option(
    "--deprecated/--not-deprecated",
    default=None,
    help="Only those with an authToken, or only those without.",
)
@as_json
@reaches_broker
def list_stores(api: Api, *, deprecated: bool | None, in_json: bool) -> None:
    """List the stores that you may see."""
    query = None if deprecated is None else {"deprecated": str(deprecated).lower()}
    found = list(api.pages("/v1/stores", "stores", query))
    if not in_json:
        found = [{**store, "locked": store["lock"] is not None} for store in found]
    show_rows(found, _COLUMNS, in_json=in_json)


@stores.command(
    epilog=examples("broker stores show abc123", "broker stores show abc123 --json | jq -r .status")
)
@click.argument("store_hash", type=STORE_HASH)
@as_json
@reaches_broker
def show(api: Api, store_hash: str, *, in_json: bool) -> None:
    """Show everything about STORE_HASH."""
    show_one(api.ask("GET", f"/v1/stores/{store_hash}"), in_json=in_json)


@stores.command(
    epilog=examples("broker stores rotate abc123", "broker stores rotate abc123 --new-credential")
)
@click.argument("store_hash", type=STORE_HASH)
@click.option(
    "--new-credential",
    is_flag=True,
    help="Give a credential; default: the one that is mounted or retained.",
)
@_email
@_password_file
@_access_token_file
@as_json
@reaches_broker
def rotate(  # noqa: PLR0913 — one parameter for each option
    api: Api,
    store_hash: str,
    email: str | None,
    password_file: str | None,
    access_token_file: str | None,
    *,
    new_credential: bool,
    in_json: bool,
) -> None:
    """Give STORE_HASH a new token. The old one stays for a while, for a rollback, and is then deleted."""
    body: Json = {}
    if new_credential or email or password_file or access_token_file:
        body["credential"] = _credential(email, password_file, access_token_file)
    show_one(api.ask("POST", f"/v1/stores/{store_hash}/rotate", body), in_json=in_json)


@stores.command(epilog=examples("broker stores rollback abc123"))
@click.argument("store_hash", type=STORE_HASH)
@as_json
@reaches_broker
def rollback(api: Api, store_hash: str, *, in_json: bool) -> None:
    """Make the previous token of STORE_HASH the active one again."""
    show_one(api.ask("POST", f"/v1/stores/{store_hash}/rollback"), in_json=in_json)


@stores.command(
    epilog=examples("broker stores migrate abc123 --access-token-file /run/secrets/access-token")
)
@click.argument("store_hash", type=STORE_HASH)
@click.option(
    "--access-token-file",
    help="File with the token of a BigCommerce API account; default: asked for.",
)
@as_json
@reaches_broker
def migrate(api: Api, store_hash: str, access_token_file: str | None, *, in_json: bool) -> None:
    """Move STORE_HASH from its authToken to X-Auth-Token.

    The access token is tried with one harmless read before it takes over. References go on working; the authToken stays for a while, for a
    rollback, and is then deleted.
    """
    token = _access_token(access_token_file)
    show_one(api.ask("PUT", f"/v1/stores/{store_hash}", {"credential": token}), in_json=in_json)


@stores.command(epilog=examples("broker stores remove abc123", "broker stores remove abc123 --yes"))
@click.argument("store_hash", type=STORE_HASH)
@click.option("--yes", is_flag=True, help="Do not ask.")
@as_json
@reaches_broker
def remove(api: Api, store_hash: str, *, yes: bool, in_json: bool) -> None:
    """Remove STORE_HASH: its references, its token upstream, its record. A lock on it stays."""
    if not yes:
        click.confirm(
            f"Revoke the references of {store_hash}, delete its token upstream, and forget it?",
            abort=True,
        )
    api.ask("DELETE", f"/v1/stores/{store_hash}")
    show_one({"store_hash": store_hash, "removed": True}, in_json=in_json)


def _credential(
    email: str | None, password_file: str | None, access_token_file: str | None
) -> dict[str, Any]:
    if access_token_file:
        return _access_token(access_token_file)
    email = email or click.prompt("E-mail")
    password = (
        read_secret(password_file) if password_file else click.prompt("Password", hide_input=True)
    )
    return {"kind": "b2b_password", "email": email, "password": password}


def _access_token(path: str | None) -> dict[str, Any]:
    token = read_secret(path) if path else click.prompt("Access token", hide_input=True)
    return {"kind": "access_token", "access_token": token}
