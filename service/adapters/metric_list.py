"""Every metric of the broker, once: ``metrics`` makes them from this list, and a test holds docs/metrics.md against it.

Names, units and suffixes follow Prometheus' conventions: base units, ``_total`` for counters. Labels have few values, fixed words of ours:
no store and no caller, whose number nobody bounds (an access file may say ``*``); those are in the log and in the audit trail.

Source: https://prometheus.io/docs/practices/naming/
"""

from dataclasses import dataclass
from typing import Literal

PREFIX = "b2b_broker_"
Kind = Literal["counter", "gauge", "histogram"]
Mode = Literal["livemax", "livemin", "livesum", "livemostrecent", "max"]

QUICK = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1)
"""Seconds; a call to Redis ends within one."""
USUAL = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
"""Seconds; a whole exchange with the upstream ends within thirty."""
SHARES = (0.0, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0)

SECURITY_EVENTS = frozenset(
    {
        "altered",
        "audit_head_lost",
        "foreign_token",
        "forged_head",
        "grant_disagrees",
        "key_mismatch",
        "key_unavailable",
        "mac_mismatch",
        "malformed",
        "many_credentials_refused",
        "token_in_answer",
        "token_rejected",
        "used_up",
        "uses_altered",
        "wrong_caller",
    }
)


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric.

    Attributes:
        name: Without the prefix; a counter without ``_total``.
        kind: Of what kind.
        meaning: Its help text.
        labels: The names of its labels.
        mode: How a gauge is put together from several workers.
        buckets: Of a histogram.
    """

    name: str
    kind: Kind
    meaning: str
    labels: tuple[str, ...] = ()
    mode: Mode = "livemax"
    buckets: tuple[float, ...] = USUAL

    @property
    def shown_name(self) -> str:
        """As Prometheus knows it."""
        return f"{PREFIX}{self.name}{'_total' if self.kind == 'counter' else ''}"


METRICS = (
    # --- requests
    Metric(
        "http_requests",
        "counter",
        "Requests answered, by route and status code.",
        ("route", "method", "status"),
    ),
    Metric(
        "http_request_duration_seconds",
        "histogram",
        "Time from the first line of a request to its answer's headers.",
        ("route",),
    ),
    # --- references
    Metric(
        "references",
        "counter",
        "References minted, redeemed, used through the proxy or revoked, by outcome.",
        ("operation", "outcome"),
    ),
    Metric(
        "references_live",
        "gauge",
        "References of the whole installation that are neither expired, used up nor revoked; counted once a minute.",
        mode="livemostrecent",
    ),
    # --- stores
    Metric(
        "stores",
        "gauge",
        "Stores of the whole installation, by status and by the style of their token.",
        ("status", "style"),
        mode="livemostrecent",
    ),
    Metric(
        "locks",
        "gauge",
        "Locks that operators have put on, by scope: all stores (0 or 1), and how many stores by themselves.",
        ("scope",),
        mode="livemostrecent",
    ),
    Metric("store_issues", "counter", "Attempts to get a store's token, by outcome.", ("outcome",)),
    Metric(
        "issuing_paused",
        "gauge",
        "1 while no password is sent, because many stores' credentials were refused within a minute.",
        mode="livemostrecent",
    ),
    # --- the upstream
    Metric(
        "upstream_calls",
        "counter",
        "Calls to the upstream, by operation and outcome; the operation proxy is callers' requests.",
        ("operation", "outcome"),
    ),
    Metric(
        "upstream_call_duration_seconds",
        "histogram",
        "Time of calls to the upstream, by operation; of the operation proxy, to its answer's headers.",
        ("operation",),
    ),
    Metric(
        "upstream_circuit_open",
        "gauge",
        "1 while a worker does not ask the upstream, because it has not answered several times in a row.",
    ),
    Metric(
        "upstream_budget_left_ratio",
        "histogram",
        "What was left of a store's requests of the minute after each proxied request: 1 is all, 0 nothing.",
        buckets=SHARES,
    ),
    Metric(
        "budget_refusals",
        "counter",
        "Requests refused so that a limit on requests to the upstream holds, by kind.",
        ("kind",),
    ),
    Metric(
        "upstream_deprecation_timestamp_seconds",
        "gauge",
        "When the deprecation that the upstream announces in its answers takes effect; 0 while it announces none.",
        mode="max",
    ),
    Metric(
        "upstream_sunset_timestamp_seconds",
        "gauge",
        "When the end that the upstream announces in its answers takes effect; 0 while it announces none.",
        mode="max",
    ),
    # --- Redis
    Metric(
        "redis_call_duration_seconds",
        "histogram",
        "Time of calls to Redis, tries and waiting for replicas included, by operation.",
        ("operation",),
        buckets=QUICK,
    ),
    Metric(
        "redis_errors", "counter", "Calls to Redis that failed, by reason.", ("operation", "reason")
    ),
    Metric(
        "storage_wiped",
        "gauge",
        "1 when what the broker left in Redis is gone, until the broker is started again.",
    ),
    # --- keys, policy, audit, security
    Metric(
        "keyring_key_timestamp_seconds",
        "gauge",
        "When a key of the keyring was made: its id's date (k20261123), or else its file's; 0 when it is gone.",
        ("key_id",),
        mode="livemostrecent",
    ),
    Metric(
        "keyring_refused",
        "gauge",
        "1 while the newest keyring is refused; the one before it, if any, is in force.",
    ),
    Metric(
        "primary_key_pending",
        "gauge",
        "1 while the primary key does not seal yet, because not every replica has it.",
    ),
    Metric(
        "records",
        "gauge",
        "Stored values that need a key, by the key's id; one that needs two is counted under both.",
        ("key_id",),
        mode="livemostrecent",
    ),
    Metric(
        "access_reloads",
        "counter",
        "New versions of the access file, by whether they were taken.",
        ("outcome",),
    ),
    Metric(
        "access_file_refused",
        "gauge",
        "1 while the newest version of the access file is refused and an older one is in force.",
    ),
    Metric(
        "access_file_hash",
        "gauge",
        "The first 48 bits of the digest of the access file in force: the same number everywhere means the same policy.",
        mode="livemostrecent",
    ),
    Metric(
        "access_file_loaded_timestamp_seconds",
        "gauge",
        "When the access file in force was taken.",
        mode="livemostrecent",
    ),
    Metric(
        "audit_failures",
        "counter",
        "Audit entries that could not be written, so that nothing was done, by reason.",
        ("reason",),
    ),
    Metric(
        "audit_head_timestamp_seconds",
        "gauge",
        "When the head of an audit chain was last signed and stored, of the worker that is furthest behind; 0 for never.",
        mode="livemin",
    ),
    Metric(
        "security_events",
        "counter",
        "Things that an honest caller does not do, by kind.",
        ("kind",),
    ),
    # --- the broker itself
    Metric(
        "log_lines_lost",
        "counter",
        "Log lines that were lost, because standard error took no more.",
    ),
    Metric(
        "worker_start_time_seconds",
        "gauge",
        "When the youngest of the living worker processes began.",
    ),
    Metric("workers", "gauge", "Living worker processes.", mode="livesum"),
    Metric(
        "build_info", "gauge", "Always 1; the version is the label.", ("version",), mode="livemax"
    ),
)
