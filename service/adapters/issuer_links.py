"""The way to issuers: JWK sets by address, and TokenReviews. Kept across reloads of the access file, so that what was fetched stays.

Like the link to the upstream: pinned host, verified TLS, no redirects, no proxies, total deadlines, bounded answers. The broker's own
token towards a cluster is read from its file for every request, because the kubelet rotates it.

Source: security.md §2.2, §5.1.
"""

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

from service.adapters.deadline import Watch
from service.adapters.jwk_sets import parse_jwk_set
from service.adapters.jwks_source import JwksSource, Parse
from service.adapters.token_review import PATH as REVIEW_PATH
from service.adapters.token_review import TokenReviews
from service.adapters.upstream_connections import UpstreamOptions
from service.adapters.upstream_link import UpstreamLink
from service.adapters.upstream_response import UpstreamResponse
from service.core.errors import UpstreamAnswerError, UpstreamUnreachableError
from service.core.upstream_ports import ProxyRequest

_TIMEOUT = timedelta(seconds=3)
_LARGEST_JWK_SET = 256 * 1024
_LARGEST_REVIEW = 64 * 1024
_OK = 200


@dataclass(frozen=True, slots=True)
class Address:
    """Something of an issuer's on the network.

    Attributes:
        url: ``https://…``.
        ca_file: Whom to trust; empty for the system's.
        token_file: The broker's own token towards it; empty for none.
    """

    url: str
    ca_file: str = ""
    token_file: str = ""


class IssuerLinks:
    """Keeps one source of keys and one reviewer for each address."""

    def __init__(self) -> None:
        self._watch = Watch()
        self._sources: dict[tuple[Address, Parse], JwksSource] = {}
        self._reviews: dict[tuple[Address, str], TokenReviews] = {}

    def keys(self, address: Address, parse: Parse = parse_jwk_set) -> JwksSource:
        """Return the keys behind an address; nothing is fetched yet.

        Raises:
            OSError: The file with the certificate authorities cannot be read.
        """
        if (address, parse) not in self._sources:
            link = self._link(address)

            def fetch() -> bytes:
                parts = urlsplit(address.url)
                target = f"{parts.path or '/'}{'?' + parts.query if parts.query else ''}"
                request = ProxyRequest("GET", target, _headers(address))
                response = link.exchange(request)
                if response.status != _OK:
                    response.close()
                    raise UpstreamAnswerError("No JWK set.", reason="jwks_refused")
                return response.read(_LARGEST_JWK_SET)

            self._sources[address, parse] = JwksSource(fetch, parse=parse)
        return self._sources[address, parse]

    def reviews(self, address: Address, audience: str) -> TokenReviews:
        """Return the reviewer behind a cluster's address.

        Raises:
            OSError: The file with the certificate authorities cannot be read.
        """
        if (address, audience) not in self._reviews:
            link = self._link(address)

            def post(review: bytes) -> tuple[int, bytes]:
                headers = (*_headers(address), ("Content-Type", "application/json"))
                request = ProxyRequest("POST", REVIEW_PATH, headers, [review], len(review))
                response: UpstreamResponse = link.exchange(request, fresh=True)
                return response.status, response.read(_LARGEST_REVIEW)

            self._reviews[address, audience] = TokenReviews(post, audience)
        return self._reviews[address, audience]

    def refresh(self) -> None:
        """Fetch whatever is due; called in the background."""
        for source in tuple(self._sources.values()):
            source.refresh()

    def problems(self) -> str:
        """Return what is wrong with sources that were fetched; empty if nothing is."""
        found = (source.problem for source in self._sources.values())
        return ", ".join(problem for problem in found if problem)

    def _link(self, address: Address) -> UpstreamLink:
        parts = urlsplit(address.url)
        # A cluster's API server has a private address, so addresses are not vetted here; the operator named the host.
        origin = f"https://{parts.netloc}"
        options = UpstreamOptions(origin, address.ca_file, _TIMEOUT, admits_private=True)
        return UpstreamLink(options, self._watch)


def _headers(address: Address) -> tuple[tuple[str, str], ...]:
    headers = [
        # Kubernetes gives its keys as the first of these alone (RFC 7517 §8.5.2), and answers 406 to whoever takes only the second.
        ("Accept", "application/jwk-set+json, application/json"),
        ("Accept-Encoding", "identity"),
        ("Connection", "close"),  # the next request is minutes away
    ]
    if address.token_file:
        try:
            token = Path(address.token_file).read_text("ascii").strip()
        except (OSError, UnicodeDecodeError):
            token = ""
        if not token or not token.isprintable():
            raise UpstreamUnreachableError(
                "The broker's own token cannot be read.", reason="own_token_unreadable"
            )
        headers.append(("Authorization", f"Bearer {token}"))
    return tuple(headers)
