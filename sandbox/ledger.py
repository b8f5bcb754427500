"""Every token ever made and every login ever tried: what tests judge by. It never forgets."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any


def rfc3339(seconds: float | None) -> str | None:
    """Write Unix seconds as people and tests read them."""
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")


@dataclass(slots=True)
class TokenRow:
    """One API account row in the store's settings. Times are Unix seconds."""

    id: int
    store_hash: str
    name: str
    email: str
    token: str
    created_at: float
    begins_at: int | None = None
    ends_at: int | None = None
    deleted_at: float | None = None
    event_channel: str = "api"

    def is_live(self, now: float, revocation_delay: float = 0) -> bool:
        """Whether the token opens anything; a deleted one may linger for a delay."""
        if self.deleted_at is not None and now >= self.deleted_at + revocation_delay:
            return False
        return (self.begins_at or 0) <= now and (self.ends_at is None or now < self.ends_at)

    def as_json(self) -> dict[str, Any]:
        """Give the row as the control endpoint shows it."""
        return {
            "id": self.id,
            "store_hash": self.store_hash,
            "name": self.name,
            "email": self.email,
            "token": self.token,
            "created_at": rfc3339(self.created_at),
            "deleted_at": rfc3339(self.deleted_at),
            "event_channel": self.event_channel,
        }


@dataclass(slots=True)
class LoginCount:
    """How many times a password was accepted and refused."""

    accepted: int = 0
    refused: int = 0


class Ledger:
    """The rows and counts of all stores.

    NOTE: it takes no lock; whoever holds the state's lock calls it.
    """

    def __init__(self) -> None:
        self.tokens: list[TokenRow] = []
        #: store hash → logins with its name on them
        self.logins: dict[str, LoginCount] = defaultdict(LoginCount)
        #: store hash → requests that mixed header styles or repeated a credential header
        self.misuse: dict[str, int] = defaultdict(int)
        #: token value → its row
        self._by_value: dict[str, TokenRow] = {}

    def add(self, row: TokenRow) -> TokenRow:
        """Keep a new row, giving it the next id."""
        row.id = 1001 + len(self.tokens)
        self.tokens.append(row)
        self._by_value[row.token] = row
        return row

    def find(self, token: str) -> TokenRow | None:
        """Find the row of a token value, deleted or not."""
        return self._by_value.get(token)

    def live(self, store_hash: str, now: float) -> list[TokenRow]:
        """List the rows that the store's settings page would show, oldest first."""
        return [row for row in self.tokens if row.store_hash == store_hash and row.is_live(now)]

    def as_json(self, store_hash: str | None = None) -> dict[str, Any]:
        """Give everything, or everything of one store, as the control endpoint shows it."""

        def wanted(row_store: str) -> bool:
            return store_hash is None or row_store == store_hash

        return {
            "tokens": [row.as_json() for row in self.tokens if wanted(row.store_hash)],
            "logins": {
                key: {"accepted": count.accepted, "refused": count.refused}
                for key, count in self.logins.items()
                if wanted(key)
            },
            "misuse": {key: count for key, count in self.misuse.items() if wanted(key)},
        }
