"""How the tests of the upstream's adapter call it."""

import contextlib
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import timedelta

from service.adapters.calls import timed
from service.adapters.deadline import Watch
from service.adapters.deprecations import Deprecations
from service.adapters.upstream import B2BUpstream
from service.adapters.upstream_connections import UpstreamOptions
from service.adapters.upstream_link import UpstreamLink
from service.adapters.upstream_response import UpstreamResponse
from service.core.secret import Secret
from service.core.upstream_ports import ProxyRequest

STORE = "abc123"
EMAIL = Secret(f"owner@{STORE}.example")
PASSWORD = Secret(f"correct horse battery staple {STORE}")
ACCESS_TOKEN = Secret(f"{STORE}xauthtoken00000000000000a")
COMPANIES = "/api/v3/io/companies?limit=1"
CREDENTIAL_HEADERS = (("X-Auth-Token", ACCESS_TOKEN.reveal()), ("X-Store-Hash", STORE))
SECOND = timedelta(seconds=1)
_WATCH = Watch()


@contextlib.contextmanager
def link_to(
    url: str, *, timeout: timedelta = SECOND, ca_file: str = "", insecure: bool = True
) -> Iterator[UpstreamLink]:
    """Make a link, and close its idle connections at the end."""
    link = UpstreamLink(UpstreamOptions(url, ca_file, timeout, insecure), _WATCH)
    try:
        yield link
    finally:
        while (connection := link._idle.get()) is not None:
            connection.close()


class ObservedUpstream(B2BUpstream):
    """The adapter, and what it told its observer."""

    def __init__(self, link: UpstreamLink) -> None:
        self.observed: Counter[tuple[str, str]] = Counter()
        self.announced: list[tuple[str, float]] = []
        super().__init__(
            link,
            timed(lambda operation, outcome, _: self.observed.update([(operation, outcome)])),
            Deprecations(lambda *told: self.announced.append(told)),
        )


@contextlib.contextmanager
def upstream_to(url: str, *, timeout: timedelta = SECOND) -> Iterator[ObservedUpstream]:
    """Make the adapter on a link of its own."""
    with link_to(url, timeout=timeout) as link:
        yield ObservedUpstream(link)


def issue(upstream: B2BUpstream, name: str = "a-name") -> Secret:
    """Issue with the right password."""
    return upstream.issue(STORE, EMAIL, PASSWORD, name)


def get(target: str = COMPANIES, *headers: tuple[str, str], method: str = "GET") -> ProxyRequest:
    """Return a request with the store's access token and no body."""
    return ProxyRequest(method, target, (*CREDENTIAL_HEADERS, *headers))


def upload(
    target: str, body: Iterable[bytes], length: int | None, method: str = "PUT"
) -> ProxyRequest:
    """Return a request with a body, of a known length or in chunks."""
    return ProxyRequest(method, target, CREDENTIAL_HEADERS, body, length)


def read(response: UpstreamResponse) -> bytes:
    """Read an answer to its end and give its connection back."""
    try:
        return b"".join(response.chunks())
    finally:
        response.close()


def fetch(link: UpstreamLink, request: ProxyRequest | None = None) -> bytes:
    """Make an exchange and return its body."""
    return read(link.exchange(request or get()))
