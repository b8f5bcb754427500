"""The worker under gunicorn: a gthread worker whose threads only ever get requests whose head has arrived.

gunicorn gives a thread to a connection when it begins, and takes it back when a request is answered: clients that connect and say nothing,
a byte now and then, or half a TLS handshake hold threads for as long as they like, and a pool that connects ahead does so without meaning
to. Here the worker's own loop, which never blocks, shakes hands and reads heads; a thread begins with a whole head. What is left to wait
for in a thread, a body and the writing of an answer, has a time limit for each step, and a body has to come at a pace.

There are two pools of threads, so that requests which wait for the upstream keep no others from being answered: whoever has a reference can
make slow requests, and revoking it must not wait for them.

A connection is always in one of these: waiting for a head (at most ``HEAD``), in a thread, idle between requests, or lingering after its
last answer, so that the client gets to read it (RFC 9112 §9.6).

Source: ecosystem.md §3.4; security.md §0, finding 11.
"""

import contextlib
import select
import selectors
import socket
import ssl
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from typing import Any

import structlog
from gunicorn import http
from gunicorn.http.errors import (
    InvalidRequestLine,
    LimitRequestHeaders,
    LimitRequestLine,
    ParseException,
)
from gunicorn.http.unreader import SocketUnreader
from gunicorn.sock import ssl_wrap_socket
from gunicorn.workers.gthread import TConn, ThreadWorker

from service.web.problems import raw_problem

HEAD = timedelta(seconds=10)
"""For TLS and the whole head of a request, from the first byte or from the connection's begin."""
STEP = timedelta(seconds=20)
"""For one read of a body, and for writing one piece of an answer."""
GRACE = timedelta(seconds=20)
"""How long a body may take at any pace."""
SLOWEST = 4096
"""Bytes in a second that a body has to have, beyond that."""
LINGER = timedelta(seconds=2)
_REST = timedelta(milliseconds=50)
_LARGEST_HEAD = 64 * 1024
_LARGEST_REST = 64 * 1024
_AT_ONCE = 16 * 1024
_OWN_TARGETS = (b"/v1/references", b"/v1/whoami", b"/v1/policy")
"""What the broker answers without the upstream. Another spelling of one, such as with escapes, waits with the rest."""
_UNSENT = 256 * 1024
"""Bytes of answers that the system keeps for a client that does not read; more than any answer to somebody who has proved nothing."""
_EMPTY_BYTES = 64
"""Of empty lines before a request; who sends nothing else would keep the loop reading."""
_NOT_NOW = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class ClosedError(Exception):
    """The client has closed the connection."""


class PacedReader(SocketUnreader):
    """Reads a connection for the parser; a body that comes too slowly ends in a time-out, also one that comes byte by byte."""

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(sock)
        self.begin()

    def begin(self) -> None:
        """Begin with another request."""
        self._began = time.monotonic()
        self._received = 0
        self._patience: float | None = None
        self._most = 0

    def hurry(self, span: timedelta) -> None:
        """Wait for what is left of the body no longer than that, all in all, and read what is there, however late, unless it is long."""
        self._patience = span.total_seconds()
        # Also of what frames it, which may be most of it.
        self._most = self._received + 2 * _LARGEST_REST

    def chunk(self, size_hint: int | None = None) -> bytes:
        """Return the next piece.

        Raises:
            TimeoutError: There is none, or it comes too slowly.
        """
        now = time.monotonic()
        allowed = GRACE.total_seconds() + self._received / SLOWEST
        if now - self._began > allowed:
            raise TimeoutError("the body comes too slowly")
        if self._patience is not None:
            if self._patience <= 0 or self._received > self._most:
                raise TimeoutError("the rest of the body is not there, or too long")
            self.sock.settimeout(self._patience)
        received: bytes = super().chunk(size_hint)  # type: ignore[call-arg]  # the stubs are of an older gunicorn
        self._received += len(received)
        if self._patience is not None:
            self._patience -= time.monotonic() - now
        return received


class Connection(TConn):
    """A client's connection, read without blocking until a head is complete."""

    sock: Any  # plain or TLS
    parser: Any  # of HTTP/1: nothing else is on

    def __init__(self, config: Any, client: socket.socket, address: Any, server: Any) -> None:
        super().__init__(config, client, address, server)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _UNSENT)
        self.head = bytearray()
        self._empty_bytes = 0
        self.shaken = not config.is_ssl
        self.needs_upstream = True
        # gunicorn's own waiting and its own handshake, in a thread, are not wanted.
        self.initialized = self.data_ready = True
        if config.is_ssl:
            self.sock = ssl_wrap_socket(client, config)

    def read_head(self) -> bool:
        """Read what is there, and tell whether the head is complete.

        Raises:
            ClosedError: The client has gone.
            ParseException: The head is too large, or none.
            OSError: The handshake failed, or the connection did.
        """
        try:
            if not self.shaken:
                self.sock.do_handshake()
                self.shaken = True
            while not self.is_complete():
                received = self.sock.recv(_AT_ONCE)
                if not received:
                    raise ClosedError
                self.head += received
                self._refuse_what_never_ends()
        except _NOT_NOW:
            return False
        return True

    def is_complete(self) -> bool:
        """Tell whether a whole head was read."""
        # The parser passes over empty lines before a request (RFC 9112 §2.2), and would wait for what follows.
        while self.head.startswith(b"\r\n"):
            del self.head[:2]
            self._empty_bytes += 2
        return b"\r\n\r\n" in self.head

    def _refuse_what_never_ends(self) -> None:
        if self.is_complete():
            return
        if len(self.head) > _LARGEST_HEAD:
            raise LimitRequestHeaders("the head is too large")
        if self._empty_bytes > _EMPTY_BYTES:
            raise InvalidRequestLine("empty lines instead of a request")
        if b"\n\n" in self.head:
            raise InvalidRequestLine("lines end with CR and LF")

    def takes_answers(self) -> bool:
        """Tell whether there is room for an answer, so that writing it will not have to wait for the client to read those before."""
        poll = select.poll()
        poll.register(self.sock.fileno(), select.POLLOUT)
        return bool(poll.poll(0))

    def hand_over(self) -> None:
        """Give what was read to the parser."""
        if self.parser is None:
            self.parser = http.get_parser(self.cfg, self.sock, self.client)
            self.parser.unreader = PacedReader(self.sock)
        self.needs_upstream = not self.head.partition(b" ")[2].startswith(_OWN_TARGETS)
        self.parser.unreader.begin()
        self.parser.unreader.unread(bytes(self.head))
        self.head.clear()
        self._empty_bytes = 0

    def finish_body(self) -> bool:
        """Read what nobody wanted of a body, and tell whether it was there."""
        self.parser.unreader.hurry(_REST)
        try:
            return bool(self.parser.finish_body(max_bytes=_LARGEST_REST))
        except (ParseException, OSError):
            return False  # framed wrongly; the request was answered, and gets no second answer

    def take_back(self) -> bool:
        """Take what the parser has read ahead, and tell whether there is anything to read at once."""
        self.head += self.parser.unreader.take_buffered()
        unread = self.sock.pending() if isinstance(self.sock, ssl.SSLSocket) else 0
        return bool(self.head or unread)


class BrokerWorker(ThreadWorker):
    """Reads heads in its loop, and answers what the app never sees, a request that cannot be parsed, like everything else.

    gunicorn's own answer is a page that repeats the offending line, and its log would keep it; either may hold a caller's token.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._lingering: deque[Connection] = deque()

    def get_thread_pool(self) -> ThreadPoolExecutor:
        """Return the pool of those who may wait for the upstream, and make another one of the same size for those who do not."""
        self._own = ThreadPoolExecutor(self.cfg.threads)
        return ThreadPoolExecutor(self.cfg.threads)

    # --- the loop

    def enqueue_req(self, conn: Any) -> None:
        """Give a connection whose head has arrived to a thread."""
        pool = self.tpool if conn.needs_upstream else self._own
        pool.submit(self.handle, conn).add_done_callback(
            lambda done: self.method_queue.defer(self.finish_request, conn, done)
        )

    def accept(self, listener: Any) -> None:
        """Take a new connection, without a thread."""
        try:
            client, address = listener.accept()
        except OSError:  # somebody else took it, or it is gone already
            return
        self.nr_conns += 1
        try:
            conn = Connection(self.cfg, client, address, listener.getsockname())
        except OSError as error:  # it ended before TLS began, or there is no TLS to begin
            self.nr_conns -= 1
            self.handle_error(None, client, address, error)
            client.close()
            return
        self._begin_head(conn)
        if self.nr_conns >= self.worker_connections:
            self._make_room()

    def on_client_socket_readable(self, conn: Any, _client: Any) -> None:
        """Go on with a connection that was idle."""
        self._forget(conn, self.keepalived_conns)
        self._begin_head(conn)

    def finish_request(self, conn: Any, future: "Future[Any]") -> None:
        """Go on with a connection whose request was answered."""
        if future.cancelled() or future.exception() is not None or not future.result():
            self._linger(conn)
            return
        conn.sock.settimeout(0)
        if conn.take_back():
            self._begin_head(conn)
        else:
            self._idle(conn)

    def murder_pending(self) -> None:
        """Close what has been waiting or lingering for too long."""
        super().murder_pending()
        now = time.monotonic()
        while self._lingering and (self._lingering[0].timeout or now) <= now:
            self._drop(self._lingering[0], self._lingering)

    def _begin_head(self, conn: Connection) -> None:
        """Read a head that begins now; most are complete at once and need no place to wait in."""
        conn.timeout = time.monotonic() + HEAD.total_seconds()
        proceed = self._read_head(conn)
        if proceed is None:
            self._watch(conn, self.pending_conns, self._on_head)
        else:
            proceed(conn)

    def _on_head(self, conn: Connection, _client: Any) -> None:
        proceed = self._read_head(conn)
        if proceed is not None:
            self._forget(conn, self.pending_conns)
            proceed(conn)

    def _read_head(self, conn: Connection) -> Callable[[Connection], None] | None:
        """Read what is there, and return what to do with the connection; None if it is to wait for the rest."""
        try:
            if not conn.read_head():
                return None
        except ClosedError:
            return self._close
        except Exception as error:  # noqa: BLE001 — one connection's failure, whatever it is, must not end the loop
            return partial(self._refuse, error)
        return self._pass_on

    def _close(self, conn: Connection) -> None:
        self.nr_conns -= 1
        conn.close()

    def _refuse(self, error: Exception, conn: Connection) -> None:
        self.handle_error(None, conn.sock, conn.client, error)
        self._linger(conn)

    def _pass_on(self, conn: Connection) -> None:
        if conn.takes_answers():
            conn.hand_over()
            self.enqueue_req(conn)
        else:  # it asks on and on, and reads nothing
            self._linger(conn)

    def _idle(self, conn: Connection) -> None:
        conn.set_timeout()
        if not self.alive:
            # A stopping worker keeps it only for a request that is on its way.
            conn.timeout = time.monotonic() + LINGER.total_seconds()
        self._watch(conn, self.keepalived_conns, self.on_client_socket_readable)

    def _linger(self, conn: Connection) -> None:
        """Close our side, and the rest when the client has closed its own, or after a moment."""
        conn.timeout = time.monotonic() + LINGER.total_seconds()
        try:
            conn.sock.shutdown(socket.SHUT_WR)
        except (OSError, ValueError):  # it is closed already
            self._close(conn)
            return
        conn.sock.settimeout(0)
        conn.head.clear()
        self._watch(conn, self._lingering, self._on_rest)

    def _on_rest(self, conn: Connection, _client: Any) -> None:
        try:
            received = conn.sock.recv(_AT_ONCE)
        except _NOT_NOW:
            return
        except OSError:
            received = b""
        conn.head += received
        if not received or len(conn.head) > _LARGEST_REST:
            self._drop(conn, self._lingering)

    def _make_room(self) -> None:
        """Close the connection that has been idle for the longest time, or else has been waiting for the longest."""
        places: tuple[deque[Any], ...] = (
            self._lingering,
            self.keepalived_conns,
            self.pending_conns,
        )
        for place in places:
            if place:
                self._drop(place[0], place)
                return

    def _watch(
        self, conn: Connection, place: deque[Any], on_readable: Callable[[Connection, Any], None]
    ) -> None:
        place.append(conn)
        self.poller.register(conn.sock, selectors.EVENT_READ, partial(on_readable, conn))

    def _forget(self, conn: Connection, place: deque[Any]) -> None:
        self.poller.unregister(conn.sock)
        place.remove(conn)

    def _drop(self, conn: Connection, place: deque[Any]) -> None:
        self._forget(conn, place)
        self._close(conn)

    # --- in a thread

    def _keepalive_after(self, conn: Any, keepalive: bool) -> bool:  # noqa: FBT001 — the signature of the base class
        """Tell whether the connection can be used again: not if the rest of a body that nobody wanted would have to be waited for."""
        return bool(keepalive and conn.finish_body())

    def handle_request(self, req: Any, conn: Any) -> Any:
        """Answer a request, with a time limit for each step of reading its body and writing its answer."""
        conn.sock.settimeout(STEP.total_seconds())
        return super().handle_request(req, conn)

    def handle_error(self, req: Any, client: socket.socket, addr: Any, exc: BaseException) -> None:
        """Answer with a problem and log only what kind of error it was."""
        if isinstance(exc, ConnectionError):
            return  # the client has gone, which is no news
        peer = str(addr[0]) if isinstance(addr, tuple) and addr else ""
        structlog.get_logger().warning("request_unreadable", kind=type(exc).__name__, peer=peer)
        if isinstance(exc, OSError):
            return  # there is nobody to tell
        # With a request at hand, it is an answer that could not be written: no fault of the caller's.
        status = 400 if isinstance(exc, ParseException) and req is None else 500
        if isinstance(exc, LimitRequestLine):
            status = 414
        elif isinstance(exc, LimitRequestHeaders):
            status = 431
        with contextlib.suppress(OSError):
            client.sendall(raw_problem(status))
