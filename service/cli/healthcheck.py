"""``broker healthcheck``: is the broker beside it alive; for an image's HEALTHCHECK."""

import os
from http.client import HTTPConnection, HTTPException

import click

from service.cli.parameters import examples
from service.setting_forms import bind_address
from service.settings import Settings

_VARIABLE = "BROKER_OPS_BIND"
_SECONDS = 3
_OK = 200
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "[::]": "::1"}  # noqa: S104 — read, not bound


@click.command(epilog=examples("broker healthcheck"))
def healthcheck() -> None:
    """Ask the ops port of this machine's broker whether it is alive; exit 0 if it is, 1 if not.

    Only BROKER_OPS_BIND is read: nothing else that may be wrong or away makes a broker that serves look dead.
    """
    try:
        bind = bind_address(os.environ.get(_VARIABLE, Settings.model_fields["ops_bind"].default))
    except ValueError as error:
        raise click.ClickException(f"{_VARIABLE}: {error}") from None
    host, _, port = bind.rpartition(":")
    connection = HTTPConnection(
        _EVERYWHERE.get(host, host.strip("[]")), int(port), timeout=_SECONDS
    )
    try:
        connection.request("GET", "/livez")
        status = connection.getresponse().status
    except (OSError, HTTPException) as error:
        raise click.ClickException(f"no answer from the ops port: {type(error).__name__}") from None
    finally:
        connection.close()
    if status != _OK:
        raise click.ClickException(f"the ops port answers {status}")
