"""Metrics for Prometheus, as ``metric_list`` describes them. Fulfils ``Observer`` and ``KeyObserver``.

With more than one worker process, ``PROMETHEUS_MULTIPROC_DIR`` is set by ``broker serve`` before this module is imported, and the
exposition sums over the workers, over those that have ended too.
"""

import os
from collections.abc import Mapping
from datetime import datetime

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector

from service import __version__
from service.adapters.calls import OK
from service.adapters.metric_list import METRICS, PREFIX, SECURITY_EVENTS, Metric

MULTIPROCESS = "PROMETHEUS_MULTIPROC_DIR"
OTHER = "other"
MOST_SERIES = 400
"""Of one metric. Labels are fixed words, but for a status, which is the upstream's; whatever goes wrong, memory does not."""
_HASH_DIGITS = 12


class Metrics:
    """Every metric of the broker; children are kept, because making one per request costs more than counting."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # the library leaves it untyped
        self._registry = CollectorRegistry()
        self._metrics = {metric.name: _made(metric, self._registry) for metric in METRICS}
        self._children: dict[str, dict[tuple[str, ...], object]] = {
            metric.name: {} for metric in METRICS
        }
        self._gauge("build_info", __version__).set(1)
        self._gauge("workers").set(1)
        self._gauge("worker_start_time_seconds").set_to_current_time()

    # --- requests, references, stores

    def request(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count a request."""
        self._counter("http_requests", route, method, str(status)).inc()
        self._histogram("http_request_duration_seconds", route).observe(seconds)

    def reference(self, operation: str, outcome: str) -> None:
        """See ``Observer.reference``."""
        self._counter("references", operation, outcome).inc()

    def references_counted(self, live: int) -> None:
        """See ``Observer.references_counted``."""
        self._gauge("references_live").set(live)

    def store_issued(self, outcome: str) -> None:
        """See ``Observer.store_issued``."""
        self._counter("store_issues", outcome).inc()

    def issuing_paused(self, *, paused: bool) -> None:
        """See ``Observer.issuing_paused``."""
        self._gauge("issuing_paused").set(int(paused))

    def stores_counted(self, counts: Mapping[tuple[str, str], int]) -> None:
        """See ``Observer.stores_counted``."""
        self._replace("stores", {tuple(key): count for key, count in counts.items()})

    def locks_counted(self, *, everything: bool, stores: int) -> None:
        """See ``Observer.locks_counted``."""
        self._gauge("locks", "all").set(int(everything))
        self._gauge("locks", "store").set(stores)

    # --- the upstream and Redis

    def upstream_call(self, operation: str, outcome: str, seconds: float) -> None:
        """Count a call to the upstream."""
        self._counter("upstream_calls", operation, outcome).inc()
        self._histogram("upstream_call_duration_seconds", operation).observe(seconds)

    def circuit_open(self, is_open: bool) -> None:  # noqa: FBT001 — a state, told as it is
        """Show whether the upstream counts as away."""
        self._gauge("upstream_circuit_open").set(int(is_open))

    def budget_left(self, share: float) -> None:
        """See ``Observer.budget_left``."""
        self._histogram("upstream_budget_left_ratio").observe(share)

    def budget_refusal(self, kind: str) -> None:
        """See ``Observer.budget_refusal``."""
        self._counter("budget_refusals", kind).inc()

    def upstream_announced(self, kind: str, moment: float) -> None:
        """Note when something that the upstream announces takes effect."""
        self._gauge(f"upstream_{kind}_timestamp_seconds").set(moment)

    def redis_call(self, operation: str, outcome: str, seconds: float) -> None:
        """Count a call to Redis."""
        self._histogram("redis_call_duration_seconds", operation).observe(seconds)
        if outcome != OK:
            self._counter("redis_errors", operation, outcome).inc()

    def storage_wiped(self) -> None:
        """Show that what the broker left in Redis is gone."""
        self._gauge("storage_wiped").set(1)

    # --- keys, policy, audit, security

    def keys_seen(self, made_at: Mapping[str, float]) -> None:
        """Show when each key of the keyring was made, in seconds since 1970."""
        self._replace("keyring_key_timestamp_seconds", {(key,): at for key, at in made_at.items()})

    def records_counted(self, counts: Mapping[str, int]) -> None:
        """See ``KeyObserver.records_counted``."""
        self._replace("records", {(key_id,): count for key_id, count in counts.items()})

    def primary_pending(self, *, pending: bool) -> None:
        """See ``KeyObserver.primary_pending``."""
        self._gauge("primary_key_pending").set(int(pending))

    def keyring_refused(self, refused: bool) -> None:  # noqa: FBT001 — the answer to one question
        """Note whether the newest keyring is refused."""
        self._gauge("keyring_refused").set(int(refused))

    def access_reload(self, taken: bool) -> None:  # noqa: FBT001 — the answer to one question
        """Count a new version of the access file."""
        self._counter("access_reloads", "taken" if taken else "refused").inc()
        self._gauge("access_file_refused").set(0 if taken else 1)

    def access_in_force(self, digest: str) -> None:
        """Show which access file has just been taken, by its digest in hex."""
        self._gauge("access_file_hash").set(int(digest[:_HASH_DIGITS], 16))
        self._gauge("access_file_loaded_timestamp_seconds").set_to_current_time()

    def audit_refused(self, reason: str) -> None:
        """Count an audit entry that could not be written."""
        self._counter("audit_failures", reason).inc()

    def audit_head_signed(self, at: datetime) -> None:
        """See ``Observer.audit_head_signed``."""
        self._gauge("audit_head_timestamp_seconds").set(at.timestamp())

    def security_event(self, kind: str) -> None:
        """See ``Observer.security_event``."""
        self._counter("security_events", kind if kind in SECURITY_EVENTS else OTHER).inc()

    # --- the broker itself

    def log_line_lost(self) -> None:
        """Count a log line that nobody took."""
        self._counter("log_lines_lost").inc()

    def exposition(self) -> tuple[bytes, str]:
        """Return the metrics of all workers and their content type."""
        if MULTIPROCESS in os.environ:
            registry = CollectorRegistry()
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call]  # the library leaves it untyped
        else:
            registry = self._registry
        return generate_latest(registry), CONTENT_TYPE_LATEST

    def _counter(self, name: str, *labels: str) -> Counter:
        child = self._children[name].get(labels) or self._new_child(name, labels)
        assert isinstance(child, Counter)  # noqa: S101 — as the list says
        return child

    def _gauge(self, name: str, *labels: str) -> Gauge:
        child = self._children[name].get(labels) or self._new_child(name, labels)
        assert isinstance(child, Gauge)  # noqa: S101 — as the list says
        return child

    def _histogram(self, name: str, *labels: str) -> Histogram:
        child = self._children[name].get(labels) or self._new_child(name, labels)
        assert isinstance(child, Histogram)  # noqa: S101 — as the list says
        return child

    def _new_child(self, name: str, labels: tuple[str, ...]) -> object:
        known = self._children[name]
        if len(known) >= MOST_SERIES:
            labels = (OTHER,) * len(labels)
        metric = self._metrics[name]
        child = known[labels] = metric.labels(*labels) if labels else metric
        return child

    def _replace(self, name: str, values: Mapping[tuple[str, ...], float]) -> None:
        """Set a gauge's series; those that are not told any more become 0, since a worker cannot take back what it has shown."""
        for labels in {*self._children[name], *values}:
            self._gauge(name, *labels).set(values.get(labels, 0))


def _made(metric: Metric, registry: CollectorRegistry) -> Counter | Gauge | Histogram:
    name = f"{PREFIX}{metric.name}"
    if metric.kind == "counter":
        return Counter(name, metric.meaning, metric.labels, registry=registry)
    if metric.kind == "histogram":
        return Histogram(
            name, metric.meaning, metric.labels, registry=registry, buckets=metric.buckets
        )
    return Gauge(
        name, metric.meaning, metric.labels, registry=registry, multiprocess_mode=metric.mode
    )
