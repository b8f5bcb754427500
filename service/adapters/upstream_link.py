"""The link to the one upstream: pinned host, verified TLS, vetted addresses, total deadlines, no redirects, no proxies.

urllib3's connection objects are used one by one and not through a pool's ``urlopen``, for three reasons: the target goes out byte for
byte as it was matched (``urlopen`` rewrites it), an error says for certain whether a byte of the request was sent, and the deadline
knows the socket. Nothing here reads the environment or a netrc, follows a redirect or repeats a request with an effect.

Source: DESIGN §9; security.md §0 findings 6 and 11, P-10, P-12, P-13; ecosystem.md §7.
"""

import contextlib
import queue
import socket
import ssl
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from http.client import HTTPException
from urllib.parse import urlsplit

from urllib3 import BaseHTTPResponse
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError

from service import __version__
from service.adapters.addresses import is_public
from service.adapters.circuit import Circuit
from service.adapters.deadline import Deadline, Watch
from service.adapters.decoding import decoded
from service.core.errors import (
    UpstreamAnswerError,
    UpstreamError,
    UpstreamTimeoutError,
    UpstreamUnreachableError,
)
from service.core.upstream_ports import ProxyRequest

_CHUNK_BYTES = 64 * 1024
_CONNECT_SECONDS = 5.0
_IDLE_CONNECTIONS = 32
_USER_AGENT = f"b2b-credential-broker/{__version__}"
_SAFE_METHODS = ("GET", "HEAD")
_FIRST_FINAL_STATUS = 200
_WITHOUT_BODY = (204, 304)
_IDENTITY = "identity"
_CHUNKED = "chunked"
_CODINGS = (_IDENTITY, "gzip", "x-gzip", "deflate")
_IDLE_SECONDS = 30.0
_NETWORK_ERRORS = (OSError, HTTPException, HTTPError)


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


class UpstreamResponse:
    """An answer whose body is read as it is asked for. Fulfils ``ProxyResponse``."""

    def __init__(
        self,
        response: BaseHTTPResponse,
        deadline: Deadline,
        connection: HTTPConnection,
        idle: "_Idle",
    ) -> None:
        self._response = response
        self._deadline = deadline
        self._connection = connection
        self._idle = idle
        self._complete = False
        self._closed = False

    @property
    def status(self) -> int:
        """See ``ProxyResponse.status``."""
        return self._response.status

    @property
    def headers(self) -> list[tuple[str, str]]:
        """See ``ProxyResponse.headers``."""
        listed = list(self._response.headers.items())
        if not self._is_encoded:
            return listed
        # The body is given decoded, so its old length and encoding no longer describe it.
        return [
            (n, v) for n, v in listed if n.lower() not in ("content-encoding", "content-length")
        ]

    def header(self, name: str) -> str | None:
        """Return a header's value, several of one name joined by commas; None if there is none."""
        value: str | None = self._response.headers.get(name)
        return value

    @property
    def _is_encoded(self) -> bool:
        return (
            self._response.headers.get("Content-Encoding", _IDENTITY).strip().lower() != _IDENTITY
        )

    def chunks(self) -> Iterator[bytes]:
        """See ``ProxyResponse.chunks``."""
        try:
            chunks = self._response.stream(_CHUNK_BYTES, decode_content=False)
            yield from decoded(chunks, _CHUNK_BYTES) if self._is_encoded else chunks
        except (
            *_NETWORK_ERRORS,
            ValueError,
        ):  # of damaged compression, or a chunk with a size below zero
            raise _failed(self._deadline) from None
        if self._deadline.missed:
            raise _timed_out()
        self._complete = True

    def read(self, limit: int) -> bytes:
        """Return the whole body, and close.

        Raises:
            UpstreamError: It broke off, took too long, or has more than ``limit`` bytes.
        """
        body = bytearray()
        try:
            for chunk in self.chunks():
                body += chunk
                if len(body) > limit:
                    raise UpstreamAnswerError(
                        "The upstream's answer is too large.", reason="answer_too_large"
                    )
        finally:
            self.close()
        return bytes(body)

    def close(self) -> None:
        """See ``ProxyResponse.close``."""
        if self._closed:
            return
        self._closed = True
        self._deadline.finish()
        if self._complete and _is_quiet(self._connection):
            self._idle.put(self._connection)
        else:
            self._response.close()
            self._connection.close()


class UpstreamLink:
    """Makes exchanges with the one upstream."""

    def __init__(
        self, options: UpstreamOptions, watch: Watch, circuit: Circuit | None = None
    ) -> None:
        self._options = options
        self._watch = watch
        self._factory = _Factory(options)
        self._idle = _Idle()
        self._circuit = circuit or Circuit()

    @property
    def base_url(self) -> str:
        """Scheme, host and port."""
        return self._options.url

    def exchange(self, request: ProxyRequest, *, fresh: bool = False) -> UpstreamResponse:
        """Send a request and return as soon as the answer's headers are there.

        A safe request without a body that fails on a connection from before is sent once more on a new one, because the upstream may
        have closed the old one in that moment. No other request is ever sent twice.

        Args:
            request: What to send.
            fresh: Use a new connection, so that a failure is never due to an old one.

        Raises:
            UpstreamUnreachableError: No byte can have been received.
            UpstreamTimeoutError, UpstreamAnswerError: The outcome is unknown.
        """
        self._circuit.admit()
        try:
            response = self._exchange(request, fresh=fresh)
        except UpstreamUnreachableError:
            self._circuit.silent()
            raise
        except UpstreamTimeoutError:
            # With a body it may be the caller who was slow, and one who has gone did not wait to the end.
            if request.body is None and not (request.abandoned and request.abandoned()):
                self._circuit.silent()
            raise
        self._circuit.answered()
        return response

    def _exchange(self, request: ProxyRequest, *, fresh: bool) -> UpstreamResponse:
        deadline = self._watch.start(self._options.timeout.total_seconds(), request.abandoned)
        try:
            old = None if fresh else self._idle.get()
            if old is not None:
                try:
                    return self._attempt(old, request, deadline)
                except UpstreamAnswerError:
                    if request.method not in _SAFE_METHODS or request.body is not None:
                        raise
            return self._attempt(self._connect(deadline), request, deadline)
        except BaseException:
            deadline.finish()
            raise

    def _connect(self, deadline: Deadline) -> HTTPConnection:
        connection = self._factory.new(deadline)
        try:
            connection.connect()
        except _NETWORK_ERRORS:
            connection.close()
            raise UpstreamUnreachableError(
                "The upstream cannot be reached.", reason="upstream_unreachable"
            ) from None
        return connection

    def _attempt(
        self, connection: HTTPConnection, request: ProxyRequest, deadline: Deadline
    ) -> UpstreamResponse:
        try:
            deadline.sock = connection.sock
            connection.timeout = deadline.left()
            self._send(connection, request)
            response = connection.getresponse()
        except _NETWORK_ERRORS as error:
            connection.close()
            raise _failed(deadline, error) from None
        except BaseException:
            connection.close()
            raise
        if deadline.missed or not _is_usable(response, request.method):
            response.close()
            connection.close()
            raise _timed_out() if deadline.missed else _unusable()
        return UpstreamResponse(response, deadline, connection, self._idle)

    def _send(self, connection: HTTPConnection, request: ProxyRequest) -> None:
        headers = {"User-Agent": _USER_AGENT, **dict(request.headers)}
        if request.body_bytes is not None:
            headers["Content-Length"] = str(request.body_bytes)
        # An upstream that answers early may stop reading; its answer is still to be read.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connection.request(
                request.method,
                request.target,
                body=request.body,
                headers=headers,
                chunked=request.body is not None and request.body_bytes is None,
                preload_content=False,
            )


class _Idle:
    """Connections that wait for their next request; the last one in is the first one out."""

    def __init__(self) -> None:
        self._connections: queue.LifoQueue[tuple[HTTPConnection, float]] = queue.LifoQueue(
            _IDLE_CONNECTIONS
        )

    def get(self) -> HTTPConnection | None:
        while True:
            try:
                connection, since = self._connections.get_nowait()
            except queue.Empty:
                return None
            # Readable while idle means closed, or sending what nobody asked for: neither is used again. One that was idle for
            # long may have been forgotten by something in between.
            if _is_quiet(connection) and time.monotonic() - since < _IDLE_SECONDS:
                return connection
            connection.close()

    def put(self, connection: HTTPConnection) -> None:
        try:
            self._connections.put_nowait((connection, time.monotonic()))
        except queue.Full:
            connection.close()


class _Factory:
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


def _is_quiet(connection: HTTPConnection) -> bool:
    """Tell whether a connection is open and nothing came that nobody asked for; under TLS it may be decrypted already."""
    sock = connection.sock
    return connection.is_connected and not (isinstance(sock, ssl.SSLSocket) and sock.pending())


def _failed(deadline: Deadline, error: Exception | None = None) -> UpstreamError:
    if deadline.missed or isinstance(error, TimeoutError):
        return _timed_out()
    return UpstreamAnswerError("The upstream broke off.", reason="upstream_broke_off")


def _is_usable(response: BaseHTTPResponse, method: str) -> bool:
    """Tell whether an answer is whole as far as its head goes, and of a kind that can be looked through."""
    headers = response.headers
    # http.client skips only 100; any other interim answer is not the answer.
    if response.status < _FIRST_FINAL_STATUS:
        return False
    if headers.get("Content-Encoding", _IDENTITY).strip().lower() not in _CODINGS:
        return False
    # Any other transfer coding would be passed on undecoded, and a token in it not be seen.
    if headers.get("Transfer-Encoding", _CHUNKED).strip().lower() != _CHUNKED:
        return False
    # http.client takes a head that was cut off for one that ended, so an answer has to say how long it is.
    says_length = "Content-Length" in headers or "Transfer-Encoding" in headers
    ends_with_connection = "close" in headers.get("Connection", "").lower()
    return (
        says_length or ends_with_connection or method == "HEAD" or response.status in _WITHOUT_BODY
    )


def _unusable() -> UpstreamAnswerError:
    return UpstreamAnswerError(
        "The upstream's answer cannot be relied on.", reason="upstream_answer_unusable"
    )


def _timed_out() -> UpstreamTimeoutError:
    return UpstreamTimeoutError(
        "The upstream did not answer in time; what it did is unknown.", reason="upstream_timeout"
    )
