"""``broker lock``, ``broker unlock``, ``broker locks``, and the same for one store: stop, and go on."""

import click

from service.cli.api import Api, Json, reaches_broker
from service.cli.parameters import STORE_HASH, examples
from service.cli.showing import as_json, show_one, show_rows

_COLUMNS = ("store_hash", "by", "since", "reason")
_reason = click.option(
    "--reason", required=True, help="One line for those who find it locked, such as INC-42."
)
_yes = click.option("--yes", is_flag=True, help="Do not ask.")


@click.command(epilog=examples('broker lock --reason "INC-42: key seen in a public repository"'))
@_reason
@_yes
@as_json
@reaches_broker
def lock(api: Api, reason: str, *, yes: bool, in_json: bool) -> None:
    """The panic stop: let nobody use any store, at once and on every replica, until: broker unlock.

    Refused from then on, with 423: minting, redeeming, the proxy, registering, rotating and rolling back, also for stores that are not
    registered yet. What was let through before ends as it would have. Possible as ever: looking, revoking, removing. It survives
    restarts. Tokens that were redeemed before are out of the broker's hands: only removing or rotating a store ends them.
    """
    if not yes:
        click.confirm("Stop every caller of every store?", abort=True)
    _show(api.ask("POST", "/v1/lock", {"reason": reason}), in_json=in_json)


@click.command(epilog=examples("broker unlock", "broker unlock --yes"))
@_yes
@as_json
@reaches_broker
def unlock(api: Api, *, yes: bool, in_json: bool) -> None:
    """Take the panic stop off. Stores that are locked by themselves stay locked."""
    if not yes:
        click.confirm("Let callers use the stores again?", abort=True)
    _show(api.ask("POST", "/v1/unlock"), in_json=in_json)


@click.command(epilog=examples("broker locks", "broker locks --json"))
@as_json
@reaches_broker
def locks(api: Api, *, in_json: bool) -> None:
    """Show what is locked, by whom and why; '*' stands for all stores."""
    found = api.ask("GET", "/v1/locks")
    on_all = [{"store_hash": "*", **found["on_all"]}] if found["on_all"] else []
    show_rows([*on_all, *found["stores"]], _COLUMNS, in_json=in_json)


@click.command(
    name="lock", epilog=examples('broker stores lock abc123 --reason "INC-42: reference leaked"')
)
@click.argument("store_hash", type=STORE_HASH)
@_reason
@as_json
@reaches_broker
def lock_store(api: Api, store_hash: str, reason: str, *, in_json: bool) -> None:
    """Let nobody use STORE_HASH, at once and on every replica, until it is unlocked.

    The lock is on the hash: it survives restarts, and removing and registering the store. See: broker lock --help
    """
    path = f"/v1/stores/{store_hash}/lock"
    _show(api.ask("POST", path, {"reason": reason}), in_json=in_json)


@click.command(name="unlock", epilog=examples("broker stores unlock abc123"))
@click.argument("store_hash", type=STORE_HASH)
@as_json
@reaches_broker
def unlock_store(api: Api, store_hash: str, *, in_json: bool) -> None:
    """Take the lock off STORE_HASH. While all stores are locked, it stays unusable."""
    _show(api.ask("POST", f"/v1/stores/{store_hash}/unlock"), in_json=in_json)


def _show(document: Json, *, in_json: bool) -> None:
    lock = document["lock"] or {}
    shown = {"store_hash": document["store_hash"], "locked": bool(lock), **lock}
    show_one(document if in_json else shown, in_json=in_json)
