"""``broker whoami``: who the caller is to the broker."""

import click

from service.cli.api import Api, reaches_broker
from service.cli.parameters import examples
from service.cli.showing import as_json, show_one


@click.command(epilog=examples("broker whoami", "broker whoami --json"))
@as_json
@reaches_broker
def whoami(api: Api, *, in_json: bool) -> None:
    """Show who you are to the broker, how that was proven, and what policy lets you do."""
    show_one(api.ask("GET", "/v1/whoami"), in_json=in_json)
