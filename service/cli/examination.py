"""All checks of ``broker doctor``."""

from service.cli.file_checks import (
    check_access_file,
    check_audit,
    check_keyring,
    check_mounted,
    check_redis_password,
    check_signing_key,
    check_tls,
)
from service.cli.finding import Finding, ok
from service.cli.redis_checks import check_redis
from service.cli.stored_checks import check_what_is_stored
from service.cli.upstream_checks import check_upstream
from service.outside import check_traces
from service.settings import Settings, SettingsError, load_settings


def examine() -> list[Finding]:
    """Return what every check found, in the order in which a start meets them."""
    try:
        settings = load_settings()
    except SettingsError as error:
        return [
            Finding(
                "settings",
                "failed",
                str(error),
                "The broker does not start, and nothing else can be checked.",
                "Mend the variable; the README lists all of them.",
            )
        ]
    return [
        _settings(settings),
        check_keyring(settings),
        check_access_file(settings),
        check_audit(settings),
        check_signing_key(settings),
        check_mounted(settings),
        check_tls(settings),
        check_redis_password(settings),
        *check_redis(settings),
        *check_what_is_stored(settings),
        *check_upstream(settings),
        _traces(settings),
    ]


def _settings(settings: Settings) -> Finding:
    if settings.allow_insecure_upstream:
        return Finding(
            "settings",
            "warning",
            "BROKER_ALLOW_INSECURE_UPSTREAM is true",
            "Passwords and tokens may go to any address, over plain HTTP.",
            "Unset it everywhere but in front of the sandbox.",
        )
    return ok(
        "settings",
        f"{len(settings.model_fields_set)} set by the environment, and they fit together",
    )


def _traces(settings: Settings) -> Finding:
    try:
        check_traces(settings)
    except SettingsError as error:
        return Finding(
            "traces",
            "failed",
            str(error),
            "The broker does not start.",
            "Install the extra (README, What it tells), or unset the variable.",
        )
    return ok("traces", "on" if settings.traces else "off")
