"""``access.yaml``: who may call, and what. Read whole, checked whole, or refused whole.

The schema is in ``access_schema``, the policy and the file's own tests are in ``access_policy``; here they become a snapshot that can
verify callers.
"""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from service.adapters.access_policy import read_policy
from service.adapters.access_schema import (
    AccessDocument,
    AccessFileError,
    ApiKeyIssuerEntry,
    ApiServerEntry,
    JwksEntry,
    KubernetesEntry,
    OidcEntry,
    SpiffeEntry,
    TokenIssuerEntry,
)
from service.adapters.api_keys import ApiKeys
from service.adapters.issuer_links import Address, IssuerLinks
from service.adapters.jwk_sets import JwkSetError, parse_jwk_set, parse_spiffe_bundle
from service.adapters.jwks_source import Parse
from service.adapters.spiffe import BundleError, Svids, TrustDomain, parse_bundle
from service.adapters.workload_tokens import KeySource, TokenIssuer, WorkloadTokens
from service.core.caller import Caller
from service.core.clock import Clock
from service.core.policy import Policy
from service.core.secret import Secret

__all__ = ["AccessFileError", "AccessSnapshot", "read_access_file", "read_content"]

_LARGEST_FILE = 1024 * 1024
_LARGEST_JWK_SET = 256 * 1024
_LARGEST_BUNDLE = 256 * 1024


@dataclass(frozen=True, slots=True)
class AccessSnapshot:
    """One version of the file, ready for use. Fulfils ``Access``."""

    policy: Policy
    tokens: WorkloadTokens
    keys: ApiKeys
    svids: Svids
    files: tuple[str, ...]

    def by_token(self, token: Secret) -> Caller:
        """See ``Access.by_token``."""
        return self.tokens.verify(token)

    def by_key(self, key: Secret) -> Caller:
        """See ``Access.by_key``."""
        return self.keys.verify(key)

    def by_certificate(self, chain: Sequence[bytes]) -> Caller:
        """See ``Access.by_certificate``."""
        return self.svids.verify(chain)

    def vouched(self, identity: str) -> Caller:
        """See ``Access.vouched``."""
        return self.svids.vouched(identity)


def read_access_file(path: str, clock: Clock, links: IssuerLinks | None = None) -> AccessSnapshot:
    """Return the snapshot of an access file.

    Args:
        path: Of the file.
        clock: For the ends of tokens.
        links: The ways to issuers, kept from one version of the file to the next.

    Raises:
        AccessFileError: It cannot be read, breaks the schema, or fails its own tests.
    """
    found = read_policy(read_content(path))
    for number, test in enumerate(found.tests, start=1):
        if not test.passed:
            raise AccessFileError(
                f"tests: number {number} expects {test.expected}, but {test.because}"
            )
    tokens = _token_issuers(found.document, links or IssuerLinks())
    return AccessSnapshot(
        policy=found.policy,
        tokens=WorkloadTokens(list(tokens), clock),
        keys=ApiKeys(_key_callers(found.document)),
        svids=Svids(_trust_domains(found.document), clock),
        files=(path, *_named_files(found.document)),
    )


def read_content(path: str) -> bytes:
    """Return the content of an access file.

    Raises:
        AccessFileError: It cannot be read, or is too large to be one.
    """
    return _read(Path(path), _LARGEST_FILE)


def _read(path: Path, limit: int) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(limit + 1)
    except OSError:
        raise AccessFileError(f"{path} cannot be read") from None
    if len(content) > limit:
        raise AccessFileError(f"{path} is larger than {limit} bytes")
    return content


def _named_files(file: AccessDocument) -> Iterator[str]:
    for issuer in file.issuers:
        if isinstance(issuer, TokenIssuerEntry | SpiffeEntry) and issuer.jwks and issuer.jwks.file:
            yield issuer.jwks.file
        if isinstance(issuer, SpiffeEntry) and issuer.bundle:
            yield issuer.bundle.file


def _token_issuers(file: AccessDocument, links: IssuerLinks) -> Iterator[TokenIssuer]:
    for issuer in file.issuers:
        with _naming(issuer.name):
            if isinstance(issuer, TokenIssuerEntry):
                yield _token_issuer(issuer, links)
            elif isinstance(issuer, SpiffeEntry) and issuer.jwks and issuer.audience:
                keys = _keys(issuer.jwks, None, links, parse_spiffe_bundle)
                yield TokenIssuer(issuer.name, "spiffe", issuer.trust_domain, issuer.audience, keys)


def _trust_domains(file: AccessDocument) -> dict[str, TrustDomain]:
    found: dict[str, TrustDomain] = {}
    for issuer in file.issuers:
        if isinstance(issuer, SpiffeEntry) and issuer.bundle:
            with _naming(issuer.name):
                authorities = parse_bundle(_read(Path(issuer.bundle.file), _LARGEST_BUNDLE))
            found[issuer.trust_domain] = TrustDomain(issuer.name, authorities)
    return found


@contextlib.contextmanager
def _naming(issuer: str) -> Iterator[None]:
    """Refuse the file, by the name of the issuer, if something that the issuer names is not usable."""
    try:
        yield
    except (JwkSetError, BundleError) as error:
        raise AccessFileError(f"issuers: '{issuer}': {error}") from None
    except (OSError, ValueError):
        raise AccessFileError(f"issuers: '{issuer}': a file that it names cannot be read") from None


def _token_issuer(issuer: KubernetesEntry | OidcEntry, links: IssuerLinks) -> TokenIssuer:
    reviews = None
    server = issuer.api_server if isinstance(issuer, KubernetesEntry) else None
    if isinstance(issuer, KubernetesEntry) and issuer.token_review and server is not None:
        address = Address(server.url, server.ca_file, server.token_file)
        reviews = links.reviews(address, issuer.audience)
    return TokenIssuer(
        name=issuer.name,
        kind=issuer.type,
        issuer=issuer.issuer,
        audience=issuer.audience,
        keys=_keys(issuer.jwks, server, links),
        reviews=reviews,
    )


def _keys(
    jwks: JwksEntry,
    server: ApiServerEntry | None,
    links: IssuerLinks,
    parse: Parse = parse_jwk_set,
) -> KeySource:
    """Return the issuer's keys; a cluster's own addresses are asked with what the cluster gives to its pods."""
    if jwks.url is None:
        return parse(_read(Path(jwks.file or ""), _LARGEST_JWK_SET))
    ca_file = jwks.ca_file if jwks.ca_file is not None else server.ca_file if server else ""
    token_file = (
        jwks.token_file if jwks.token_file is not None else server.token_file if server else ""
    )
    return links.keys(Address(jwks.url, ca_file, token_file), parse)


def _key_callers(file: AccessDocument) -> dict[str, Caller]:
    callers: dict[str, Caller] = {}
    for issuer in file.issuers:
        if isinstance(issuer, ApiKeyIssuerEntry):
            for key in issuer.keys:
                if key.sha256 in callers:
                    raise AccessFileError(f"issuers: '{issuer.name}': a key stands twice")
                identity = f"{issuer.name}:{key.name}"
                callers[key.sha256] = Caller(identity, issuer.name, "api_key")
    return callers
