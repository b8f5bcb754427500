"""``broker serve``: the broker under gunicorn, with the project's configuration."""

import os
import sys
import tempfile

import click

from service.cli.parameters import examples
from service.settings import COUNTS_PREFIX, Settings, SettingsError, load_settings


@click.command(
    epilog=examples(
        "BROKER_REDIS_URL=rediss://redis.internal:6379/0 BROKER_REDIS_PASSWORD_FILE=/run/secrets/redis broker serve"
    )
)
def serve() -> None:
    """Serve the API and the ops port until told to stop.

    Everything is set by BROKER_ variables; the README lists them. A wrong one, or an access file that is refused, stops the start
    with one line.
    """
    try:
        settings = load_settings()
    except SettingsError as error:
        raise click.ClickException(str(error)) from None

    _prepare_counting(settings)
    from service.adapters.access_file import AccessFileError, read_access_file
    from service.adapters.logs import configure_logs
    from service.app import now, redis_evicts
    from service.server import BrokerServer, check_tls_files

    configure_logs(settings.log_level)
    try:
        check_tls_files(settings)
    except SettingsError as error:
        raise click.ClickException(str(error)) from None
    try:
        read_access_file(settings.access_file, now)
    except AccessFileError as error:
        raise click.ClickException(f"BROKER_ACCESS_FILE: {error}") from None
    if redis_evicts(settings):
        raise click.ClickException(
            "BROKER_ALLOW_EVICTING_REDIS: Redis may evict keys; set its maxmemory-policy to noeviction, or this to true"
        )
    if not settings.tls_cert_file:
        click.echo("warning: no TLS certificate is set: the API is plain HTTP", err=True)
    if settings.allow_insecure_upstream:
        click.echo("warning: BROKER_ALLOW_INSECURE_UPSTREAM is for the sandbox only", err=True)
    sys.stdout.flush()
    BrokerServer(settings).run()


def _prepare_counting(settings: Settings) -> None:
    """Give several workers one place to count in; prometheus-client looks for it once, when it is imported."""
    if settings.web_concurrency > 1:
        folder = tempfile.mkdtemp(prefix=COUNTS_PREFIX)
        os.environ.setdefault("PROMETHEUS_MULTIPROC_DIR", folder)
