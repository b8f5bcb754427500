"""A small HTTP client for the tests that use the real processes."""

import json
from dataclasses import dataclass
from typing import Any

import urllib3


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer, read whole."""

    status: int
    headers: urllib3.HTTPHeaderDict
    content: bytes

    def json(self) -> Any:
        """Return the body as JSON."""
        return json.loads(self.content)


class Client:
    """Makes requests to one broker; safe to share between threads."""

    def __init__(self, port: int, connections: int = 64) -> None:
        self._pool = urllib3.HTTPConnectionPool(
            "127.0.0.1", port, maxsize=connections, block=True, timeout=30
        )

    def ask(self, token: str, method: str, path: str, body: Any = None, **headers: str) -> Reply:
        """Make one request as the holder of a workload token; underscores in header names stand for dashes."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if token:
            sent["Authorization"] = f"Bearer {token}"
        content = None
        if body is not None:
            sent["Content-Type"] = "application/json"
            content = json.dumps(body)
        response = self._pool.request(
            method, path, body=content, headers=sent, retries=False, redirect=False
        )
        return Reply(response.status, response.headers, response.data)

    def close(self) -> None:
        """Close all connections."""
        self._pool.close()
