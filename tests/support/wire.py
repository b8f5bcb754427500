"""A server on loopback that speaks bytes and that a test scripts."""

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

_STEP_SECONDS = 0.02
_LONGEST_HEAD = 64 * 1024


class Wire:
    """One connection of a scripted server."""

    def __init__(self, sock: socket.socket, number: int, stopping: threading.Event) -> None:
        self.sock = sock
        self.number = number
        self.stopping = stopping
        self._read = b""

    def read_request(self) -> bytes:
        """Return the next request, head and body as they came; empty at the end."""
        while b"\r\n\r\n" not in self._read:
            if not self._more():
                return b""
        head, _, self._read = self._read.partition(b"\r\n\r\n")
        return head + b"\r\n\r\n" + self._body(head.lower())

    def send(self, data: bytes) -> None:
        """Send bytes."""
        self.sock.sendall(data)

    def drip(self, data: bytes) -> None:
        """Send one byte at a time, until the test is over or the other side has enough."""
        for position in range(len(data)):
            if self.stopping.wait(_STEP_SECONDS):
                return
            self.send(data[position : position + 1])

    def _body(self, head: bytes) -> bytes:
        if b"\r\ntransfer-encoding:" in head:
            while not self._read.endswith(b"0\r\n\r\n") and self._more():
                pass
            size = len(self._read)
        else:
            lines = [line for line in head.split(b"\r\n") if line.startswith(b"content-length:")]
            size = int(lines[0].partition(b":")[2]) if lines else 0
            while len(self._read) < size and self._more():
                pass
        body, self._read = self._read[:size], self._read[size:]
        return body

    def _more(self) -> bool:
        received = self.sock.recv(_LONGEST_HEAD)
        self._read += received
        return bool(received)


@dataclass
class ScriptedServer:
    """What a scripted server saw.

    Attributes:
        port: Where it listens.
        connections: How many were accepted.
        requests: Those that a script noted.
    """

    port: int
    connections: int = 0
    requests: list[bytes] = field(default_factory=list)


@contextlib.contextmanager
def scripted_server(
    script: Callable[[Wire, ScriptedServer], None], tls: ssl.SSLContext | None = None
) -> Iterator[ScriptedServer]:
    """Run a server that gives each connection to ``script`` on a thread of its own."""
    stopping = threading.Event()
    threads: list[threading.Thread] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = ScriptedServer(listener.getsockname()[1])

        def serve(sock: socket.socket, number: int) -> None:
            with contextlib.suppress(OSError), contextlib.closing(sock):
                wrapped = tls.wrap_socket(sock, server_side=True) if tls else sock
                with contextlib.closing(wrapped):
                    script(Wire(wrapped, number, stopping), server)

        def accept() -> None:
            while True:
                try:
                    sock, _ = listener.accept()
                except OSError:
                    return
                if stopping.is_set():
                    sock.close()
                    return
                sock.settimeout(20)
                server.connections += 1
                thread = threading.Thread(
                    target=serve, args=(sock, server.connections), daemon=True
                )
                threads.append(thread)
                thread.start()

        accepting = threading.Thread(target=accept, daemon=True)
        accepting.start()
        try:
            yield server
        finally:
            stopping.set()
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", server.port), 1).close()
            accepting.join(5)


def answering(*answers: bytes) -> Callable[[Wire, ScriptedServer], None]:
    """Return a script that gives one answer to each request of a connection, then closes it."""

    def script(wire: Wire, server: ScriptedServer) -> None:
        for answer in answers:
            request = wire.read_request()
            if not request:
                return
            server.requests.append(request)
            wire.send(answer)

    return script


def answer(body: bytes, status: str = "200 OK", *headers: str) -> bytes:
    """Return the bytes of an HTTP answer with a length."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body
