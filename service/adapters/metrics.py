"""Metrics for Prometheus. Fulfils ``Observer``.

With more than one worker process, ``PROMETHEUS_MULTIPROC_DIR`` is set by ``broker serve`` before this module is imported, and the
exposition sums over the workers.
"""

import os
from collections.abc import Mapping

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector

from service import __version__

_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
MULTIPROCESS = "PROMETHEUS_MULTIPROC_DIR"


class Metrics:
    """Every metric of the broker; children are kept, because making one per request costs more than counting."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        registry = self._registry
        self._requests = Counter(
            "b2b_broker_http_requests",
            "Requests answered, by route and status code.",
            ["route", "method", "status"],
            registry=registry,
        )
        self._seconds = Histogram(
            "b2b_broker_http_request_duration_seconds",
            "Time from the first line of a request to its answer's headers.",
            ["route"],
            buckets=_BUCKETS,
            registry=registry,
        )
        self._references = Counter(
            "b2b_broker_references",
            "References minted, redeemed, used or revoked, by outcome.",
            ["operation", "outcome"],
            registry=registry,
        )
        self._issues = Counter(
            "b2b_broker_store_issues",
            "Attempts to get a store's token, by outcome.",
            ["outcome"],
            registry=registry,
        )
        self._upstream = Counter(
            "b2b_broker_upstream_calls",
            "The broker's own calls to the upstream, by operation and outcome.",
            ["operation", "outcome"],
            registry=registry,
        )
        self._security = Counter(
            "b2b_broker_security_events",
            "Things that an honest caller does not do, by kind.",
            ["kind"],
            registry=registry,
        )
        self._budget = Counter(
            "b2b_broker_budget_refusals",
            "Requests refused so that a limit on requests to the upstream holds, by kind.",
            ["kind"],
            registry=registry,
        )
        self._reloads = Counter(
            "b2b_broker_access_reloads",
            "New versions of the access file, by whether they were taken.",
            ["outcome"],
            registry=registry,
        )
        self._refused = Gauge(
            "b2b_broker_access_file_refused",
            "1 while the newest version of the access file is refused and an older one is in force.",
            registry=registry,
            multiprocess_mode="livemax",
        )
        self._paused = Gauge(
            "b2b_broker_issuing_paused",
            "1 while no password is sent, because many stores' credentials were refused within a minute.",
            registry=registry,
            multiprocess_mode="livemostrecent",
        )
        self._stores = Gauge(
            "b2b_broker_stores",
            "Stores of the whole installation, by status and by the style of their token.",
            ["status", "style"],
            registry=registry,
            multiprocess_mode="livemostrecent",
        )
        self._locks = Gauge(
            "b2b_broker_locks",
            "Locks that operators have put on, by scope: all stores (0 or 1), and how many stores by themselves.",
            ["scope"],
            registry=registry,
            multiprocess_mode="livemostrecent",
        )
        self._announced = {
            kind: Gauge(
                f"b2b_broker_upstream_{kind}_timestamp_seconds",
                f"When the {word} that the upstream announces in its answers takes effect; 0 while it announces none.",
                registry=registry,
                multiprocess_mode="max",
            )
            for kind, word in (("deprecation", "deprecation"), ("sunset", "end"))
        }
        self._counted: set[tuple[str, str]] = set()
        self._wiped = Gauge(
            "b2b_broker_storage_wiped",
            "1 when what the broker left in Redis is gone, until the broker is started again.",
            registry=registry,
            multiprocess_mode="livemax",
        )
        build = Gauge(
            "b2b_broker_build_info",
            "Always 1; the version is the label.",
            ["version"],
            registry=registry,
            multiprocess_mode="max",
        )
        build.labels(__version__).set(1)
        self._children: dict[tuple[str, ...], Counter] = {}
        self._timers: dict[str, Histogram] = {}

    def security_event(self, kind: str) -> None:
        """See ``Observer.security_event``."""
        self._child(self._security, "security", kind).inc()

    def store_issued(self, outcome: str) -> None:
        """See ``Observer.store_issued``."""
        self._child(self._issues, "issues", outcome).inc()

    def reference(self, operation: str, outcome: str) -> None:
        """See ``Observer.reference``."""
        self._child(self._references, "references", operation, outcome).inc()

    def budget_refusal(self, kind: str) -> None:
        """See ``Observer.budget_refusal``."""
        self._child(self._budget, "budget", kind).inc()

    def upstream_call(self, operation: str, outcome: str) -> None:
        """Count one of the broker's own calls to the upstream."""
        self._child(self._upstream, "upstream", operation, outcome).inc()

    def issuing_paused(self, *, paused: bool) -> None:
        """See ``Observer.issuing_paused``."""
        self._paused.set(int(paused))

    def stores_counted(self, counts: Mapping[tuple[str, str], int]) -> None:
        """See ``Observer.stores_counted``."""
        self._counted.update(counts)
        for key in self._counted:
            self._stores.labels(*key).set(counts.get(key, 0))

    def locks_counted(self, *, everything: bool, stores: int) -> None:
        """See ``Observer.locks_counted``."""
        self._locks.labels("all").set(int(everything))
        self._locks.labels("store").set(stores)

    def upstream_announced(self, kind: str, moment: float) -> None:
        """Note when something that the upstream announces takes effect."""
        self._announced[kind].set(moment)

    def access_reload(self, taken: bool) -> None:  # noqa: FBT001 — the answer to one question
        """Count a new version of the access file."""
        self._child(self._reloads, "reloads", "taken" if taken else "refused").inc()
        self._refused.set(0 if taken else 1)

    def storage_wiped(self) -> None:
        """Show that what the broker left in Redis is gone."""
        self._wiped.set(1)

    def request(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count a request."""
        self._child(self._requests, "requests", route, method, str(status)).inc()
        timer = self._timers.get(route)
        if timer is None:
            timer = self._timers[route] = self._seconds.labels(route)
        timer.observe(seconds)

    def exposition(self) -> tuple[bytes, str]:
        """Return the metrics of all workers and their content type."""
        if MULTIPROCESS in os.environ:
            registry = CollectorRegistry()
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call]  # the library leaves it untyped
        else:
            registry = self._registry
        return generate_latest(registry), CONTENT_TYPE_LATEST

    def _child(self, metric: Counter, *key: str) -> Counter:
        child = self._children.get(key)
        if child is None:
            child = self._children[key] = metric.labels(*key[1:])
        return child
