"""A client of the broker that keeps every answer, less the one secret that some answers are there to give."""

import contextlib
import json
import socket
import ssl
from typing import Any

import urllib3

from tests.leaks.canaries import Canaries
from tests.support.http import Reply
from tests.support.tls import TlsClient

#: what is asked → the member of its answer that holds a secret, on purpose
_RELEASED = {
    ("POST", "/v1/references"): "reference",
    ("POST", "/v1/references/redeem"): "headers",
}
_TIMEOUT_SECONDS = 20


class Recorder(TlsClient):
    """Makes requests, over TLS."""

    def __init__(self, port: int, context: ssl.SSLContext, canaries: Canaries) -> None:
        super().__init__(port, context)
        self.answers: list[bytes] = []
        self._port = port
        self.context = context
        self._canaries = canaries

    def ask(self, token: str, method: str, path: str, body: Any = None, **headers: str) -> Reply:
        """See ``Client.ask``."""
        reply = super().ask(token, method, path, body, **headers)
        self._keep(reply, _released(method, path, reply))
        return reply

    def post(self, path: str, content: bytes, **headers: str) -> Reply:
        """Send a body as it is."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        sent["Connection"] = "close"  # one that is refused is not read to its end
        response = self._pool.request("POST", path, body=content, headers=sent, retries=False)
        reply = Reply(response.status, response.headers, response.data)
        self._keep(reply, [])
        return reply

    def send(self, raw: bytes) -> bytes:
        """Send bytes on a connection of their own, and return what comes back before it is closed."""
        received = b""
        plain = socket.create_connection(("127.0.0.1", self._port), timeout=_TIMEOUT_SECONDS)
        with (
            plain,
            self.context.wrap_socket(plain, server_hostname="localhost") as connection,
            contextlib.suppress(OSError),  # the broker may close before it has read all of it
        ):
            connection.sendall(raw)
            while piece := connection.recv(65_536):
                received += piece
        self.answers.append(received)
        return received

    def _keep(self, reply: Reply, released: list[str]) -> None:
        content = reply.content
        for secret in released:
            self._canaries.add("a released secret", secret)
            content = content.replace(secret.encode(), b"", 1)
        self.answers.append(f"{reply.status} {_lines(reply.headers)}\n".encode() + content)


def _released(method: str, path: str, reply: Reply) -> list[str]:
    member = _RELEASED.get((method, path))
    if member is None or reply.status >= 300:
        return []
    released = json.loads(reply.content)[member]
    if isinstance(released, str):
        return [released]
    return [value for name, value in released.items() if name != "X-Store-Hash"]


def _lines(headers: urllib3.HTTPHeaderDict) -> str:
    return "\n".join(f"{name}: {value}" for name, value in headers.items())
