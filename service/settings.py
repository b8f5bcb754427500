"""Every setting: read once from the environment, checked, and frozen. A bad one stops the start with one line that names it.

No setting holds a secret; those that lead to one end in ``_FILE`` or ``_DIR``.
"""

import os
import re
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, Field, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

PREFIX = "BROKER_"
COUNTS_PREFIX = "b2b-broker-metrics-"
"""Of the temporary directory in which several workers count."""
_HIGHEST_PORT = 65535
_HOST = r"(?:[A-Za-z0-9][A-Za-z0-9._-]*|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?"
_SEVERAL = re.compile(
    rf"rediss?\+(?:sentinel://{_HOST}(?:,{_HOST})*/[A-Za-z0-9._-]+(?:/[0-9]{{0,4}})?|cluster://{_HOST}(?:,{_HOST})*/?)",
    re.ASCII,
)


class SettingsError(Exception):
    """A setting is wrong; the text names it and the rule, not the value."""


def _bind(value: str) -> str:
    host, separator, port = value.rpartition(":")
    if not host or not separator or not re.fullmatch("[0-9]{1,5}", port, re.ASCII):
        raise ValueError("is host:port, such as 0.0.0.0:8080")
    if int(port) > _HIGHEST_PORT:
        raise ValueError("is host:port, such as 0.0.0.0:8080")
    return value


def _split(value: str) -> SplitResult:
    try:
        parts = urlsplit(value)
        _ = parts.port
    except ValueError:  # its own text quotes the value
        raise ValueError("is a URL, with a port from 1 to 65535 or none") from None
    return parts


def _redis_url(value: str) -> str:
    if "+" in value.partition("://")[0]:
        return _url_of_several(value)
    parts = _split(value)
    if parts.scheme not in ("redis", "rediss", "unix"):
        raise ValueError(
            "begins with redis://, rediss://, unix://, redis+sentinel://, redis+cluster:// or their rediss+… forms"
        )
    if parts.scheme != "unix" and not parts.hostname:
        raise ValueError("names a host")
    if parts.scheme != "unix" and not re.fullmatch(r"(/[0-9]{0,4})?", parts.path, re.ASCII):
        raise ValueError("ends with the number of the database, or with nothing")
    if "@" in parts.netloc or parts.query or parts.fragment:
        # Both can hold a password, and the query can switch the verification of TLS off.
        raise ValueError(
            "holds no user, password or options; use BROKER_REDIS_USERNAME and BROKER_REDIS_PASSWORD_FILE"
        )
    return value


def _url_of_several(value: str) -> str:
    ports = re.findall(r":([0-9]+)(?=[,/]|$)", value, re.ASCII)
    if not _SEVERAL.fullmatch(value) or any(not 0 < int(port) <= _HIGHEST_PORT for port in ports):
        raise ValueError(
            "is redis+sentinel://host:26379,host/name/0 or redis+cluster://host:6379,host, without user, password or options"
        )
    return value


def _upstream_url(value: str) -> str:
    parts = _split(value)
    bare = not (parts.path.strip("/") or parts.query or parts.fragment or "@" in parts.netloc)
    if parts.scheme not in ("https", "http") or not parts.hostname or not bare:
        raise ValueError("is https://host with nothing behind it")
    return f"{parts.scheme}://{parts.netloc}"


Bind = Annotated[str, AfterValidator(_bind)]


class Settings(BaseSettings):
    """The settings, with the defaults of production."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, frozen=True, extra="forbid", hide_input_in_errors=True
    )

    bind: Annotated[Bind, Field(description="Where the API listens.")] = "0.0.0.0:8080"
    ops_bind: Annotated[
        Bind, Field(description="Where health and metrics listen; always plain HTTP.")
    ] = "0.0.0.0:9090"
    instance: Annotated[
        str,
        Field(
            pattern=r"^[a-z0-9][a-z0-9-]{0,31}$",
            description="Names this installation in sealed values and token names. Never change it while there are stores.",
        ),
    ] = "default"
    redis_url: Annotated[
        str,
        AfterValidator(_redis_url),
        Field(
            description="`redis://`, `rediss://` or `unix://`; `redis+sentinel://host,host/name/0`; `redis+cluster://host,host`;"
            " `rediss+…` is TLS to all of them. Without a password."
        ),
    ] = "redis://127.0.0.1:6379/0"
    redis_username: Annotated[str, Field(description="ACL user; empty for the default user.")] = ""
    redis_password_file: Annotated[
        str, Field(description="File with the Redis password; read for every new connection.")
    ] = ""
    redis_ca_file: Annotated[
        str, Field(description="Whom to trust for `rediss…://`; empty for the system's.")
    ] = ""
    redis_sentinel_password_file: Annotated[
        str, Field(description="File with the sentinels' own password, if they have one.")
    ] = ""
    redis_wait_replicas: Annotated[
        int,
        Field(
            ge=0,
            le=16,
            description="How many replicas must have an effect before it counts. Set it to as many as there are; 0 without any.",
        ),
    ] = 0
    redis_wait_millis: Annotated[
        int,
        Field(ge=10, le=400, description="How long to wait for them, before a 503 `not_durable`."),
    ] = 200
    allow_evicting_redis: Annotated[
        bool,
        Field(
            description="Admit a Redis whose `maxmemory-policy` is not `noeviction`: what was revoked or used up may come back."
        ),
    ] = False
    keyring_dir: Annotated[
        str, Field(description="Directory with `<key id>.key` files and `primary`.")
    ] = "/etc/broker/keyring"
    access_file: Annotated[str, Field(description="Who may call, and what.")] = (
        "/etc/broker/access.yaml"
    )
    upstream_url: Annotated[
        str,
        AfterValidator(_upstream_url),
        Field(description="The one upstream: scheme and host."),
    ] = "https://api-b2b.bigcommerce.com"
    upstream_ca_file: Annotated[
        str, Field(description="Whom to trust as upstream; empty for the system's.")
    ] = ""
    upstream_timeout_seconds: Annotated[
        float, Field(ge=1, le=300, description="For one whole exchange with the upstream.")
    ] = 30
    allow_insecure_upstream: Annotated[
        bool,
        Field(
            description="Admit plain HTTP and addresses that are not global: sandbox and development only."
        ),
    ] = False
    audit_file: Annotated[str, Field(description="Where audit entries go; `-` is stdout.")] = "-"
    token_name_prefix: Annotated[
        str,
        Field(
            pattern=r"^([A-Za-z0-9][A-Za-z0-9/_-]{0,60})?$",
            description="In front of the names of the tokens it makes; empty for `b2b-broker/<instance>`.",
        ),
    ] = ""
    tls_cert_file: Annotated[
        str,
        Field(description="Certificate chain of the API; empty for plain HTTP (behind a mesh)."),
    ] = ""
    tls_key_file: Annotated[str, Field(description="Its private key.")] = ""
    threads: Annotated[
        int, Field(ge=1, le=256, description="Requests that one worker process serves at a time.")
    ] = 16
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"],
        Field(description="The least severe log lines."),
    ] = "info"
    web_concurrency: Annotated[
        int,
        Field(validation_alias="WEB_CONCURRENCY", ge=1, le=64, description="Worker processes."),
    ] = 1

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 — the hook's signature
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 — deliberately not a source
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 — deliberately not a source
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read arguments and the environment, nothing else."""
        return (init_settings, env_settings)

    @property
    def upstream_timeout(self) -> timedelta:
        """For one whole exchange."""
        return timedelta(seconds=self.upstream_timeout_seconds)

    @property
    def name_prefix(self) -> str:
        """In front of the names of tokens."""
        return self.token_name_prefix or f"b2b-broker/{self.instance}"


def environment_names() -> dict[str, str]:
    """Return the environment variable of each setting."""
    return {
        name: "WEB_CONCURRENCY" if name == "web_concurrency" else f"{PREFIX}{name.upper()}"
        for name in Settings.model_fields
    }


def load_settings() -> Settings:
    """Return the settings of the process's environment.

    Raises:
        SettingsError: One is unknown or wrong.
    """
    known = environment_names()
    for name in os.environ:
        if name.startswith(PREFIX) and name not in known.values():
            raise SettingsError(f"{_printable(name)}: there is no such setting")
    try:
        settings = Settings()
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        field = str(first["loc"][0])
        raise SettingsError(f"{known.get(field, field)}: {first['msg']}") from None
    _check_together(settings)
    return settings


def _check_together(settings: Settings) -> None:
    if bool(settings.tls_cert_file) != bool(settings.tls_key_file):
        raise SettingsError("BROKER_TLS_CERT_FILE and BROKER_TLS_KEY_FILE: set both or neither")
    for name in ("upstream_ca_file", "redis_ca_file", "tls_cert_file", "tls_key_file"):
        path = getattr(settings, name)
        if path and not (Path(path).is_file() and os.access(path, os.R_OK)):
            raise SettingsError(f"{PREFIX}{name.upper()}: the file cannot be read")
    if settings.upstream_url.startswith("http://") and not settings.allow_insecure_upstream:
        raise SettingsError(
            "BROKER_UPSTREAM_URL: plain HTTP needs BROKER_ALLOW_INSECURE_UPSTREAM=true (sandbox and development only)"
        )


def _printable(name: str) -> str:
    return re.sub(r"[^A-Z0-9_]", "?", name)
