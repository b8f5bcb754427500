"""All that changes while the sandbox runs, behind one lock."""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sandbox.ledger import Ledger, TokenRow
from sandbox.limits import RateWindows
from sandbox.switchboard import Switchboard

if TYPE_CHECKING:
    from sandbox.requests import Request

KEPT_REQUESTS = 10_000
#: Roles that may create tokens (§1.1); "custom" is every other one.
PRIVILEGED_ROLES = ("administrator", "owner")
ROLES = (*PRIVILEGED_ROLES, "custom")


@dataclass(slots=True)
class User:
    """A back-end user of a store."""

    email: str
    password: str
    role: str


@dataclass(slots=True)
class Store:
    """A store with B2B Edition."""

    store_hash: str
    #: email → user
    users: dict[str, User] = field(default_factory=dict)
    access_tokens: set[str] = field(default_factory=set)


@dataclass(slots=True)
class RecordedRequest:
    """One request to the upstream API as it came, and whose it was."""

    method: str
    target: str
    headers: list[tuple[str, str]]
    store_hash: str | None = None
    style: str | None = None
    misuse: bool = False
    body_sha256: str | None = None
    body_bytes: int = 0
    status: int | None = None

    def as_json(self) -> dict[str, Any]:
        """Give the record as the control endpoint shows it."""
        return {
            "method": self.method,
            "target": self.target,
            "headers": [list(pair) for pair in self.headers],
            "store_hash": self.store_hash,
            "style": self.style,
            "misuse": self.misuse,
            "body_sha256": self.body_sha256,
            "body_bytes": self.body_bytes,
            "status": self.status,
        }


class SandboxState:
    """Stores, ledger, recorded requests, behaviours, rate windows and the clock.

    Attributes:
        lock: Held by whoever changes or walks through any of them.
    """

    def __init__(self, *, empty: bool = False) -> None:
        self.lock = threading.RLock()
        self._empty = empty
        self.reset()

    def reset(self) -> None:
        """Go back to the start: seeded stores, no tokens, no records, default behaviours."""
        with self.lock:
            #: store hash → store
            self.stores: dict[str, Store] = {}
            #: access token → store hash
            self.access_tokens: dict[str, str] = {}
            self.ledger = Ledger()
            self.requests: deque[RecordedRequest] = deque(maxlen=KEPT_REQUESTS)
            self.behaviours = Switchboard()
            self.windows = RateWindows()
            self.failures_counted = 0
            self._ahead_seconds = 0.0
            if not self._empty:
                for store_hash in ("abc123", "def456"):
                    self._seed(store_hash)

    def _seed(self, store_hash: str) -> None:
        self.put_user(
            store_hash,
            User(
                f"owner@{store_hash}.example",
                f"correct horse battery staple {store_hash}",
                "administrator",
            ),
        )
        self.put_user(
            store_hash,
            User(f"staff@{store_hash}.example", f"staff password {store_hash}", "custom"),
        )
        self.put_access_token(store_hash, f"{store_hash}xauthtoken00000000000000a")

    def now(self) -> float:
        """Give Unix seconds on the sandbox's clock, which a test can put forward."""
        return time.time() + self._ahead_seconds

    def advance(self, seconds: float) -> None:
        """Put the clock forward, so that nobody has to wait for a window or an expiry."""
        with self.lock:
            self._ahead_seconds += seconds

    def put_user(self, store_hash: str, user: User) -> None:
        """Add or replace a user, and the store if it is new."""
        with self.lock:
            store = self.stores.setdefault(store_hash, Store(store_hash))
            before = store.users.get(user.email)
            store.users[user.email] = user
            kills = self.behaviours.towards(store_hash).password_change_kills_tokens
            if kills and before and before != user:
                for row in self.ledger.live(store_hash, self.now()):
                    if row.email == user.email:
                        row.deleted_at = self.now()

    def put_access_token(self, store_hash: str, access_token: str) -> None:
        """Make an access token valid for a store, beside those it has."""
        with self.lock:
            self.stores.setdefault(store_hash, Store(store_hash)).access_tokens.add(access_token)
            self.access_tokens[access_token] = store_hash

    def revoke_access_token(self, access_token: str) -> bool:
        """Make an access token invalid; tell whether it was one."""
        with self.lock:
            store_hash = self.access_tokens.pop(access_token, None)
            if store_hash:
                self.stores[store_hash].access_tokens.discard(access_token)
            return store_hash is not None

    def remove_store(self, store_hash: str) -> bool:
        """Forget a store and its users, not its ledger; tell whether it was there."""
        with self.lock:
            store = self.stores.pop(store_hash, None)
            for access_token in store.access_tokens if store else ():
                del self.access_tokens[access_token]
            return store is not None

    def live_row(self, token: str) -> TokenRow | None:
        """Find the row of a token that opens something now."""
        with self.lock:
            row = self.ledger.find(token)
            if row is None or row.store_hash not in self.stores:
                return None
            delay = self.behaviours.towards(row.store_hash).revocation_delay_seconds
            return row if row.is_live(self.now(), delay) else None

    def record(self, request: Request) -> RecordedRequest:
        """Keep a request; the rest of the record is filled in as it becomes known."""
        recorded = RecordedRequest(request.method, request.target, request.headers)
        with self.lock:
            self.requests.append(recorded)
        return recorded
