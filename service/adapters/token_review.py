"""Asking the cluster whether a token is still good: the TokenReview API.

A token that verifies offline stays valid until it expires, even when its pod or service account was deleted. The API server knows
better. A positive answer is remembered for ten seconds, as long as the API server itself does; a negative one and an error never. While
one request asks about a token, others with the same token wait for its answer.

Source: kubernetes/api authentication/v1; security.md §5.1, F66 to F68.
"""

import hashlib
import json
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from service.core.errors import BrokerError, IssuerAwayError, UnauthenticatedError, UpstreamError
from service.core.secret import Secret
from service.core.strict_json import BadJsonError, parse_json

PATH = "/apis/authentication.k8s.io/v1/tokenreviews"
GOOD_FOR = timedelta(seconds=10)
_REMEMBERED = 10_000
_AGAIN = timedelta(seconds=5)
_DONE = (200, 201)

Post = Callable[[bytes], tuple[int, bytes]]
"""Sends a TokenReview and returns status and body. Raises ``UpstreamError``."""


class _Flight:
    """One call under way, and what came of it."""

    def __init__(self) -> None:
        self.landed = threading.Event()
        # Until it has succeeded it has failed, whatever ends it.
        self.error: BrokerError | None = _away("token_review_failed")


class TokenReviews:
    """Reviews tokens of one cluster for one audience."""

    def __init__(
        self, post: Post, audience: str, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._post = post
        self._audience = audience
        self._monotonic = monotonic
        self._good: OrderedDict[bytes, float] = OrderedDict()
        self._flights: dict[bytes, _Flight] = {}
        self._lock = threading.Lock()

    def check(self, token: Secret, username: str) -> None:
        """Return if the cluster says that the token is good, for our audience and this user.

        Raises:
            UnauthenticatedError: It says that it is not.
            IssuerAwayError: It does not say, or refuses *us*.
        """
        digest = hashlib.sha256(token.reveal().encode()).digest()
        if self._is_good(digest):
            return
        with self._lock:
            flight = self._flights.get(digest)
            first = flight is None
            if flight is None:
                flight = self._flights[digest] = _Flight()
        if first:
            self._fly(flight, digest, token, username)
        flight.landed.wait()
        if flight.error is not None:
            # A copy, because each thread adds its own traceback to what it raises.
            raise type(flight.error)(
                flight.error.detail,
                reason=flight.error.reason,
                retry_after=flight.error.retry_after,
            )

    def _fly(self, flight: _Flight, digest: bytes, token: Secret, username: str) -> None:
        try:
            self._ask(token, username)
            self._remember(digest)
            flight.error = None
        except BrokerError as error:
            flight.error = error
        finally:
            with self._lock:
                del self._flights[digest]
            flight.landed.set()

    def _is_good(self, digest: bytes) -> bool:
        return self._good.get(digest, 0.0) > self._monotonic()

    def _remember(self, digest: bytes) -> None:
        with self._lock:
            self._good[digest] = self._monotonic() + GOOD_FOR.total_seconds()
            self._good.move_to_end(digest)
            while len(self._good) > _REMEMBERED:
                self._good.popitem(last=False)

    def _ask(self, token: Secret, username: str) -> None:
        review = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenReview",
            "spec": {"token": token.reveal(), "audiences": [self._audience]},
        }
        try:
            status, body = self._post(json.dumps(review).encode())
            answer = parse_json(body)
        except (UpstreamError, BadJsonError):
            raise _away("token_review_failed") from None
        if status not in _DONE:
            # 401 and 403 mean that the API server does not let *us* ask.
            raise _away("token_review_refused")
        _require_good(answer, self._audience, username)


def _require_good(answer: Any, audience: str, username: str) -> None:
    result = answer.get("status") if isinstance(answer, dict) else None
    if not isinstance(result, dict):
        raise _away("token_review_unreadable")
    user = result.get("user")
    named = user.get("username") if isinstance(user, dict) else None
    audiences = result.get("audiences")
    # A server that does not know audiences leaves them out, and then has not checked ours.
    ours = isinstance(audiences, list) and audience in audiences
    if result.get("authenticated") is not True or not ours or named != username:
        raise UnauthenticatedError(
            "The proof of identity does not hold.", reason="token_review_negative"
        )


def _away(reason: str) -> IssuerAwayError:
    return IssuerAwayError(
        "The cluster cannot be asked about the token.", reason=reason, retry_after=_AGAIN
    )
