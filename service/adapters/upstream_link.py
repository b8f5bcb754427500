"""The link to the one upstream: pinned host, verified TLS, vetted addresses, total deadlines, no redirects, no proxies.

urllib3's connection objects are used one by one and not through a pool's ``urlopen``, for three reasons: the target goes out byte for
byte as it was matched (``urlopen`` rewrites it), an error says for certain whether a byte of the request was sent, and the deadline
knows the socket. Nothing here reads the environment or a netrc, follows a redirect or repeats a request with an effect.

Source: DESIGN §9; security.md §0 findings 6 and 11, P-10, P-12, P-13; ecosystem.md §7.
"""

import contextlib

from urllib3.connection import HTTPConnection

from service import __version__
from service.adapters.circuit import Circuit
from service.adapters.deadline import Deadline, Watch
from service.adapters.upstream_connections import (
    NETWORK_ERRORS,
    Connections,
    IdleConnections,
    UpstreamOptions,
)
from service.adapters.upstream_response import (
    UpstreamResponse,
    failure,
    is_usable,
    timed_out,
    unusable,
)
from service.core.errors import UpstreamAnswerError, UpstreamTimeoutError, UpstreamUnreachableError
from service.core.upstream_ports import ProxyRequest

_USER_AGENT = f"b2b-credential-broker/{__version__}"
_SAFE_METHODS = ("GET", "HEAD")


class UpstreamLink:
    """Makes exchanges with the one upstream."""

    def __init__(
        self, options: UpstreamOptions, watch: Watch, circuit: Circuit | None = None
    ) -> None:
        self._options = options
        self._watch = watch
        self._connections = Connections(options)
        self._idle = IdleConnections()
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
        connection = self._connections.new(deadline)
        try:
            connection.connect()
        except NETWORK_ERRORS:
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
        except NETWORK_ERRORS as error:
            connection.close()
            raise failure(deadline, error) from None
        except BaseException:
            connection.close()
            raise
        if deadline.missed or not is_usable(response, request.method):
            response.close()
            connection.close()
            raise timed_out() if deadline.missed else unusable()
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
