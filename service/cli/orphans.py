"""``broker orphans``: tokens upstream that abandoned attempts have left."""

import click

from service.cli.api import Api, Json, RefusedError, UnavailableError, reaches_broker
from service.cli.parameters import STORE_HASH, examples
from service.cli.showing import as_json, progress, show_rows

_COLUMNS = ("store_hash", "attempt", "token_name", "started_at", "alive")


@click.group()
def orphans() -> None:
    """Find and delete tokens that attempts with an unknown outcome have left upstream.

    The broker does this by itself as soon as it has a token of the store to do it with. Only names that a signed intent proves to be this
    installation's are ever deleted; names that only look so are shown as unproven.
    """


@orphans.command(
    name="list",
    epilog=examples("broker orphans list", "broker orphans list abc123 --json"),
)
@click.argument("store_hash", type=STORE_HASH, required=False)
@as_json
@reaches_broker
def list_orphans(api: Api, store_hash: str | None, *, in_json: bool) -> None:
    """List the orphans of STORE_HASH, or of every store with an open attempt. ALIVE is '-' where no token at hand can look it up."""
    if store_hash:
        show_rows(_rows(store_hash, _found(api, store_hash)), _COLUMNS, in_json=in_json)
        return
    rows: list[Json] = []
    failed = False
    for name in progress(_stores_with_attempts(api), "looking for tokens"):
        try:
            rows += _rows(name, _found(api, name))
        except (RefusedError, UnavailableError) as error:
            # One store that cannot be looked at must not hide the others.
            click.echo(f"{name}: {error.format_message()}", err=True)
            failed = True
    show_rows(rows, _COLUMNS, in_json=in_json)
    if failed:
        raise UnavailableError("not every store could be looked at")


@orphans.command(
    epilog=examples(
        "broker orphans delete abc123",
        "broker orphans delete abc123 --no-dry-run",
        "broker orphans delete abc123 --no-dry-run --forget",
    )
)
@click.argument("store_hash", type=STORE_HASH)
@click.option(
    "--dry-run/--no-dry-run",
    default=True,
    show_default=True,
    help="Only show what would be deleted.",
)
@click.option(
    "--forget",
    is_flag=True,
    help="Also forget attempts that cannot be looked up, after you have seen in the control panel that no such token is there.",
)
@as_json
@reaches_broker
def delete(api: Api, store_hash: str, *, dry_run: bool, forget: bool, in_json: bool) -> None:
    """Delete the orphans of STORE_HASH upstream."""
    if dry_run:
        found = _found(api, store_hash)
    else:
        query = {"forget": "true"} if forget else None
        found = api.ask("DELETE", f"/v1/stores/{store_hash}/orphans", query=query)
    show_rows(_rows(store_hash, found), _COLUMNS, in_json=in_json)
    if not in_json:
        click.echo("nothing was deleted (--no-dry-run deletes)" if dry_run else "done")


def _found(api: Api, store_hash: str) -> Json:
    return api.ask("GET", f"/v1/stores/{store_hash}/orphans")


def _stores_with_attempts(api: Api) -> list[str]:
    return [s["store_hash"] for s in api.pages("/v1/stores", "stores") if s["attempts"]]


def _rows(store_hash: str, found: Json) -> list[Json]:
    proven = [{"store_hash": store_hash, **orphan} for orphan in found["orphans"]]
    unproven = [
        {"store_hash": store_hash, "attempt": "unproven", "token_name": name, "alive": True}
        for name in found["unproven"]
    ]
    return [*proven, *unproven]
