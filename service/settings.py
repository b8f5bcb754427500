"""Every setting: read once from the environment, checked, and frozen. A bad one stops the start with one line that names it.

No setting holds a secret; those that lead to one end in ``_FILE`` or ``_DIR``.
"""

import os
import re
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from service import setting_forms as forms

PREFIX = "BROKER_"
_FILES = (
    "upstream_ca_file",
    "redis_ca_file",
    "tls_cert_file",
    "tls_key_file",
    "tls_client_ca_file",
    "audit_signing_key_file",
    "vault_ca_file",
    "aws_credentials_file",
)


class SettingsError(Exception):
    """A setting is wrong; the text names it and the rule, not the value."""


Bind = Annotated[str, AfterValidator(forms.bind_address)]


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
            description="Names this installation in sealed values and token names; another one needs a Redis (or a database) of its own."
            " Never change it while there are stores.",
        ),
    ] = "default"
    redis_url: Annotated[
        str,
        AfterValidator(forms.redis_url),
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
        str,
        Field(
            description="Directory with `<key id>.key` (or `.vault`, `.aws-kms`) files and `primary`."
        ),
    ] = "/etc/broker/keyring"
    vault_url: Annotated[
        str,
        AfterValidator(forms.service_url),
        Field(
            description="Vault or OpenBao whose Transit engine unwraps `.vault` keys; plain HTTP only to this machine (an agent)."
        ),
    ] = ""
    vault_token_file: Annotated[
        str, Field(description="File with the Vault token; read for every call.")
    ] = ""
    vault_ca_file: Annotated[
        str, Field(description="Whom to trust as Vault; empty for the system's.")
    ] = ""
    vault_namespace: Annotated[str, Field(description="Of Vault; empty for none.")] = ""
    vault_transit_mount: Annotated[
        str, Field(pattern=forms.VAULT_PATH, description="Where the Transit engine is mounted.")
    ] = "transit"
    vault_transit_key: Annotated[
        str, Field(pattern=forms.VAULT_PATH, description="The Transit key that wraps.")
    ] = "b2b-broker"
    aws_kms_key: Annotated[
        str,
        Field(
            description="Id, ARN or alias of the AWS KMS key that unwraps `.aws-kms` keys. Needs the extra `aws`."
        ),
    ] = ""
    aws_region: Annotated[str, Field(description="Of the KMS key.")] = ""
    aws_kms_url: Annotated[
        str,
        AfterValidator(forms.service_url),
        Field(description="Of KMS, such as a VPC endpoint; empty for the region's own."),
    ] = ""
    aws_credentials_file: Annotated[
        str,
        Field(description="AWS credentials file; empty for the workload's own identity."),
    ] = ""
    access_file: Annotated[str, Field(description="Who may call, and what.")] = (
        "/etc/broker/access.yaml"
    )
    upstream_url: Annotated[
        str,
        AfterValidator(forms.upstream_url),
        Field(description="The one upstream: scheme and host."),
    ] = "https://api-b2b.bigcommerce.com"
    upstream_ca_file: Annotated[
        str, Field(description="Whom to trust as upstream; empty for the system's.")
    ] = ""
    upstream_timeout_seconds: Annotated[
        float, Field(ge=1, le=300, description="For one whole exchange with the upstream.")
    ] = 30
    upstream_requests_per_minute: Annotated[
        int,
        Field(
            ge=1,
            le=1_000_000,
            description="What one store may be asked through the proxy in a minute."
            " Lower it where others call the store's API past the broker.",
        ),
    ] = 150
    allow_insecure_upstream: Annotated[
        bool,
        Field(
            description="Admit plain HTTP and addresses that are not global: sandbox and development only."
        ),
    ] = False
    audit_file: Annotated[str, Field(description="Where audit entries go; `-` is stdout.")] = "-"
    audit_signing_key_file: Annotated[
        str,
        Field(
            description="Ed25519 private key (PEM) that signs the heads of the audit trail; `broker audit new-key` makes one."
            " Empty: nothing is signed, and a trail that was cut or rewritten cannot be told."
        ),
    ] = ""
    token_name_prefix: Annotated[
        str,
        Field(
            pattern=r"^([A-Za-z0-9][A-Za-z0-9/_-]{0,60})?$",
            description="In front of the names of the tokens it makes; empty for `b2b-broker/<instance>`.",
        ),
    ] = ""
    stores_dir: Annotated[
        str,
        Field(
            description="Directory with mounted credentials: `<store hash>/email` and `password`, or `access_token`; empty for none."
        ),
    ] = ""
    previous_token_seconds: Annotated[
        int,
        Field(
            ge=60,
            le=30 * 86_400,
            description="How long the token before a new one is kept, for requests under way and for a rollback.",
        ),
    ] = 3600
    tls_cert_file: Annotated[
        str,
        Field(description="Certificate chain of the API; empty for plain HTTP (behind a mesh)."),
    ] = ""
    tls_key_file: Annotated[str, Field(description="Its private key.")] = ""
    tls_client_ca_file: Annotated[
        str,
        Field(
            description="Whose client certificates the TLS listener takes; empty for none. The access file's bundles decide who they are."
        ),
    ] = ""
    trusted_proxies: Annotated[
        str,
        AfterValidator(forms.trusted_proxies),
        Field(
            description="SPIFFE ids, with commas between, of the proxies whose `X-Forwarded-Client-Cert` counts."
        ),
    ] = ""
    failed_authentications_per_minute: Annotated[
        int,
        Field(
            ge=1,
            le=100_000,
            description="From one address, for each worker; more are answered 429.",
        ),
    ] = 60
    threads: Annotated[
        int,
        Field(
            ge=1,
            le=256,
            description="Requests that one worker process serves at a time, and as many again of those that do not need the upstream.",
        ),
    ] = 16
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"],
        Field(description="The least severe log lines."),
    ] = "info"
    traces: Annotated[
        bool,
        Field(
            description="Send traces to where OpenTelemetry's own `OTEL_EXPORTER_OTLP_` variables say; needs the extra `otel`."
        ),
    ] = False
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
    def previous_token_span(self) -> timedelta:
        """How long the token before a new one is kept."""
        return timedelta(seconds=self.previous_token_seconds)

    @property
    def trusted_proxy_identities(self) -> frozenset[str]:
        """The proxies whose word about client certificates counts."""
        return frozenset(forms.items(self.trusted_proxies))

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
        raise SettingsError(
            f"{known.get(field, field)}: {first['msg'].removeprefix('Value error, ')}"
        ) from None
    _check_together(settings)
    return settings


def _check_together(settings: Settings) -> None:
    if bool(settings.tls_cert_file) != bool(settings.tls_key_file):
        raise SettingsError("BROKER_TLS_CERT_FILE and BROKER_TLS_KEY_FILE: set both or neither")
    if settings.tls_client_ca_file and not settings.tls_cert_file:
        raise SettingsError("BROKER_TLS_CLIENT_CA_FILE: needs BROKER_TLS_CERT_FILE")
    if settings.trusted_proxies and not settings.tls_client_ca_file:
        raise SettingsError("BROKER_TRUSTED_PROXIES: needs BROKER_TLS_CLIENT_CA_FILE")
    if settings.vault_url and not settings.vault_token_file:
        raise SettingsError("BROKER_VAULT_TOKEN_FILE: needed with BROKER_VAULT_URL")
    if settings.aws_kms_key and not settings.aws_region:
        raise SettingsError("BROKER_AWS_REGION: needed with BROKER_AWS_KMS_KEY")
    for name in _FILES:
        path = getattr(settings, name)
        if path and not (Path(path).is_file() and os.access(path, os.R_OK)):
            raise SettingsError(f"{PREFIX}{name.upper()}: the file cannot be read")
    if settings.upstream_url.startswith("http://") and not settings.allow_insecure_upstream:
        raise SettingsError(
            "BROKER_UPSTREAM_URL: plain HTTP needs BROKER_ALLOW_INSECURE_UPSTREAM=true (sandbox and development only)"
        )


def _printable(name: str) -> str:
    return re.sub(r"[^A-Z0-9_]", "?", name)
