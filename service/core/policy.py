"""Who may do what: deny by default, and one grant of the access file must allow *all* of a request.

The rules of a decision, in the order in which they are checked for each grant; each is one function below:

 1. the caller matches one of the grant's ``callers``;
 2. the action matches one of its ``actions``;
 3. the store matches one of its ``stores`` (a request about all stores needs a grant with ``*``);
 4. for ``reference.mint`` what is asked lies within the ``limits``. What the request leaves open is narrowed to the limits;
    what it names and the limits do not allow is refused.

Source: DESIGN §8.
"""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal

from service.core.scope import is_covered
from service.core.wildcard import matches

Access = Literal["proxy", "redeem"]

ACTIONS = (
    "store.write",
    "store.read",
    "store.lock",
    "reference.mint",
    "reference.redeem",
    "reference.read",
    "reference.revoke",
    "policy.read",
    "audit.read",
)
ANY_STORE = "*"
MAX_USES = 1_000_000
DEFAULT_TTL = timedelta(minutes=5)
_IDENTITY_SEPARATORS = ":/"
_ACTION_SEPARATORS = "."


@dataclass(frozen=True, slots=True)
class Limits:
    """What a grant lets a caller mint. The defaults are the narrowest that are of use.

    Attributes:
        access: The ways in which the reference may be used.
        audiences: Identity patterns that it may be minted for; empty means only the caller itself.
        max_ttl: The longest life.
        max_uses: The most uses; None for no limit.
        requests: Request scope entries; empty means every request that the proxy forwards at all.
        max_rate: Requests a minute that each audience may send through the proxy to one store; None for no limit of its own.
    """

    access: tuple[Access, ...] = ("proxy",)
    audiences: tuple[str, ...] = ()
    max_ttl: timedelta = DEFAULT_TTL
    max_uses: int | None = None
    requests: tuple[str, ...] = ()
    max_rate: int | None = None


@dataclass(frozen=True, slots=True)
class AccessGrant:
    """One entry under ``grants`` in the access file."""

    name: str
    callers: tuple[str, ...]
    stores: tuple[str, ...]
    actions: tuple[str, ...]
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True, slots=True)
class MintAsk:
    """What a caller wants of a reference; None where it leaves the choice to the broker."""

    access: Access = "proxy"
    audience: str | None = None
    ttl: timedelta | None = None
    max_uses: int | None = None
    requests: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class MintTerms:
    """What the reference will be: the ask with everything left open decided."""

    access: Access
    audience: str
    ttl: timedelta
    max_uses: int | None
    requests: tuple[str, ...]
    max_rate: int | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """An answer of policy.

    Attributes:
        allowed: Whether it may happen.
        grant: The name of the grant that allowed it, or of the one that came nearest; empty if none came near.
        failed: The first condition of that grant that failed; empty when allowed.
        terms: For an allowed ``reference.mint``, what to mint.
    """

    allowed: bool
    grant: str
    failed: str = ""
    terms: MintTerms | None = None


# How far a grant came before it failed, so that the nearest can be named.
_CONDITIONS = ("callers", "actions", "stores", "limits")


@dataclass(frozen=True, slots=True)
class Policy:
    """The grants of one access file, ready to decide.

    Attributes:
        grants: In the order of the file.
        digest: SHA-256 of the file, hexadecimal.
    """

    grants: tuple[AccessGrant, ...]
    digest: str = ""

    def decide(
        self, identity: str, action: str, store_hash: str, ask: MintAsk | None = None
    ) -> Decision:
        """Decide whether an identity may take an action on a store.

        Args:
            identity: Of the caller.
            action: One of ``ACTIONS``.
            store_hash: The store, or ``ANY_STORE`` for something that concerns all of them.
            ask: What is to be minted, for ``reference.mint``; default: what a request is that names nothing.
        """
        if action == "reference.mint" and ask is None:
            ask = MintAsk()
        nearest = Decision(allowed=False, grant="", failed=_CONDITIONS[0])
        reached = 0
        for grant in self.grants:
            failed = _first_failure(grant, identity, action, store_hash)
            terms = None
            if not failed and ask is not None:
                terms, failed = _terms(grant.limits, identity, ask)
            if not failed:
                return Decision(allowed=True, grant=grant.name, terms=terms)
            progress = _progress(failed)
            if progress > reached:
                reached, nearest = (
                    progress,
                    Decision(allowed=False, grant=grant.name, failed=failed),
                )
        return nearest

    def stores_of(self, identity: str, action: str) -> tuple[str, ...]:
        """Return the store patterns for which an identity may take an action; empty if none."""
        return tuple(
            dict.fromkeys(
                store
                for grant in self.grants
                if _any(grant.callers, identity, _IDENTITY_SEPARATORS)
                and _any(grant.actions, action, _ACTION_SEPARATORS)
                for store in grant.stores
            )
        )

    def grants_of(self, identity: str) -> tuple[AccessGrant, ...]:
        """Return the grants that name an identity."""
        return tuple(
            grant for grant in self.grants if _any(grant.callers, identity, _IDENTITY_SEPARATORS)
        )


def store_matches(patterns: tuple[str, ...], store_hash: str) -> bool:
    """Tell whether a store is among the patterns."""
    return _any(patterns, store_hash, "")


def _any(patterns: tuple[str, ...], text: str, separators: str) -> bool:
    return any(matches(pattern, text, separators) for pattern in patterns)


def _first_failure(grant: AccessGrant, identity: str, action: str, store_hash: str) -> str:
    if not _any(grant.callers, identity, _IDENTITY_SEPARATORS):
        return "callers"
    if not _any(grant.actions, action, _ACTION_SEPARATORS):
        return "actions"
    if store_hash == ANY_STORE:
        return "" if ANY_STORE in grant.stores else "stores"
    return "" if store_matches(grant.stores, store_hash) else "stores"


def _terms(limits: Limits, identity: str, ask: MintAsk) -> tuple[MintTerms | None, str]:
    audience = identity if ask.audience is None else ask.audience
    ttl = min(DEFAULT_TTL, limits.max_ttl) if ask.ttl is None else ask.ttl
    max_uses = _default_uses(ask.access, limits.max_uses) if ask.max_uses is None else ask.max_uses
    requests = limits.requests if ask.requests is None else ask.requests
    failed = (
        "limits.access"
        if ask.access not in limits.access
        else "limits.audiences"
        if not _audience_allowed(limits, identity, audience)
        else "limits.max_ttl"
        if not timedelta(0) < ttl <= limits.max_ttl
        else "limits.max_uses"
        if not _uses_allowed(limits, max_uses)
        else "limits.requests"
        if not _requests_allowed(limits, ask.requests)
        else ""
    )
    if failed:
        return None, failed
    if ask.access == "redeem":  # whoever has the token is bound by neither
        return MintTerms(ask.access, audience, ttl, max_uses, ()), ""
    return MintTerms(ask.access, audience, ttl, max_uses, requests, limits.max_rate), ""


def _uses_allowed(limits: Limits, max_uses: int | None) -> bool:
    if max_uses is None:
        return limits.max_uses is None
    return 0 < max_uses <= (MAX_USES if limits.max_uses is None else limits.max_uses)


def _requests_allowed(limits: Limits, asked: tuple[str, ...] | None) -> bool:
    if asked is None:
        return True
    # An empty list would stand for every request there is.
    return bool(asked) and (not limits.requests or is_covered(asked, limits.requests))


def _default_uses(access: Access, limit: int | None) -> int | None:
    return 1 if access == "redeem" else limit


def _audience_allowed(limits: Limits, identity: str, audience: str) -> bool:
    if not limits.audiences:
        return audience == identity
    return _any(limits.audiences, audience, _IDENTITY_SEPARATORS)


def _progress(failed: str) -> int:
    return _CONDITIONS.index(failed.partition(".")[0])
