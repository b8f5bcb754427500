"""An upstream between the broker and the sandbox that keeps what it is sent, and shows it back when told to."""

import base64
import contextlib
import http.client
import json
import re
import socket
from collections.abc import Callable, Iterator
from typing import Any

from tests.support.wire import ScriptedServer, Wire, answer, scripted_server

_CREATES_TOKEN = b"POST /api/io/auth/backend "
_ALLOWED_HEADER = re.compile(rb"^(authToken|X-Auth-Token): .*\r\n", re.IGNORECASE | re.MULTILINE)
_OF_ONE_CONNECTION = {"transfer-encoding", "content-length", "connection"}
Mirror = Callable[[bytes], bytes]


class Tap:
    """Passes requests to the sandbox, or answers them by ``mirror``, which gets the request's bytes and returns the answer's."""

    def __init__(self, sandbox: int) -> None:
        self.mirror: Mirror | None = None
        self.requests: list[bytes] = []
        self._sandbox = sandbox

    def without_allowed(self) -> bytes:
        """Return all requests, less the places where a secret belongs: the token's header, and the body that asks for a token."""
        return b"\n".join(map(_without_allowed, self.requests))

    def script(self, wire: Wire, _server: ScriptedServer) -> None:
        """Serve one connection."""
        while request := wire.read_request():
            self.requests.append(request)
            if self.mirror is not None:
                wire.send(self.mirror(request))
                return
            wire.send(self._passed(request))

    def _passed(self, request: bytes) -> bytes:
        with socket.create_connection(("127.0.0.1", self._sandbox)) as connection:
            connection.sendall(request)
            response = http.client.HTTPResponse(
                connection, method=request.split(b" ", 1)[0].decode()
            )
            try:
                response.begin()
                body = response.read()
            except http.client.HTTPException as error:  # the sandbox drops connections when told to
                raise ConnectionError from error
        kept = (
            f"{name}: {value}"
            for name, value in response.getheaders()
            if name.lower() not in _OF_ONE_CONNECTION
        )
        return answer(body, f"{response.status} {response.reason}", *kept)


@contextlib.contextmanager
def tapped(sandbox: int) -> Iterator[tuple[Tap, int]]:
    """Run a tap in front of the sandbox, and give it with its port."""
    tap = Tap(sandbox)
    with scripted_server(tap.script) as server:
        yield tap, server.port


def _without_allowed(request: bytes) -> bytes:
    head, _, body = request.partition(b"\r\n\r\n")
    if head.startswith(_CREATES_TOKEN):
        fields: dict[str, Any] = json.loads(body)
        body = json.dumps(fields | {"email": "", "password": ""}).encode()
    return _ALLOWED_HEADER.sub(b"", head + b"\r\n\r\n") + body


def _error(status: str, message: str) -> bytes:
    return answer(
        json.dumps({"code": 400, "data": [], "meta": {"message": message}}).encode(), status
    )


def _encoded(request: bytes) -> str:
    return base64.urlsafe_b64encode(request).decode("ascii")


#: name → an answer that shows the request: as an error's text, whole, encoded, as headers, as another address, as no HTTP at all
MIRRORS: dict[str, Mirror] = {
    "refusal": lambda r: _error(
        "400 Bad Request", f"email or password incorrect: {r.decode('latin-1')}"
    ),
    "invalid": lambda r: _error("422 Unprocessable Entity", r.decode("latin-1")),
    "defect": lambda r: answer(r, "500 Internal Server Error"),
    "base64": lambda r: answer(_encoded(r).encode(), "503 Unavailable"),
    "success": lambda r: _error("200 OK", r.decode("latin-1")),
    "header": lambda r: answer(b"{}", "200 OK", f"X-Seen: {_encoded(r)}"),
    "redirect": lambda r: answer(b"", "302 Found", f"Location: /?{_encoded(r)}"),
    "reason": lambda r: answer(b"{}", f"418 {_encoded(r)}"),
    "garbage": lambda r: r,
}
