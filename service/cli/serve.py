"""``broker serve``: the broker under gunicorn, with the project's configuration."""

import os

import click
import structlog

from service.adapters.counting_folder import counting_folder
from service.adapters.host import HostError, writable_folder
from service.cli.parameters import examples
from service.settings import Settings, SettingsError, load_settings


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
    from service.adapters.logs import configure_logs, log_what_python_prints
    from service.server import BrokerServer, check_addresses, check_tls_files

    configure_logs(settings.log_level)
    log_what_python_prints()
    try:
        check_tls_files(settings)
        check_addresses(settings)
        server = BrokerServer(settings)
        _check_files(settings)
        _check_surroundings(settings)
        _warn(settings)
        server.run()
    except (SettingsError, HostError) as error:
        raise click.ClickException(str(error)) from None


def _check_files(settings: Settings) -> None:
    from service.adapters.access_file import AccessFileError, read_access_file
    from service.adapters.signing_key import SigningKeyError, read_signing_key
    from service.app import now

    try:
        read_access_file(settings.access_file, now)
        if settings.audit_signing_key_file:
            read_signing_key(settings.audit_signing_key_file)
    except AccessFileError as error:
        raise SettingsError(f"BROKER_ACCESS_FILE: {error}") from None
    except SigningKeyError as error:
        raise SettingsError(f"BROKER_AUDIT_SIGNING_KEY_FILE: {error}") from None


def _check_surroundings(settings: Settings) -> None:
    from service.outside import check_traces, redis_evicts

    if redis_evicts(settings):
        raise SettingsError(
            "BROKER_ALLOW_EVICTING_REDIS: Redis may evict keys; set its maxmemory-policy to noeviction, or this to true"
        )
    check_traces(settings)


def _warn(settings: Settings) -> None:
    """Tell what is not as it should be in production."""
    log = structlog.get_logger()
    if not settings.audit_signing_key_file:
        log.warning("audit_trail_is_unsigned", setting="BROKER_AUDIT_SIGNING_KEY_FILE")
    if not settings.tls_cert_file:
        log.warning("api_is_plain_http", setting="BROKER_TLS_CERT_FILE")
    if settings.allow_insecure_upstream:
        log.warning("upstream_is_for_the_sandbox", setting="BROKER_ALLOW_INSECURE_UPSTREAM")


def _prepare_counting(settings: Settings) -> None:
    """Give several workers one place to count in; prometheus-client looks for it once, when it is imported."""
    os.environ.pop("PROMETHEUS_MULTIPROC_DIR", None)
    if settings.web_concurrency == 1:
        return
    try:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(counting_folder(writable_folder()))
    except HostError as error:
        raise click.ClickException(str(error)) from None
