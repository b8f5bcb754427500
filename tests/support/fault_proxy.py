"""A TCP proxy between the broker and Redis, or between Redis and its replicas, that does what networks do.

It passes bytes until told otherwise: lose a request, lose a reply to what was executed, be slow, be a black hole, cut everything.
"""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

_CHUNK = 65_536
_LABEL_BYTES = 2_048
_SCRIPT = (b"EVAL", b"HDEL")


class _Connection:
    """A client's connection and the one to the server that belongs to it."""

    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        self.client = client
        self.server = server
        self.said = b""
        self.swallow = False
        self.closed = threading.Event()

    def close(self) -> None:
        """Cut both sides."""
        self.closed.set()
        for side in (self.client, self.server):
            with contextlib.suppress(OSError):
                side.shutdown(socket.SHUT_RDWR)
            side.close()


class FaultProxy:
    """A proxy to one port of loopback. What it loses are commands with an effect: scripts, and ``HDEL``."""

    def __init__(self, listener: socket.socket, target: int) -> None:
        self.port: int = listener.getsockname()[1]
        self.lost = 0
        self._listener = listener
        self._target = target
        self._replies_to_lose = 0
        self._requests_to_lose = 0
        self._delay_seconds = 0.0
        self._hole: tuple[bytes, ...] = ()
        self._changed = threading.Condition()
        self._connections: list[_Connection] = []

    def lose_replies(self, count: int) -> None:
        """Let Redis do the next ``count`` commands, and cut the connection instead of giving the reply."""
        self._replies_to_lose = count

    def lose_requests(self, count: int) -> None:
        """Cut the connection instead of giving the next ``count`` commands to Redis."""
        self._requests_to_lose = count

    def delay(self, seconds: float) -> None:
        """Be slow with each reply."""
        self._delay_seconds = seconds

    def swallow(self, *those_who_said: bytes) -> None:
        """Be a black hole, for all or only for those who said one of some words. What is under way is kept until ``heal``."""
        with self._changed:
            self._hole = those_who_said or (b"",)

    def heal(self) -> None:
        """Pass everything again."""
        with self._changed:
            self._hole = ()
            self._changed.notify_all()

    def close_all(self) -> None:
        """Cut all connections; what was under way is lost."""
        for connection in self._connections:
            connection.close()
        self._connections.clear()
        with self._changed:
            self._changed.notify_all()

    def accept(self) -> None:
        """Take connections until the listener closes."""
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(("127.0.0.1", self._target))
            except OSError:
                client.close()
                continue
            for side in (client, server):
                side.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection = _Connection(client, server)
            self._connections.append(connection)
            for pump in (self._to_redis, self._to_client):
                threading.Thread(target=pump, args=(connection,), daemon=True).start()

    def _to_redis(self, connection: _Connection) -> None:
        with contextlib.suppress(OSError), contextlib.closing(connection):
            while data := connection.client.recv(_CHUNK):
                if len(connection.said) < _LABEL_BYTES:
                    connection.said += data
                if any(word in data for word in _SCRIPT):
                    if self._requests_to_lose:
                        self._requests_to_lose -= 1
                        self.lost += 1
                        return
                    if self._replies_to_lose:
                        self._replies_to_lose -= 1
                        connection.swallow = True
                self._pass(connection)
                connection.server.sendall(data)

    def _to_client(self, connection: _Connection) -> None:
        with contextlib.suppress(OSError), contextlib.closing(connection):
            while data := connection.server.recv(_CHUNK):
                if connection.swallow:
                    self.lost += 1
                    return
                if self._delay_seconds:
                    time.sleep(self._delay_seconds)
                self._pass(connection)
                connection.client.sendall(data)

    def _pass(self, connection: _Connection) -> None:
        """Return when there is no black hole for this connection any more."""
        with self._changed:
            self._changed.wait_for(
                lambda: (
                    connection.closed.is_set()
                    or not any(word in connection.said for word in self._hole)
                )
            )


@contextlib.contextmanager
def fault_proxy(target: int) -> Iterator[FaultProxy]:
    """Run a proxy in front of a port of loopback."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=128)
    proxy = FaultProxy(listener, target)
    thread = threading.Thread(target=proxy.accept, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        # A blocked accept is not woken by close alone.
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)
        proxy.close_all()
