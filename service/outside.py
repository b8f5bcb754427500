"""What the broker reaches outside, made as the settings say: Redis, the upstream, key management services, and who watches the calls.

Apart from ``app``, because commands reach some of it without a whole broker.
"""

import re
import secrets
import socket
from datetime import timedelta

from service.adapters.aws_kms import AwsKms, AwsKmsOptions
from service.adapters.calls import CallWatch, timed
from service.adapters.circuit import Circuit
from service.adapters.deadline import Watch
from service.adapters.keyring_dir import KeyWrapper
from service.adapters.metrics import Metrics
from service.adapters.redis_connections import RedisOptions
from service.adapters.redis_errors import EVICTS
from service.adapters.redis_link import RedisLink
from service.adapters.redis_node import Wait
from service.adapters.upstream_connections import UpstreamOptions
from service.adapters.upstream_link import UpstreamLink
from service.adapters.vault_transit import VaultOptions, VaultTransit
from service.core.errors import StorageError
from service.settings import Settings, SettingsError
from service.web.spans import Trace, untraced

_REDIS_TIMEOUT = timedelta(milliseconds=450)


def call_watches(settings: Settings, metrics: Metrics) -> tuple[CallWatch, CallWatch, Trace]:
    """Return who watches calls to Redis, calls to the upstream, and requests."""
    redis, upstream = timed(metrics.redis_call), timed(metrics.upstream_call)
    if not settings.traces:
        return redis, upstream, untraced
    from service.adapters.otel import Traces

    traces = Traces()
    return traces.redis(redis), traces.upstream(upstream), traces.request


def key_wrappers(settings: Settings) -> dict[str, KeyWrapper]:
    """Return who unwraps keys, by the suffix of their files. One that is not set says so when it is asked."""
    return {
        "vault": VaultTransit(
            VaultOptions(
                url=settings.vault_url,
                token_file=settings.vault_token_file,
                ca_file=settings.vault_ca_file,
                namespace=settings.vault_namespace,
                mount=settings.vault_transit_mount,
                key=settings.vault_transit_key,
                instance=settings.instance,
            )
        ),
        "aws-kms": AwsKms(
            AwsKmsOptions(
                key=settings.aws_kms_key,
                region=settings.aws_region,
                url=settings.aws_kms_url,
                credentials_file=settings.aws_credentials_file,
                instance=settings.instance,
            )
        ),
    }


def replica_name() -> str:
    """Return the name by which the other replicas know this process."""
    host = re.sub(r"[^A-Za-z0-9.-]", "-", socket.gethostname())[:63]
    return f"{host}-{secrets.token_hex(3)}"


def redis_options(settings: Settings) -> RedisOptions:
    """Return how the settings say to reach Redis."""
    return RedisOptions(
        url=settings.redis_url,
        username=settings.redis_username,
        password_file=settings.redis_password_file,
        ca_file=settings.redis_ca_file,
        timeout=_REDIS_TIMEOUT,
        sentinel_password_file=settings.redis_sentinel_password_file,
        allow_evicting=settings.allow_evicting_redis,
    )


def redis_wait(settings: Settings) -> Wait | None:
    """Return how many replicas must have an effect, and how long to wait for them; None where there are none."""
    if not settings.redis_wait_replicas:
        return None
    return Wait(settings.redis_wait_replicas, timedelta(milliseconds=settings.redis_wait_millis))


def redis_evicts(settings: Settings) -> bool:
    """Tell whether Redis, if it answers at this moment, may throw away what it was given; one that is away is looked at later."""
    link = RedisLink.connect(redis_options(settings))
    try:
        link.ping()
    except StorageError as error:
        return error.reason == EVICTS
    finally:
        link.close()
    return False


def upstream_link(settings: Settings, circuit: Circuit) -> UpstreamLink:
    """Return the link to the upstream that the settings name."""
    return UpstreamLink(
        UpstreamOptions(
            url=settings.upstream_url,
            ca_file=settings.upstream_ca_file,
            timeout=settings.upstream_timeout,
            admits_private=settings.allow_insecure_upstream,
        ),
        Watch(),
        circuit,
    )


def check_traces(settings: Settings) -> None:
    """See whether traces can be sent, if they are asked for.

    Raises:
        SettingsError: The extra is not installed.
    """
    if not settings.traces:
        return
    try:
        import service.adapters.otel  # noqa: F401 — only to see whether it can be; the workers share what was read
    except ImportError:
        raise SettingsError("BROKER_TRACES: the extra 'otel' is not installed") from None
