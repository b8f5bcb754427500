"""Who is calling: exactly one proof of identity, or none of the API.

A proof in a header belongs to this request; the client certificate belongs to the connection, which a client may share. So a header
counts before the certificate, and where the header's proof fails, nothing else is tried.

A proxy that ends TLS can tell in ``X-Forwarded-Client-Cert`` whose certificate it has verified. That is believed only of a proxy that the
settings name by its own certificate's identity, and only its own word: the last element.

Source: DESIGN §7; Envoy's documentation of ``x-forwarded-client-cert``; ecosystem.md §3.4.
"""

import re
from datetime import timedelta
from wsgiref.types import WSGIEnvironment

from werkzeug import Request

from service.core.caller import Caller
from service.core.errors import TooManyFailuresError, UnauthenticatedError
from service.core.ports import Access
from service.core.secret import Secret
from service.web.failure_limit import FailureLimit
from service.web.transport import peer_address, peer_certificates

_SCHEME = "bearer "
# One pair of an element, whole: what stands in quotes, such as a subject, is the client's own text and may hold any separator.
_PAIR = re.compile(r'([A-Za-z]+)=(?:"((?:[^"\\]|\\.)*)"|([^",;=]*))(?=[,;]|\Z)', re.ASCII)


class Callers:
    """Finds out who is calling."""

    def __init__(self, trusted_proxies: frozenset[str], failures: FailureLimit) -> None:
        """Take the identities of the proxies whose word about client certificates counts."""
        self._trusted_proxies = trusted_proxies
        self._failures = failures

    def authenticate(self, request: Request, access: Access) -> Caller:
        """Return the proven caller of a request.

        Raises:
            UnauthenticatedError: No proof, more than one, or one that does not hold.
            TooManyFailuresError: The same, once too often from this source.
        """
        address = peer_address(request.environ)
        try:
            return self._proven(request.environ, access, address)
        except UnauthenticatedError:
            wait = self._failures.failed(address)
            if wait:
                raise _too_many(wait) from None
            raise

    def _proven(self, environ: WSGIEnvironment, access: Access, address: str) -> Caller:
        authorization = environ.get("HTTP_AUTHORIZATION")
        key = environ.get("HTTP_BROKER_KEY")
        if authorization is not None and key is not None:
            # Two proofs could name two callers; which one counts would be a guess.
            raise _unproven("two_proofs")
        if key is not None:
            wait = self._failures.wait(address)
            if wait:
                raise _too_many(wait)
            return access.by_key(Secret(key))
        if authorization is not None:
            if authorization[: len(_SCHEME)].lower() != _SCHEME:
                raise _unproven("no_proof")
            return access.by_token(Secret(authorization[len(_SCHEME) :]))
        return self._by_certificate(environ, access)

    def _by_certificate(self, environ: WSGIEnvironment, access: Access) -> Caller:
        chain = peer_certificates(environ)
        if not chain:
            raise _unproven("no_proof")
        peer = access.by_certificate(chain)
        if peer.identity not in self._trusted_proxies:
            return peer
        # The proxy is never the caller itself: it would be for everybody who shows it no certificate.
        identity = _forwarded(environ.get("HTTP_X_FORWARDED_CLIENT_CERT", ""), peer)
        if identity in self._trusted_proxies:
            raise _unproven("forwarded_proxy")
        return access.vouched(identity)


def _forwarded(header: str, proxy: Caller) -> str:
    """Return the one URI of the certificate that a proxy says it verified.

    Raises:
        UnauthenticatedError: It says nothing, or nothing clear, or repeats what another proxy said.
    """
    pairs = _last_element(header)
    uris = [value for name, value in pairs if name == "uri"]
    said_by = [value for name, value in pairs if name == "by" and value]
    if len(uris) != 1:
        raise _unproven("forwarded_unclear")
    if any(name != proxy.identity for name in said_by):
        raise _unproven("forwarded_by_another")
    return uris[0]


def _last_element(header: str) -> list[tuple[str, str]]:
    """Return the name, in lower case, and the value of each pair after the last comma."""
    pairs: list[tuple[str, str]] = []
    place = 0
    while pair := _PAIR.match(header, place):
        name, quoted, plain = pair.groups()
        pairs.append((name.lower(), plain if quoted is None else re.sub(r"\\(.)", r"\1", quoted)))
        if pair.end() == len(header):
            return pairs
        place = pair.end() + 1
        if header[pair.end()] == ",":
            pairs = []
            place += len(header[place:]) - len(header[place:].lstrip(" "))
    raise _unproven("forwarded_unclear")


def _too_many(wait: timedelta) -> TooManyFailuresError:
    return TooManyFailuresError(
        "Too many proofs of identity from here did not hold.",
        reason="too_many_failures",
        retry_after=wait,
    )


def _unproven(reason: str) -> UnauthenticatedError:
    return UnauthenticatedError("One proof of identity is needed.", reason=reason)
