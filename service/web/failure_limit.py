"""How often one source may fail to prove who it is.

Each source has a bucket of failures that fills up again at a steady pace. Whoever fails with an empty bucket is told to slow down, the
same for every kind of failure, and is not recorded one by one any more, so that nobody can flood the audit trail.

Proofs that hold always pass: tokens and certificates cannot be guessed, and callers behind one address (a node, a mesh's sidecar) must not
be locked out by a neighbour. API keys are the exception, because how hard they are to guess is up to whoever made them: from a source
with an empty bucket none is looked at.

The buckets are those of one process, so a source has as many as there are processes.
"""

import ipaddress
import threading
from collections import OrderedDict
from collections.abc import Callable
from datetime import timedelta

_SOURCES = 10_000
_IPV6_HOST_BITS = 64


class FailureLimit:
    """Counts failures by source."""

    def __init__(self, per_minute: int, monotonic: Callable[[], float]) -> None:
        self._most = float(per_minute)
        self._per_second = per_minute / 60
        self._monotonic = monotonic
        self._lock = threading.Lock()
        #: source → failures left, and when that was so
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait(self, address: str) -> timedelta:
        """Return how long it is until the source may fail once more; nothing if it may now."""
        with self._lock:
            return self._until_next(self._left(_source(address)))

    def failed(self, address: str) -> timedelta:
        """Count a failure, and return how long the source should have waited with it."""
        source = _source(address)
        with self._lock:
            left = self._left(source)
            wait = self._until_next(left)
            self._buckets[source] = (left if wait else left - 1, self._monotonic())
            self._buckets.move_to_end(source)
            if len(self._buckets) > _SOURCES:
                self._buckets.popitem(last=False)
            return wait

    def _left(self, source: str) -> float:
        left, at = self._buckets.get(source, (self._most, 0.0))
        return min(self._most, left + (self._monotonic() - at) * self._per_second)

    def _until_next(self, left: float) -> timedelta:
        return timedelta(seconds=max(0.0, 1 - left) / self._per_second)


def _source(address: str) -> str:
    """Return what counts as one source: an IPv4 address, or the 64 bits that one IPv6 site has."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped:
        return str(parsed.ipv4_mapped)
    return str(int(parsed) >> _IPV6_HOST_BITS)
