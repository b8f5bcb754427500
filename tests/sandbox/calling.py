"""A caller of the sandbox over real HTTP, with the few words that its tests repeat."""

from __future__ import annotations

import http.client
import json
import socket
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

CREATE = "/api/io/auth/backend"
LIST = "/api/io/backend/tokens"
COMPANIES = "/api/v3/io/companies"
ACCESS_TOKEN = "abc123xauthtoken00000000000000a"
TIMEOUT_SECONDS = 10


@dataclass(frozen=True)
class Reply:
    """An answer, read to its end."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    def json(self) -> Any:
        """Read the body as JSON."""
        return json.loads(self.body)


def login(store_hash: str = "abc123", user: str = "owner", **more: Any) -> dict[str, Any]:
    """Make the body of a create for a seeded user."""
    words = {"owner": "correct horse battery staple", "staff": "staff password"}[user]
    return {
        "storeHash": store_hash,
        "email": f"{user}@{store_hash}.example",
        "password": f"{words} {store_hash}",
        "name": "a test",
        **more,
    }


class Caller:
    """Sends requests to one sandbox, each on a connection of its own."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.host = urlsplit(url).netloc

    def send(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> Reply:
        """Send a request; a body that is no bytes is sent as JSON."""
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        connection = http.client.HTTPConnection(self.host, timeout=TIMEOUT_SECONDS)
        try:
            connection.request(method, path, data, headers or {})
            response = connection.getresponse()
            return Reply(response.status, response.headers, response.read())
        finally:
            connection.close()

    def raw(self, data: bytes) -> bytes:
        """Send bytes and read until the server closes the connection."""
        host, port = self.host.split(":")
        with socket.create_connection((host, int(port)), TIMEOUT_SECONDS) as connection:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            return b"".join(iter(lambda: connection.recv(65_536), b""))

    def create(self, store_hash: str = "abc123", user: str = "owner", **more: Any) -> Reply:
        """Create a token."""
        return self.send("POST", CREATE, login(store_hash, user, **more))

    def token(self, store_hash: str = "abc123", **more: Any) -> str:
        """Create a token and give its value."""
        return str(self.create(store_hash, **more).json()["data"][0]["token"])

    def manage(self, method: str, path: str, body: Any = None, store_hash: str = "abc123") -> Reply:
        """Send a request below `/api/v3/io` with the store's access token."""
        headers = {
            "X-Auth-Token": f"{store_hash}xauthtoken00000000000000a",
            "X-Store-Hash": store_hash,
        }
        return self.send(method, f"/api/v3/io{path}", body, headers)

    def set(self, **behaviours: Any) -> None:
        """Set switches."""
        assert self.send("PATCH", "/_sandbox/behaviours", behaviours).status == 200

    def ledger(self) -> Any:
        """Read the ledger."""
        return self.send("GET", "/_sandbox/ledger").json()

    def requests(self) -> list[dict[str, Any]]:
        """Read the recorded requests."""
        recorded: list[dict[str, Any]] = self.send("GET", "/_sandbox/requests").json()["requests"]
        return recorded
