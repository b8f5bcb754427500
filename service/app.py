"""The composition root: the only module that knows every part.

``build_broker`` makes the parts and joins them; ``web.create_app`` puts the HTTP edge on top.
"""

import random
import re
import secrets
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from service.adapters.access_source import AccessFile
from service.adapters.audit_file import AuditFile
from service.adapters.aws_kms import AwsKms, AwsKmsOptions
from service.adapters.background import Background, Regularly
from service.adapters.deadline import Watch
from service.adapters.deprecations import Deprecations
from service.adapters.issuer_links import IssuerLinks
from service.adapters.keyring_dir import KeyringDirectory, KeyWrapper
from service.adapters.keyring_in_force import KeyringInForce
from service.adapters.metrics import Metrics
from service.adapters.redis_connections import RedisOptions
from service.adapters.redis_errors import EVICTS
from service.adapters.redis_installation import Installation
from service.adapters.redis_keys import RedisKeys
from service.adapters.redis_link import RedisLink
from service.adapters.redis_maintenance import RedisMaintenance
from service.adapters.redis_node import Wait
from service.adapters.redis_references import RedisReferences
from service.adapters.redis_stores import RedisStores
from service.adapters.stores_dir import StoresDirectory
from service.adapters.upstream import B2BUpstream
from service.adapters.upstream_link import UpstreamLink, UpstreamOptions
from service.adapters.vault_transit import VaultOptions, VaultTransit
from service.core.cleaning import Cleaner
from service.core.errors import BrokerError
from service.core.explaining import Explaining
from service.core.gate import Gate
from service.core.issuing import Issuer, Naming
from service.core.key_agreement import KeyAgreement
from service.core.keys import Keys
from service.core.login_pause import LoginPause
from service.core.maintenance import Maintenance
from service.core.provision import Provision, Times
from service.core.proxy import Proxy
from service.core.references import References
from service.core.repair import Repair
from service.core.rewrapper import Rewrapper
from service.core.store_reader import StoreReader
from service.core.stores import Stores
from service.core.token_cache import TokenCache
from service.settings import Settings
from service.web.callers import Callers
from service.web.crowd import Crowd
from service.web.edge import Edge
from service.web.failure_limit import FailureLimit
from service.web.ops import Check

_REDIS_TIMEOUT = timedelta(milliseconds=450)
_MARGIN = timedelta(seconds=10)
_PATIENCE = timedelta(seconds=10)
_RELOAD_EVERY = timedelta(seconds=2)
_MAINTAIN_EVERY = timedelta(seconds=3)
_LOOK_EVERY = timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class Broker:
    """The broker, joined: what the edge needs, and how to tell whether it is ready."""

    edge: Edge
    checks: tuple[Check, ...]
    metrics: Metrics
    backgrounds: tuple[Background, ...]


def now() -> datetime:
    """Return the time. The only clock."""
    return datetime.now(UTC)


def pause(span: timedelta) -> None:
    """Wait about that long: jittered, so that those who wait for one thing do not all come back at once."""
    time.sleep(span.total_seconds() * random.uniform(0.5, 1.5))  # noqa: S311 — spreads load, guards nothing


def build_broker(settings: Settings) -> Broker:
    """Make and join all parts. Nothing is connected yet.

    Raises:
        AccessFileError: The access file is missing or refused, which stops the start.
    """
    metrics = Metrics()
    links = IssuerLinks()
    access = AccessFile(settings.access_file, now, links, metrics.access_reload)
    audit = AuditFile(settings.audit_file)
    link = RedisLink.connect(_redis_options(settings), _wait(settings))
    directory = KeyringDirectory(settings.keyring_dir, key_wrappers(settings))
    key_table = RedisKeys(link)
    agreement = KeyAgreement(key_table, metrics, settings.instance, _replica(), now)
    keyring = KeyringInForce(directory.read, agreement.admit, metrics.keyring_refused)
    installation = Installation(link, settings.instance, metrics.storage_wiped)
    upstream = B2BUpstream(
        _upstream_link(settings), metrics.upstream_call, Deprecations(metrics.upstream_announced)
    )
    gate = Gate(audit, now)
    table, references_table, agreed = (
        RedisStores(link),
        RedisReferences(link, settings.upstream_requests_per_minute),
        RedisMaintenance(link),
    )
    mounted = StoresDirectory(settings.stores_dir)
    reader = StoreReader(table, metrics, settings.instance, now)
    references = References(
        gate=gate,
        keyring=keyring,
        table=references_table,
        observer=metrics,
        tokens=TokenCache(),
        instance=settings.instance,
        clock=now,
    )
    cleaner = Cleaner(table, upstream, settings.instance, settings.name_prefix, now)
    issuer = Issuer(
        table=table,
        upstream=upstream,
        cleaner=cleaner,
        pause_logins=LoginPause(agreed, metrics, now),
        observer=metrics,
        naming=Naming(settings.instance, settings.name_prefix),
        lease_span=2 * settings.upstream_timeout + _MARGIN,
        previous_for=settings.previous_token_span,
        clock=now,
        pause=pause,
    )
    provision = Provision(
        reader=reader,
        table=table,
        agreed=agreed,
        upstream=upstream,
        issuer=issuer,
        mounted=mounted,
        instance=settings.instance,
        times=Times(settings.upstream_timeout + _PATIENCE, settings.previous_token_span),
        clock=now,
        pause=pause,
    )
    stores = Stores(
        gate=gate,
        keyring=keyring,
        reader=reader,
        table=table,
        references=references_table,
        provision=provision,
        cleaner=cleaner,
        observer=metrics,
        instance=settings.instance,
        clock=now,
    )
    repair = Repair(
        gate=gate,
        keyring=keyring,
        reader=reader,
        agreed=agreed,
        upstream=upstream,
        provision=provision,
        observer=metrics,
        instance=settings.instance,
    )
    maintenance = Maintenance(
        gate=gate,
        keyring=keyring,
        reader=reader,
        table=table,
        agreed=agreed,
        provision=provision,
        cleaner=cleaner,
        mounted=mounted,
        observer=metrics,
        instance=settings.instance,
        clock=now,
    )
    lease_span = 2 * settings.upstream_timeout + _MARGIN
    keys = Keys(
        gate=gate,
        keyring=keyring,
        table=key_table,
        agreement=agreement,
        settled_after=lease_span,
        clock=now,
    )
    rewrapper = Rewrapper(
        gate=gate,
        keyring=keyring,
        table=key_table,
        agreed=agreed,
        observer=metrics,
        counted=metrics,
        instance=settings.instance,
        clock=now,
        pause=pause,
    )
    edge = Edge(
        access=access,
        callers=Callers(
            settings.trusted_proxy_identities,
            FailureLimit(settings.failed_authentications_per_minute, time.monotonic),
        ),
        keyring=keyring,
        gate=gate,
        stores=stores,
        references=references,
        keys=keys,
        proxy=Proxy(references, upstream, repair, gate, metrics),
        explaining=Explaining(gate),
        base_url=settings.upstream_url,
        crowd=Crowd(settings.threads),
        observe=metrics.request,
    )

    def look_at_storage() -> None:
        if keyring.unlocked:  # it leaves marks, and a locked broker writes nothing
            installation.look()

    checks = (
        Check("keyring", lambda: _quietly(keyring)),
        Check("keys", lambda: keyring.problem or rewrapper.problem, vital=False),
        Check("redis", lambda: _quietly(link.ping)),
        Check("audit", lambda: _quietly(audit.probe)),
        # Not vital: the stores have to be registered again, and that needs a broker that is ready.
        Check("storage", lambda: installation.problem, vital=False),
        Check("access_file", lambda: access.problem, vital=False),
        Check("issuers", links.problems, vital=False),
        Check("stores_dir", lambda: mounted.problem, vital=False),
    )
    backgrounds = (
        Background(
            (
                Regularly("access file", _RELOAD_EVERY, access.reload),
                Regularly("issuers' keys", _RELOAD_EVERY, links.refresh),
            )
        ),
        Background(
            (
                Regularly("keyring", _RELOAD_EVERY, keyring.look),
                Regularly("storage", _LOOK_EVERY, look_at_storage),
            )
        ),
        # Each in a thread of its own, because it may take long.
        Background((Regularly("rewrapping", _MAINTAIN_EVERY, rewrapper.run),)),
        Background((Regularly("maintenance", _MAINTAIN_EVERY, maintenance.run),)),
    )
    return Broker(edge, checks, metrics, backgrounds)


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


def _replica() -> str:
    """Return the name by which the other replicas know this process."""
    host = re.sub(r"[^A-Za-z0-9.-]", "-", socket.gethostname())[:63]
    return f"{host}-{secrets.token_hex(3)}"


def _redis_options(settings: Settings) -> RedisOptions:
    return RedisOptions(
        url=settings.redis_url,
        username=settings.redis_username,
        password_file=settings.redis_password_file,
        ca_file=settings.redis_ca_file,
        timeout=_REDIS_TIMEOUT,
        sentinel_password_file=settings.redis_sentinel_password_file,
        allow_evicting=settings.allow_evicting_redis,
    )


def _wait(settings: Settings) -> Wait | None:
    if not settings.redis_wait_replicas:
        return None
    return Wait(settings.redis_wait_replicas, timedelta(milliseconds=settings.redis_wait_millis))


def redis_evicts(settings: Settings) -> bool:
    """Tell whether Redis, if it answers at this moment, may throw away what it was given; one that is away is looked at later."""
    link = RedisLink.connect(_redis_options(settings))
    reason = _quietly(link.ping)
    link.close()
    return reason == EVICTS


def _upstream_link(settings: Settings) -> UpstreamLink:
    return UpstreamLink(
        UpstreamOptions(
            url=settings.upstream_url,
            ca_file=settings.upstream_ca_file,
            timeout=settings.upstream_timeout,
            admits_private=settings.allow_insecure_upstream,
        ),
        Watch(),
    )


def _quietly(ask: Callable[[], object]) -> str:
    """Return why a dependency is not there; empty when it is."""
    try:
        ask()
    except BrokerError as error:
        return error.reason
    return ""
