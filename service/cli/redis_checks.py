"""``broker doctor``: Redis, as the broker needs it."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from service.adapters.redis_facts import RedisFacts, redis_facts
from service.adapters.redis_topology import nodes_of
from service.app import now
from service.cli.finding import Finding, ok, skipped
from service.core.errors import StorageError
from service.outside import redis_options
from service.settings import Settings

_LEAST_VERSION = (6, 2)
_MOST_SKEW = timedelta(seconds=2)
_OF_ITS_ANSWER = (
    "redis version",
    "redis eviction",
    "redis persistence",
    "redis replication",
    "redis clock",
)


def check_redis(settings: Settings) -> list[Finding]:
    """Look at Redis, every process of it that takes writes."""
    try:
        asked_at = now()
        # What evicts is reported like everything else, instead of not being talked to.
        nodes = nodes_of(replace(redis_options(settings), allow_evicting=True))
        found = redis_facts(nodes)
        answered_at = now()
    except StorageError as error:
        away = Finding(
            "redis",
            "failed",
            f"{error.reason} at {settings.redis_url}",
            "The broker answers 503 (storage_unavailable) to everything and recovers by itself.",
            "See whether Redis runs, and whether the network lets the broker there. If it is Redis that refuses: the password in"
            " BROKER_REDIS_PASSWORD_FILE, and the rights of the ACL user (README).",
        )
        return [away, *(skipped(name, "Redis does not answer") for name in _OF_ITS_ANSWER)]
    return judge_redis(settings, found, asked_at, answered_at)


def judge_redis(
    settings: Settings, found: list[RedisFacts], asked_at: datetime, answered_at: datetime
) -> list[Finding]:
    """Return what to think of the primaries of a Redis that told of themselves between two moments."""
    kinds = sorted({facts.name for facts in found})
    return [
        ok("redis", f"{len(found)} primary: {', '.join(kinds)}"),
        _first(found, _version),
        _first(found, lambda facts: _eviction(facts, settings)),
        _first(found, _persistence),
        _first(found, lambda facts: _replication(facts, settings)),
        _first(found, lambda facts: _clock(facts, asked_at, answered_at)),
    ]


def _first(found: list[RedisFacts], check: Callable[[RedisFacts], Finding]) -> Finding:
    """Return the first finding that is not well, or else the last one."""
    findings = [check(facts) for facts in found]
    return next((finding for finding in findings if finding.verdict != "ok"), findings[-1])


def _version(facts: RedisFacts) -> Finding:
    shown = _dotted(facts.version)
    if facts.version >= _LEAST_VERSION:
        return ok("redis version", f"has the commands of Redis {shown}")
    return Finding(
        "redis version",
        "failed",
        f"{shown}, and {_dotted(_LEAST_VERSION)} is needed",
        "Scripts of the broker use commands that it does not have: minting fails.",
        "Upgrade Redis, or move to Valkey.",
    )


def _eviction(facts: RedisFacts, settings: Settings) -> Finding:
    if facts.eviction == "noeviction":
        return ok("redis eviction", "noeviction")
    return Finding(
        "redis eviction",
        "warning" if settings.allow_evicting_redis else "failed",
        f"maxmemory-policy is {facts.eviction}",
        "When memory is short Redis forgets something: a revoked or used-up reference may work again, a lock may be gone.",
        "CONFIG SET maxmemory-policy noeviction, and in redis.conf.",
    )


def _persistence(facts: RedisFacts) -> Finding:
    if not facts.persists:
        return Finding(
            "redis persistence",
            "failed",
            "the last write to disk failed",
            "Redis may refuse writes (redis_misconf), and a restart loses what happened since.",
            "Look at its log and its disk; then BGSAVE, or BGREWRITEAOF.",
        )
    if facts.appends:
        return ok("redis persistence", "append-only file")
    return Finding(
        "redis persistence",
        "warning",
        "no append-only file",
        "A restart of Redis loses everything since the last snapshot, stores, locks and revocations among it.",
        "CONFIG SET appendonly yes, and in redis.conf.",
    )


def _replication(facts: RedisFacts, settings: Settings) -> Finding:
    wanted = settings.redis_wait_replicas
    shown = f"{facts.replicas} replicas, {wanted} waited for"
    if facts.role != "master":
        return Finding(
            "redis replication",
            "failed",
            f"this is a {facts.role}",
            "Nothing can be written: every change ends with 503.",
            "Let BROKER_REDIS_URL name the primary, or the sentinels that know it.",
        )
    if facts.replicas < wanted:
        return Finding(
            "redis replication",
            "failed",
            shown,
            "Nothing that has an effect counts: minting, using and revoking end with 503 (not_durable).",
            "Bring the replicas back, or lower BROKER_REDIS_WAIT_REPLICAS knowing what a failover may lose.",
        )
    if facts.replicas > wanted:
        return Finding(
            "redis replication",
            "warning",
            shown,
            "A failover may bring back a revoked or used-up reference until it expires, or lose a lock.",
            "Set BROKER_REDIS_WAIT_REPLICAS to the number of replicas.",
        )
    return ok("redis replication", shown)


def _clock(facts: RedisFacts, asked_at: datetime, answered_at: datetime) -> Finding:
    if facts.time is None:
        return skipped("redis clock", "this version does not tell its time")
    early, late = asked_at - facts.time, facts.time - answered_at
    skew = max(early, late, timedelta(0))
    shown = f"{skew.total_seconds():.1f} s apart"
    if skew <= _MOST_SKEW:
        return ok("redis clock", shown)
    return Finding(
        "redis clock",
        "failed",
        shown,
        "References and leases end by both clocks: they may end early.",
        "Let both hosts follow one time source (chrony, systemd-timesyncd).",
    )


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))
