"""Asking the fake cluster over TLS, and a monotonic clock that stands still until a test moves it."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

from service.adapters.upstream_link import UpstreamLink
from service.core.errors import UpstreamAnswerError
from service.core.upstream_ports import ProxyRequest
from tests.adapters.calling import link_to, read
from tests.support.cluster import JWKS_PATH, REVIEW_PATH, Cluster, running_cluster


class Monotonic:
    """Fulfils ``Monotonic``."""

    def __init__(self, seconds: float = 1000.0) -> None:
        self.seconds = seconds
        self.looks = 0

    def __call__(self) -> float:
        self.looks += 1
        return self.seconds

    def move(self, seconds: float) -> None:
        """Let time go by."""
        self.seconds += seconds


class Asker:
    """Makes the two requests that the broker makes to an API server."""

    def __init__(self, link: UpstreamLink, own_token: Callable[[], str]) -> None:
        self._link = link
        self._own_token = own_token

    def fetch(self) -> bytes:
        """Fulfil ``Fetch``."""
        status, body = self._ask(ProxyRequest("GET", JWKS_PATH, self._headers()))
        if status != 200:
            raise UpstreamAnswerError("no", reason=f"status_{status}")
        return body

    def post(self, review: bytes) -> tuple[int, bytes]:
        """Fulfil ``Post``."""
        headers = (*self._headers(), ("Content-Type", "application/json"))
        return self._ask(ProxyRequest("POST", REVIEW_PATH, headers, [review], len(review)))

    def _headers(self) -> tuple[tuple[str, str], ...]:
        return (("Authorization", f"Bearer {self._own_token()}"),)

    def _ask(self, request: ProxyRequest) -> tuple[int, bytes]:
        response = self._link.exchange(request)
        return response.status, read(response)


@contextlib.contextmanager
def asked_cluster(folder: Path) -> Iterator[tuple[Cluster, Asker]]:
    """Run a cluster, and somebody who asks it with whatever token the cluster takes at the start."""
    with running_cluster(folder) as cluster:
        own_token = cluster.own_token
        with link_to(cluster.url, ca_file=cluster.ca_file) as link:
            yield cluster, Asker(link, lambda: own_token)
