"""``broker references``: over the HTTP API, as any caller. A reference itself comes from a file, never from an argument."""

import click

from service.cli.api import Api, Json, reaches_broker, read_secret
from service.cli.parameters import ACCESSOR, STORE_HASH, examples
from service.cli.showing import as_json, show_one, show_rows

_COLUMNS = (
    "accessor",
    "audience",
    "access",
    "uses_left",
    "expires_at",
    "minted_by",
    "requests",
)


@click.group()
def references() -> None:
    """Look at references and revoke them."""


@references.command(
    name="list",
    epilog=examples(
        "broker references list abc123",
        "broker references list abc123 --json | jq -r '.[].minted_by' | sort | uniq -c",
    ),
)
@click.argument("store_hash", type=STORE_HASH)
@as_json
@reaches_broker
def list_references(api: Api, store_hash: str, *, in_json: bool) -> None:
    """List the live references of STORE_HASH, the first to expire first. The references themselves are stored nowhere."""
    pages = api.pages("/v1/references", "references", {"store_hash": store_hash})
    show_rows(list(pages), _COLUMNS, in_json=in_json)


@references.command(epilog=examples("broker references show cba_07qF…"))
@click.argument("accessor", type=ACCESSOR)
@as_json
@reaches_broker
def show(api: Api, accessor: str, *, in_json: bool) -> None:
    """Show what a live reference stands for, by its ACCESSOR, which is what logs and audit entries name."""
    show_one(api.ask("GET", f"/v1/references/{accessor}"), in_json=in_json)


@references.command(
    epilog=examples(
        "broker references revoke cba_07qF…",
        "broker references revoke --reference-file leaked.txt",
        "broker references revoke --store abc123",
        "broker references revoke --caller k8s:commerce/order-sync",
        "broker references revoke --all --yes",
    ),
)
@click.argument("accessor", type=ACCESSOR, required=False)
@click.option("--reference-file", help="File with the reference itself.")
@click.option("--store", type=STORE_HASH, help="Everything minted so far for this store.")
@click.option("--caller", help="Everything minted so far by or for this identity.")
@click.option("--all", "everything", is_flag=True, help="Everything minted so far.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@as_json
@reaches_broker
def revoke(  # noqa: PLR0913 — one parameter for each option
    api: Api,
    accessor: str | None,
    reference_file: str | None,
    store: str | None,
    caller: str | None,
    *,
    everything: bool,
    yes: bool,
    in_json: bool,
) -> None:
    """Revoke one reference, by ACCESSOR or from a file, or all of a store, of a caller, or all there are.

    It holds at once on every replica. What is minted afterwards works: to stop that too, lock the store (broker stores lock) or take the
    grant out of the access file.
    """
    ways = [accessor, reference_file, store, caller, everything or None]
    if sum(way is not None for way in ways) != 1:
        raise click.UsageError(
            "say what to revoke, one of: ACCESSOR, --reference-file, --store, --caller, --all"
        )
    if accessor:
        show_one(api.ask("DELETE", f"/v1/references/{accessor}"), in_json=in_json)
        return
    body: Json
    if reference_file:
        body = {"reference": read_secret(reference_file)}
    elif store:
        body, what = {"store_hash": store}, f"every reference to store {store}"
    elif caller:
        body, what = {"caller": caller}, f"every reference minted by or for {caller}"
    else:
        body, what = {"all": True}, "every reference there is"
    if not (reference_file or yes):
        click.confirm(
            f"Revoke {what}? Whoever uses one is refused until it mints again", abort=True
        )
    show_one(api.ask("POST", "/v1/references/revoke", body), in_json=in_json)
