"""The HTTP server: accepts connections, and runs in a program of its own or inside a test."""

from __future__ import annotations

import socket
import socketserver
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.server import ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from sandbox import answers
from sandbox.answers import DropConnectionError
from sandbox.delivery import deliver
from sandbox.exchange import Exchange
from sandbox.requests import MalformedRequestError, Request, RequestBody, read_request
from sandbox.state import SandboxState

if TYPE_CHECKING:
    from collections.abc import Iterator

IDLE_SECONDS = 300
POLL_SECONDS = 0.05
#: How much of an unwanted body is read, so that the client sees the answer and not a reset.
LINGER_BYTES = 4 * 1024 * 1024


class Connection(socketserver.StreamRequestHandler):
    """One client connection: requests in order until either side has enough."""

    server: SandboxServer
    disable_nagle_algorithm = True
    timeout = IDLE_SECONDS

    def handle(self) -> None:
        """Answer requests until the connection ends."""
        with suppress(ConnectionError, TimeoutError, DropConnectionError):
            while self._answer_one():
                pass

    def _answer_one(self) -> bool:
        try:
            request = read_request(self.rfile, self._send_continue)
            if request is None:
                return False
            answer = self.server.exchange.answer(request)
        except MalformedRequestError as error:
            self._refuse(str(error))
            return False
        stays = deliver(self.wfile, request, answer, self.server.stopping)
        if not request.body.complete:
            self._linger(request)
        return stays

    def _send_continue(self) -> None:
        self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _refuse(self, reason: str) -> None:
        request = Request("GET", "/", "HTTP/1.0", [])
        request.body = RequestBody(self.rfile, 0, self._send_continue)
        answer = answers.detail_error(400, reason)
        deliver(self.wfile, request, answer, self.server.stopping)

    def _linger(self, request: Request) -> None:
        if request.value("expect"):
            return  # Such a client has not sent the body, and a 100 would come after the answer.
        with suppress(MalformedRequestError):
            for _ in request.body.pieces():
                if request.body.bytes_read > LINGER_BYTES:
                    return


class SandboxServer(ThreadingHTTPServer):
    """Listens, and gives each connection a thread."""

    daemon_threads = True
    request_queue_size = 512

    def __init__(self, address: tuple[str, int], state: SandboxState) -> None:
        self.state = state
        self.stopping = threading.Event()
        self.exchange = Exchange(state, self.stopping)
        self._open: set[socket.socket] = set()
        super().__init__(address, Connection)

    def server_bind(self) -> None:
        """Bind without the look-up of the host's name, which can take seconds."""
        socketserver.TCPServer.server_bind(self)

    @property
    def url(self) -> str:
        """Where it listens."""
        host, port = self.socket.getsockname()[:2]
        return f"http://{host}:{port}"

    def process_request(self, request: Any, client_address: Any) -> None:
        """Start a connection's thread, remembering the connection for the end."""
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Close a connection."""
        self._open.discard(request)
        super().shutdown_request(request)

    def server_close(self) -> None:
        """Stop listening and end every connection, also those that hang."""
        self.stopping.set()
        super().server_close()
        for connection in tuple(self._open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


@dataclass(frozen=True, slots=True)
class RunningSandbox:
    """A sandbox that answers: its address, and its state for a test in the same process."""

    url: str
    state: SandboxState


@contextmanager
def running_sandbox(
    port: int = 0, *, host: str = "127.0.0.1", empty: bool = False
) -> Iterator[RunningSandbox]:
    """Run a sandbox in this process for as long as the block runs.

    Args:
        port: Where to listen; 0 takes any free port.
        host: The address to listen on.
        empty: Start without the seeded stores.
    """
    server = SandboxServer((host, port), SandboxState(empty=empty))
    thread = threading.Thread(
        target=server.serve_forever, args=(POLL_SECONDS,), name="sandbox", daemon=True
    )
    thread.start()
    try:
        yield RunningSandbox(server.url, server.state)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
