"""The public keys of an issuer from an address: fetched ahead, kept through outages for a bounded time, never fetched on demand in a flood.

* A set is used for five minutes and then refreshed in the background, while the old one stays in force.
* A ``kid`` that the set does not have fetches it again at once, because the issuer may just have rotated; but at most once in 30 s,
  whatever tokens are thrown at it.
* A set that cannot be refreshed stays in force for an hour. After that nobody of this issuer can be verified, which is a 503 and not a
  401: it is not the caller's fault.
* A set that is refused (see ``jwk_sets``) never replaces a good one.

Source: security.md §2.2, F65.
"""

import threading
import time
from collections.abc import Callable
from datetime import timedelta

from service.adapters.jwk_sets import JwkSet, JwkSetError, VerifyingKey, parse_jwk_set
from service.core.errors import IssuerAwayError, UpstreamError

REFRESH_AFTER = timedelta(minutes=5)
ASK_AGAIN_AFTER = timedelta(seconds=30)
GOOD_FOR = timedelta(hours=1)

Fetch = Callable[[], bytes]
"""Returns a JWK set document. Raises ``UpstreamError``."""

Parse = Callable[[bytes], JwkSet]
"""Reads such a document. Raises ``JwkSetError``."""

Monotonic = Callable[[], float]


class JwksSource:
    """The keys of one issuer. Fulfils ``KeySource``."""

    def __init__(
        self, fetch: Fetch, monotonic: Monotonic = time.monotonic, parse: Parse = parse_jwk_set
    ) -> None:
        self._fetch = fetch
        self._parse = parse
        self._monotonic = monotonic
        self._fetching = threading.Lock()
        self._keys: JwkSet | None = None
        self._fetched_at = 0.0
        self._asked_at = float("-inf")
        self._fetches = 0
        self.problem = "not fetched yet"

    def find(self, kid: str | None) -> VerifyingKey | None:
        """Return the key that a token names.

        Raises:
            IssuerAwayError: There is no set that is fresh enough.
        """
        keys = self._in_force()
        found = keys.find(kid) if keys else None
        if found is None and self._ask_again():
            keys = self._in_force()
            found = keys.find(kid) if keys else None
        if keys is None:
            raise IssuerAwayError(
                "The issuer's keys cannot be fetched.",
                reason="issuer_away",
                retry_after=ASK_AGAIN_AFTER,
            )
        return found

    def refresh(self) -> None:
        """Fetch the set if it is due; called in the background."""
        due = self._keys is None or self._age() > REFRESH_AFTER.total_seconds()
        if due:
            self._ask_again()

    def _in_force(self) -> JwkSet | None:
        return self._keys if self._age() <= GOOD_FOR.total_seconds() else None

    def _age(self) -> float:
        return self._monotonic() - self._fetched_at

    def _ask_again(self) -> bool:
        """Fetch the set unless that was done a moment ago; whoever comes meanwhile waits for the same answer."""
        fetches = self._fetches
        with self._fetching:
            if self._fetches != fetches:
                return True  # somebody else fetched while we waited
            if self._monotonic() - self._asked_at < ASK_AGAIN_AFTER.total_seconds():
                return False
            self._asked_at = self._monotonic()
            try:
                self._keys = self._parse(self._fetch())
                self._fetched_at = self._monotonic()
                self.problem = ""
            except (UpstreamError, JwkSetError) as error:
                self.problem = error.reason if isinstance(error, UpstreamError) else str(error)
            finally:
                self._fetches += 1
            return True
