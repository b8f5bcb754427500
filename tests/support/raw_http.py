"""HTTP as bytes on a socket: what a client library would never send, and what really comes back."""

import socket

_SILENCE_SECONDS = 0.4
_LONGEST_SECONDS = 20.0
_PIECE = 65536


def exchange(port: int, sent: bytes) -> tuple[bytes, bool]:
    """Send bytes, and return all that comes back and whether the server has closed the connection.

    It is read until the server closes, or says no more after it has said something.
    """
    received = bytearray()
    with socket.create_connection(("127.0.0.1", port), timeout=_LONGEST_SECONDS) as connection:
        try:
            connection.sendall(sent)
            while piece := connection.recv(_PIECE):
                received += piece
                connection.settimeout(_SILENCE_SECONDS)
        except TimeoutError:
            return bytes(received), False
        except ConnectionError:
            pass
    return bytes(received), True


def statuses(received: bytes) -> list[int]:
    """Return the status of each answer in what came back, interim ones too."""
    lines = received.replace(b"HTTP/1.1 ", b"\r\nHTTP/1.1 ").split(b"\r\n")
    return [int(line[9:12]) for line in lines if line.startswith(b"HTTP/1.1 ")]


class KeptAlive:
    """A connection for many requests whose answers all have a length."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._socket: socket.socket | None = None
        self.connections = 0

    def ask(self, sent: bytes) -> int:
        """Send one request, on a new connection if the server has closed the old one, and return the status of its answer."""
        if self._socket is None:
            self._socket = socket.create_connection(("127.0.0.1", self._port), timeout=10)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.connections += 1
        self._socket.sendall(sent)
        head, _, body = self._head().partition(b"\r\n\r\n")
        fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
        left = int(fields[b"content-length"]) - len(body)
        while left:
            left -= len(self._receive(left))
        if fields.get(b"connection") == b"close":
            self.close()
        return int(head[9:12])

    def close(self) -> None:
        """Close the connection."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _head(self) -> bytes:
        received = b""
        while b"\r\n\r\n" not in received:
            received += self._receive(_PIECE)
        return received

    def _receive(self, size: int) -> bytes:
        assert self._socket is not None
        piece = self._socket.recv(size)
        assert piece, "the connection was closed within an answer"
        return piece
