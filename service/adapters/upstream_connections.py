"""Connections to the one upstream: pinned host, verified TLS, addresses that are vetted in the breath in which they are connected to.

Source: DESIGN §9; security.md P-10, P-13.
"""

import queue
import socket
import ssl
import time
from dataclasses import dataclass
from datetime import timedelta
from http.client import HTTPException
from urllib.parse import urlsplit

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError

from service.adapters.addresses import is_public
from service.adapters.deadline import Deadline

NETWORK_ERRORS = (OSError, HTTPException, HTTPError)

_CONNECT_SECONDS = 5.0
_IDLE_CONNECTIONS = 32
_IDLE_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class UpstreamOptions:
    """Where the upstream is and how long to wait for it.

    Attributes:
        url: Scheme, host and port; nothing else.
        ca_file: Whom to trust; empty for the system's.
        timeout: For one whole exchange.
        admits_private: Admit addresses that are not global.
    """

    url: str
    ca_file: str
    timeout: timedelta
    admits_private: bool


class Connections:
    """Makes connections to the pinned host."""

    def __init__(self, options: UpstreamOptions) -> None:
        parts = urlsplit(options.url)
        self._host = parts.hostname or ""
        self._secure = parts.scheme == "https"
        self._port = parts.port or (443 if self._secure else 80)
        self._admits_private = options.admits_private
        self._context: ssl.SSLContext | None = None
        if self._secure:
            self._context = ssl.create_default_context(cafile=options.ca_file or None)
            self._context.minimum_version = ssl.TLSVersion.TLSv1_2
            # Python asks OpenSSL 3 to take any end for a good one; older ones know no such option, and need none.
            self._context.options &= ~getattr(ssl, "OP_IGNORE_UNEXPECTED_EOF", 0)

    def new(self, deadline: Deadline) -> HTTPConnection:
        """Return a connection that is yet to be connected."""
        seconds = min(deadline.left(), _CONNECT_SECONDS)
        connection: _PlainConnection | _SecureConnection
        if self._context is None:
            connection = _PlainConnection(self._host, self._port, timeout=seconds)
        else:
            connection = _SecureConnection(
                self._host, self._port, timeout=seconds, ssl_context=self._context
            )
        connection.admits_private = self._admits_private
        connection.deadline = deadline
        return connection


class IdleConnections:
    """Connections that wait for their next request; the last one in is the first one out."""

    def __init__(self) -> None:
        self._connections: queue.LifoQueue[tuple[HTTPConnection, float]] = queue.LifoQueue(
            _IDLE_CONNECTIONS
        )

    def get(self) -> HTTPConnection | None:
        """Return one that can be used, if there is any."""
        while True:
            try:
                connection, since = self._connections.get_nowait()
            except queue.Empty:
                return None
            # Readable while idle means closed, or sending what nobody asked for: neither is used again. One that was idle for
            # long may have been forgotten by something in between.
            if is_quiet(connection) and time.monotonic() - since < _IDLE_SECONDS:
                return connection
            connection.close()

    def put(self, connection: HTTPConnection) -> None:
        """Keep one, or close it where there are enough."""
        try:
            self._connections.put_nowait((connection, time.monotonic()))
        except queue.Full:
            connection.close()


def is_quiet(connection: HTTPConnection) -> bool:
    """Tell whether a connection is open and nothing came that nobody asked for; under TLS it may be decrypted already."""
    sock = connection.sock
    return connection.is_connected and not (isinstance(sock, ssl.SSLSocket) and sock.pending())


class _VettedMixin:
    """Connects only to addresses that were vetted in the same breath, so that a name cannot be rebound in between."""

    admits_private: bool
    deadline: Deadline

    def _new_conn(self) -> socket.socket:
        host, port = self.host, self.port  # type: ignore[attr-defined]  # of the connection class
        error: OSError | None = None
        for family, kind, protocol, _, address in socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM
        ):
            if not self.admits_private and not is_public(str(address[0])):
                error = OSError("the address is not global")
                continue
            try:
                sock = socket.socket(family, kind, protocol)
            except OSError as failed:  # a host without IPv6 may still be told of such an address
                error = failed
                continue
            try:
                sock.settimeout(min(self.deadline.left(), _CONNECT_SECONDS))
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                sock.connect(address)
            except OSError as failed:
                sock.close()
                error = failed
            else:
                return sock
        raise error or OSError("no address")


class _PlainConnection(_VettedMixin, HTTPConnection):
    """Plain HTTP, for the sandbox."""


class _SecureConnection(_VettedMixin, HTTPSConnection):
    """HTTPS. A connection that ends without TLS's word for it was cut, and so was a body that ends with it (RFC 9112 §9.8)."""

    def connect(self) -> None:
        """Connect, and shake hands."""
        super().connect()
        self.sock.suppress_ragged_eofs = False  # type: ignore[union-attr]  # typeshed leaves out this one
