"""Everything that can go wrong, named once.

The texts are fixed: nothing that a caller, the upstream or a file sent is ever part of an error. ``web/problems.py`` turns each
class into an HTTP problem; no other place knows status codes.
"""

from datetime import timedelta

from service.core.allowance import Allowance


class BrokerError(Exception):
    """The family of all errors that the broker answers with.

    Attributes:
        reason: A fixed word for the audit trail and the log, finer than what the caller is told.
        retry_after: When it makes sense to ask again, if it does.
    """

    def __init__(
        self, detail: str, *, reason: str = "", retry_after: timedelta | None = None
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.reason = reason
        self.retry_after = retry_after


class MalformedError(BrokerError):
    """The request cannot be read at all."""


class UnauthenticatedError(BrokerError):
    """No proof of identity, or one that does not hold. The detail never says which check failed."""


class TooManyFailuresError(BrokerError):
    """Too many proofs of identity from one source did not hold."""


class RateLimitedError(BrokerError):
    """A limit on requests through the proxy is reached, and the upstream was not asked.

    Attributes:
        allowance: The limit that is in the way.
    """

    def __init__(
        self,
        detail: str,
        *,
        reason: str = "",
        retry_after: timedelta | None = None,
        allowance: Allowance | None = None,
    ) -> None:
        super().__init__(detail, reason=reason, retry_after=retry_after)
        self.allowance = allowance


class ForbiddenError(BrokerError):
    """Policy does not allow it."""


class StoreUnknownError(BrokerError):
    """No such store."""


class AccessorUnknownError(BrokerError):
    """No such live reference."""


class StoreNotActiveError(BrokerError):
    """The store has no token that could be used; ``reason`` is its status."""


class StoreLockedError(BrokerError):
    """An operator has locked the store, or all of them; ``reason`` says which."""


class CredentialRefusedError(BrokerError):
    """The upstream refused the credential itself; it is not sent again until it changes."""


class ReferenceInvalidError(BrokerError):
    """Expired, used up, revoked, unknown, damaged or somebody else's: one answer for all, the audit knows which."""

    def __init__(self, *, reason: str) -> None:
        super().__init__("The reference is not valid for this request.", reason=reason)


class AmbiguousTargetError(BrokerError):
    """The path could be read in two ways by two parties, so the broker does not forward it."""


class NeverProxiedError(BrokerError):
    """The path makes, lists or deletes credentials; it is not forwarded for anybody."""


class ScopeError(BrokerError):
    """The request is outside the reference's request scope."""


class StoreBusyError(BrokerError):
    """Another request is issuing this store's token and did not finish in time."""


class IssuingPausedError(BrokerError):
    """Many credentials were refused lately, so that none is sent for a moment."""


class CredentialNeededError(BrokerError):
    """A token is to be made and no credential is at hand: none given, retained or mounted."""


class TokenRejectedError(BrokerError):
    """The upstream rejects the store's token itself; ``retry_after`` is set when a repair is under way or was done."""


class KeyUnknownError(BrokerError):
    """No such key."""


class KeyInUseError(BrokerError):
    """The key cannot be let go of; ``reason`` says what it is used for."""


class LockedError(BrokerError):
    """There is no usable keyring, so nothing can be sealed, opened or verified."""


class StorageError(BrokerError):
    """Redis did not answer, or refused."""


class AuditError(BrokerError):
    """The audit entry could not be written, so nothing may happen."""


class IntegrityError(BrokerError):
    """A stored value is not what was stored; ``reason`` says which check found it."""


class UpstreamError(BrokerError):
    """The upstream did not do what was asked.

    Attributes:
        processed: False when it is certain that the request had no effect upstream; True means *perhaps*.
    """

    processed = True


class UpstreamUnreachableError(UpstreamError):
    """No byte of the request can have reached the upstream."""

    processed = False


class UpstreamRateLimitedError(UpstreamError):
    """The upstream asks for a slower pace."""

    processed = False


class UpstreamRefusedError(UpstreamError):
    """The upstream says that the request itself is invalid."""

    processed = False


class UpstreamTimeoutError(UpstreamError):
    """The upstream did not answer within the total deadline; what it did is unknown."""


class UpstreamAnswerError(UpstreamError):
    """The upstream answered something that cannot be relied on; what it did is unknown."""


class ForeignTokenError(UpstreamError):
    """The upstream answered with a token that names another store."""


class TokenLeakError(BrokerError):
    """The upstream's answer contains the store's own token and is withheld."""


class IssuerAwayError(BrokerError):
    """Who is calling cannot be verified at this moment, through no fault of the caller."""
