"""Workload tokens: signed JWTs of issuers that the access file names, under a strict profile.

The checks, numbered; each block of code carries its number:

 1. three canonical base64url parts, 8 KiB at most
 2. header and claims are strict JSON objects; the header has ``alg``, ``kid`` and ``typ`` only, so nothing in it can name a key
 3. the issuer is one of the access file's, named by ``iss``, or for a JWT-SVID by the trust domain of its ``sub``; no address found in a
    token is ever fetched
 4. the key is that issuer's, named by ``kid``, and the algorithm is one that this key's type verifies
 5. signature, ``iss``, ``exp``, ``nbf``, ``iat`` (10 s of leeway), by PyJWT; a JWT-SVID needs neither ``iss`` nor ``iat``
 6. ``aud`` is exactly ours, and no other: a token that is good elsewhere could be replayed from there
 7. a life of at most 24 hours
 8. the identity follows from the claims, for Kubernetes from both of the places that state it
 9. where the access file asks for it, the cluster still knows the token

All failures look alike from outside. A token that passed is remembered by its SHA-256 until it expires.

Source: RFC 7519; RFC 8725; JWT-SVID §2 to §5; security.md §2.2, §5.1.
"""

import base64
import hashlib
import re
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, Protocol

import jwt
from jwt.exceptions import PyJWTError

from service.adapters.jwk_sets import VerifyingKey
from service.adapters.spiffe import trust_domain_of
from service.adapters.token_review import TokenReviews
from service.core.caller import Caller
from service.core.clock import Clock
from service.core.errors import UnauthenticatedError
from service.core.secret import Secret
from service.core.strict_json import BadJsonError, parse_json

_LONGEST = 8 * 1024
_SHAPE = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+", re.ASCII)
_HEADER_MEMBERS = {"alg", "kid", "typ"}
_TYPES = (None, "JWT", "at+jwt")
_TYPES_OF_SVIDS = (None, "JWT", "JOSE")
_LEEWAY = timedelta(seconds=10)
_LONGEST_LIFE = timedelta(hours=24)
_REMEMBERED = 10_000
_END_OF_TIME = 10**11
_SUBJECT = re.compile(r"[A-Za-z0-9._@:/+=|-]{1,200}", re.ASCII)
_REQUIRED = ["exp", "iat", "iss", "aud", "sub"]
_REQUIRED_OF_SVIDS = ["exp", "aud", "sub"]
_DNS_LABEL = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?", re.ASCII)

Identified = tuple[str, tuple[str, ...]]
"""An identity, and the names that it is made of."""


class KeySource(Protocol):
    """The public keys of an issuer."""

    def find(self, kid: str | None) -> VerifyingKey | None:
        """Return the key that a token names, or None.

        Raises:
            IssuerAwayError: There are no keys at this moment.
        """


@dataclass(frozen=True, slots=True)
class TokenIssuer:
    """An issuer of workload tokens.

    Attributes:
        name: Of the entry in the access file.
        kind: How the identity follows from the claims.
        issuer: The exact ``iss``; for SPIFFE the trust domain.
        audience: The exact ``aud``.
        keys: Its public keys.
        reviews: Whom to ask beside that whether a token is still good; None for nobody.
    """

    name: str
    kind: Literal["kubernetes", "oidc", "spiffe"]
    issuer: str
    audience: str
    keys: KeySource
    reviews: TokenReviews | None = None


class WorkloadTokens:
    """Verifies workload tokens of a fixed set of issuers."""

    def __init__(self, issuers: Iterable[TokenIssuer], clock: Clock) -> None:
        self._named = {issuer.name: issuer for issuer in issuers}
        self._issuers = {(i.kind == "spiffe", i.issuer): i for i in self._named.values()}
        self._clock = clock
        self._seen: OrderedDict[bytes, Caller] = OrderedDict()

    def verify(self, token: Secret) -> Caller:
        """Return the caller whose token this is.

        Raises:
            UnauthenticatedError: A check failed; ``reason`` says which, for the audit trail only.
            IssuerAwayError: It cannot be checked at this moment.
        """
        caller = self._verified(token.reveal())
        reviews = self._named[caller.issuer].reviews
        if reviews is not None:
            reviews.check(token, "system:serviceaccount:" + ":".join(caller.names))  # 9
        return caller

    def _verified(self, text: str) -> Caller:
        digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
        caller = self._seen.get(digest)
        if caller is not None and caller.expires_at and caller.expires_at > self._clock():
            return caller
        caller = self._verify(text)
        self._seen[digest] = caller
        while len(self._seen) > _REMEMBERED:
            self._seen.popitem(last=False)
        return caller

    def _verify(self, text: str) -> Caller:
        if len(text) > _LONGEST or not _SHAPE.fullmatch(text):  # 1
            raise _refused("malformed")
        header, claims, _ = (_decode(part) for part in text.split("."))
        unverified_header, unverified_claims = _object(header), _object(claims)  # 2
        issuer = self._issuer(unverified_claims)  # 3
        types = _TYPES_OF_SVIDS if issuer.kind == "spiffe" else _TYPES
        if (
            not set(unverified_header) <= _HEADER_MEMBERS
            or unverified_header.get("typ") not in types
        ):
            raise _refused("header")
        verified = _check_signature(text, unverified_header, issuer)  # 4, 5
        if verified["aud"] not in (issuer.audience, [issuer.audience]):  # 6
            raise _refused("audience")
        begin = verified.get("iat", self._clock().timestamp())
        if verified["exp"] - begin > _LONGEST_LIFE.total_seconds():  # 7
            raise _refused("too_long_lived")
        identity, names = _IDENTITY[issuer.kind](issuer, verified)  # 8
        expires_at = datetime.fromtimestamp(int(verified["exp"]), UTC)
        return Caller(identity, issuer.name, "workload_token", expires_at, names)

    def _issuer(self, unverified_claims: dict[str, Any]) -> TokenIssuer:
        issuer = unverified_claims.get("iss", "")
        named = self._issuers.get((False, _text(issuer)))
        if named is None and isinstance(issuer, str):
            trust_domain = trust_domain_of(_text(unverified_claims.get("sub")))
            named = self._issuers.get((True, trust_domain or ""))
        if named is None:
            raise _refused("issuer_unknown")
        return named


def _check_signature(text: str, header: dict[str, Any], issuer: TokenIssuer) -> dict[str, Any]:
    kid = header.get("kid")
    if kid is not None and not _text(kid):
        raise _refused("key_unknown")
    key = issuer.keys.find(kid)
    if key is None:
        raise _refused("key_unknown")
    algorithm = _text(header.get("alg"))
    if algorithm not in key.algorithms:
        raise _refused("algorithm")
    names_itself = issuer.kind != "spiffe"
    try:
        claims: dict[str, Any] = jwt.decode(
            text,
            key.key.key,
            algorithms=[algorithm],
            issuer=issuer.issuer if names_itself else None,
            audience=issuer.audience,
            leeway=_LEEWAY,
            options={"require": _REQUIRED if names_itself else _REQUIRED_OF_SVIDS},
        )
    except (PyJWTError, ValueError, TypeError, OverflowError) as error:
        raise _refused(type(error).__name__) from None
    if not all(_is_moment(claims[name]) for name in ("exp", "iat", "nbf") if name in claims):
        raise _refused("times")
    return claims


def _is_moment(value: object) -> bool:
    """Tell whether a claim is seconds since 1970 as a number (RFC 7519 §2), and of this age."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return 0 <= value < _END_OF_TIME


def _oidc_identity(issuer: TokenIssuer, claims: dict[str, Any]) -> Identified:
    subject = _text(claims["sub"])
    if not _SUBJECT.fullmatch(subject):
        raise _refused("subject")
    return f"{issuer.name}:{subject}", (subject,)


def _kubernetes_identity(issuer: TokenIssuer, claims: dict[str, Any]) -> Identified:
    bound = claims.get("kubernetes.io")
    account = bound.get("serviceaccount") if isinstance(bound, dict) else None
    if not isinstance(bound, dict) or not isinstance(account, dict):
        raise _refused("kubernetes_claims")
    namespace, name = _text(bound.get("namespace")), _text(account.get("name"))
    if not _DNS_LABEL.fullmatch(namespace) or not _DNS_LABEL.fullmatch(name):
        raise _refused("kubernetes_claims")
    if claims["sub"] != f"system:serviceaccount:{namespace}:{name}":
        raise _refused("kubernetes_claims")
    return f"{issuer.name}:{namespace}/{name}", (namespace, name)


def _spiffe_identity(issuer: TokenIssuer, claims: dict[str, Any]) -> Identified:
    subject = _text(claims["sub"])
    if trust_domain_of(subject) != issuer.issuer:
        raise _refused("subject")
    return subject, (subject,)


_IDENTITY: dict[str, Callable[[TokenIssuer, dict[str, Any]], Identified]] = {
    "oidc": _oidc_identity,
    "kubernetes": _kubernetes_identity,
    "spiffe": _spiffe_identity,
}


def _decode(part: str) -> bytes:
    try:
        decoded = base64.b64decode(part + "=" * (-len(part) % 4), altchars=b"-_", validate=True)
    except ValueError:
        raise _refused("malformed") from None
    # Unused bits that are not zero would give one token several spellings.
    if base64.urlsafe_b64encode(decoded).rstrip(b"=") != part.encode("ascii"):
        raise _refused("malformed")
    return decoded


def _object(content: bytes) -> dict[str, Any]:
    try:
        value = parse_json(content)
    except BadJsonError:
        raise _refused("malformed") from None
    if not isinstance(value, dict):
        raise _refused("malformed")
    return value


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _refused(reason: str) -> UnauthenticatedError:
    return UnauthenticatedError("The proof of identity does not hold.", reason=f"token_{reason}")
