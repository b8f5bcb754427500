"""The server of the ops port: one thread for each connection, few of them, and none for long.

Nobody has to prove anything there, so whoever reaches the port could hold as many threads as it opens connections, up to the limit of
processes that the API's own threads count against. Here a connection is closed after a while however busy it is, and the oldest one as
soon as there are too many; a probe is answered within milliseconds and never the oldest for long.
"""

import contextlib
import socket
import sys
import threading
import time
from datetime import timedelta
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

import structlog

MOST = 64
"""Connections at a time."""
LONGEST = timedelta(seconds=5)
"""From the first byte to the last."""


class OpsServer(ThreadingMixIn, WSGIServer):
    """Serves a WSGI application on a socket that listens already."""

    daemon_threads = True
    block_on_close = False  # it would keep every thread that ever was

    def __init__(self, listener: socket.socket, longest: timedelta = LONGEST) -> None:
        super().__init__(listener.getsockname()[:2], _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listener
        self.server_name, self.server_port = listener.getsockname()[:2]
        self.setup_environ()
        self._longest = longest.total_seconds()
        self._lock = threading.Lock()
        #: connection → when it began; the oldest first
        self._open: dict[socket.socket, float] = {}

    def process_request(self, request: Any, client_address: Any) -> None:
        """Give a connection a thread, at the cost of the oldest one when there are too many."""
        with self._lock:
            if len(self._open) >= MOST:
                oldest = next(iter(self._open))
                del self._open[oldest]
                _cut(oldest)
            self._open[request] = time.monotonic()
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Forget a connection that has ended."""
        with self._lock:
            self._open.pop(request, None)
        super().shutdown_request(request)

    def service_actions(self) -> None:
        """Cut what takes too long. The base class calls this twice a second."""
        begun_before = time.monotonic() - self._longest
        with self._lock:
            for request, began in self._open.items():
                if began < begun_before:
                    _cut(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log what went wrong; that a client has gone is no news."""
        del request, client_address
        error = sys.exception()
        if not isinstance(error, OSError):
            structlog.get_logger().error("ops_request_failed", exc_info=error)


class _Handler(WSGIRequestHandler):
    timeout = LONGEST.total_seconds()
    # The usual one repeats the request.
    error_message_format, error_content_type = "%(code)d\n", "text/plain"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 — the name of the base class
        """Say nothing: a probe every few seconds is no news."""


def _cut(connection: socket.socket) -> None:
    """End a connection; the thread that waits for it sees its end."""
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
