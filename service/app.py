"""The composition root: the only module that knows every part.

``build_broker`` makes the parts and joins them; ``web.create_app`` puts the HTTP edge on top.
"""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import structlog

from service import __version__
from service.adapters.access_source import AccessFile
from service.adapters.audit_file import AuditFile
from service.adapters.background import Background, Regularly
from service.adapters.circuit import Circuit
from service.adapters.deprecations import Deprecations
from service.adapters.issuer_links import IssuerLinks
from service.adapters.key_times import KeyTimes
from service.adapters.keyring_dir import KeyringDirectory
from service.adapters.keyring_in_force import KeyringInForce
from service.adapters.metrics import Metrics
from service.adapters.redis_heads import RedisHeads
from service.adapters.redis_installation import Installation
from service.adapters.redis_keys import RedisKeys
from service.adapters.redis_link import RedisLink
from service.adapters.redis_locks import RedisLocks
from service.adapters.redis_maintenance import RedisMaintenance
from service.adapters.redis_references import RedisReferences
from service.adapters.redis_stores import RedisStores
from service.adapters.signing_key import read_signing_key
from service.adapters.stores_dir import StoresDirectory
from service.adapters.upstream import B2BUpstream
from service.core.audit_keeping import AuditKeeper, HeadReader
from service.core.cleaning import Cleaner
from service.core.errors import BrokerError
from service.core.explaining import Explaining
from service.core.gate import Gate
from service.core.issuing import Issuer, Naming
from service.core.key_agreement import KeyAgreement
from service.core.keys import Keys
from service.core.locks import Locks
from service.core.login_pause import LoginPause
from service.core.maintenance import Maintenance
from service.core.minting import Minter
from service.core.provision import Provision, Times
from service.core.proxy import Proxy
from service.core.references import References
from service.core.repair import Repair
from service.core.rewrapper import Rewrapper
from service.core.store_reader import StoreReader
from service.core.stores import Stores
from service.core.token_cache import TokenCache
from service.core.uses import Uses
from service.outside import (
    call_watches,
    key_wrappers,
    redis_options,
    redis_wait,
    replica_name,
    upstream_link,
)
from service.settings import Settings
from service.web.bulkhead import Bulkhead
from service.web.callers import Callers
from service.web.crowd import Crowd
from service.web.edge import Edge
from service.web.failure_limit import FailureLimit
from service.web.ops import Check

_MARGIN = timedelta(seconds=10)
_PATIENCE = timedelta(seconds=10)
_RELOAD_EVERY = timedelta(seconds=2)
_MAINTAIN_EVERY = timedelta(seconds=3)
_LOOK_EVERY = timedelta(seconds=5)
_WATCH_AUDIT_EVERY = timedelta(seconds=1)
_SIGN_EVERY = timedelta(seconds=5)
_STOP_WITHIN = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Broker:
    """The broker, joined: what the edge needs, and how to tell whether it is ready."""

    edge: Edge
    checks: tuple[Check, ...]
    metrics: Metrics
    backgrounds: tuple[Background, ...]
    keeper: AuditKeeper

    def start(self) -> None:
        """Begin what is done beside answering."""
        for background in self.backgrounds:
            background.start()

    def stop(self) -> None:
        """End that, and the audit chain with it."""
        for background in self.backgrounds:
            background.stop(_STOP_WITHIN)
        try:
            self.keeper.stop()
        except BrokerError as error:
            # The chain then ends as that of a process that was killed, and verifying it says so.
            structlog.get_logger().error("audit_end_unsigned", reason=error.reason)


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
        SigningKeyError: So is the key that signs the heads of the audit trail.
    """
    metrics = Metrics()
    links = IssuerLinks()
    audit = AuditFile(settings.audit_file, metrics.audit_refused)
    gate = Gate(audit, now)
    access = AccessFile(
        settings.access_file,
        now,
        links,
        metrics.access_reload,
        metrics.access_in_force,
        _recording(gate, "access.load", "policy", "access_file_refused"),
    )
    redis_watch, upstream_watch, trace = call_watches(settings, metrics)
    link = RedisLink.connect(redis_options(settings), redis_wait(settings), redis_watch)
    directory = KeyringDirectory(settings.keyring_dir, key_wrappers(settings))
    key_table = RedisKeys(link)
    agreement = KeyAgreement(key_table, metrics, settings.instance, replica_name(), now)
    keyring = KeyringInForce(
        directory.read,
        agreement.admit,
        metrics.keyring_refused,
        _recording(gate, "keyring.load", "key", "keyring_refused"),
    )
    installation = Installation(link, settings.instance, metrics.storage_wiped)
    upstream = B2BUpstream(
        upstream_link(settings, Circuit(tell=metrics.circuit_open)),
        upstream_watch,
        Deprecations(metrics.upstream_announced),
    )
    table, references_table, agreed = (
        RedisStores(link),
        RedisReferences(link, settings.upstream_requests_per_minute),
        RedisMaintenance(link),
    )
    mounted = StoresDirectory(settings.stores_dir)
    key_times = KeyTimes(settings.keyring_dir, metrics.keys_seen)
    reader = StoreReader(table, metrics, settings.instance, now)
    minter = Minter(
        gate=gate,
        keyring=keyring,
        table=references_table,
        observer=metrics,
        instance=settings.instance,
        clock=now,
    )
    uses = Uses(
        gate=gate,
        keyring=keyring,
        table=references_table,
        observer=metrics,
        tokens=TokenCache(),
        instance=settings.instance,
        clock=now,
    )
    references = References(
        gate=gate,
        keyring=keyring,
        table=references_table,
        observer=metrics,
        instance=settings.instance,
        clock=now,
    )
    cleaner = Cleaner(table, upstream, settings.instance, settings.name_prefix, now)
    issuer = Issuer(
        table=table,
        upstream=upstream,
        cleaner=cleaner,
        pause_logins=LoginPause(gate, agreed, metrics, now),
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
    locks = Locks(gate, RedisLocks(link), metrics, now)
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
    heads = RedisHeads(link)
    signing_key = settings.audit_signing_key_file
    keeper = AuditKeeper(
        gate=gate,
        sink=audit,
        table=heads,
        key=read_signing_key(signing_key) if signing_key else None,
        observer=metrics,
        instance=settings.instance,
        version=__version__,
        policy=lambda: access().policy.digest,
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
        agreement=agreement,
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
        locks=locks,
        minter=minter,
        uses=uses,
        references=references,
        keys=keys,
        proxy=Proxy(uses, upstream, repair, gate, metrics),
        explaining=Explaining(gate),
        heads=HeadReader(gate, heads),
        base_url=settings.upstream_url,
        crowd=Crowd(settings.threads),
        bulkhead=Bulkhead(settings.threads),
        observe=metrics.request,
        trace=trace,
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
        Check("locks", lambda: locks.problem, vital=False),
        Check("access_file", lambda: access.problem, vital=False),
        Check("issuers", links.problems, vital=False),
        Check("stores_dir", lambda: mounted.problem, vital=False),
    )
    backgrounds = (
        Background(
            (
                Regularly("access file", _RELOAD_EVERY, access.reload),
                Regularly("issuers' keys", _RELOAD_EVERY, links.refresh),
                Regularly("key times", _LOOK_EVERY, key_times.look),
                Regularly("locks", _LOOK_EVERY, locks.count),
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
        # Another, so that heads are not late when an issuer or Redis is slow.
        Background(
            (
                Regularly("audit trail", _WATCH_AUDIT_EVERY, keeper.watch),
                Regularly("audit heads", _SIGN_EVERY, keeper.publish),
            )
        ),
    )
    return Broker(edge, checks, metrics, backgrounds, keeper)


def _recording(gate: Gate, action: str, kind: str, reason: str) -> Callable[[bool, str], None]:
    """Return what records whether something new was taken, and what is in force since."""

    def record(taken: bool, name: str) -> None:  # noqa: FBT001 — the answer to one question
        subject = f"{kind}:{name}"
        if taken:
            gate.record_own(action, "allowed", subject=subject)
        else:
            gate.record_own(action, "denied", reason, subject)

    return record


def _quietly(ask: Callable[[], object]) -> str:
    """Return why a dependency is not there; empty when it is."""
    try:
        ask()
    except BrokerError as error:
        return error.reason
    return ""
