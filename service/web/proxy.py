"""The proxy's edge: the reference out of its header, the raw target, and bodies that stream both ways."""

import errno
from collections.abc import Callable, Iterable, Iterator
from wsgiref.types import StartResponse, WSGIEnvironment

from werkzeug import Request, Response

from service.core.errors import BrokerError, MalformedError, RateLimitedError
from service.core.gate import About, Call
from service.core.proxy import Incoming
from service.core.scope import METHODS
from service.core.secret import Secret
from service.web.operations import Edge
from service.web.problems import PROXY_NAME
from service.web.rate_fields import add_rate_fields
from service.web.transport import client_gone, raw_target, streamed_body

NAME = "proxy"
ABOUT = About("reference.use")
PREFIX = "/v1/proxy/"
PATH = f"{PREFIX}<path:upstream_path>"
PROXY_METHODS = METHODS
_REFERENCE_HEADERS = ("Broker-Reference", "authToken", "X-Auth-Token")


class ProxiedResponse(Response):
    """An answer of the upstream; nothing is added to what it says of itself."""

    default_mimetype = None
    automatically_set_content_length = False

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Begin the answer; the server closes it only once it has begun."""
        try:
            return super().__call__(environ, start_response)
        except BaseException:
            self.close()
            raise


def forward(edge: Edge, call: Call, request: Request) -> Response:
    """Forward a request and return the upstream's answer.

    Raises:
        BrokerError: The broker refused it, or the upstream did not answer usably.
    """
    try:
        leave = edge.bulkhead.enter(call.caller.identity)
    except RateLimitedError as error:
        edge.gate.record(call, About("reference.use"), "denied", error.reason)
        raise
    try:
        return _forward(edge, call, request, leave)
    except BaseException:
        leave()
        raise


def _forward(edge: Edge, call: Call, request: Request, leave: Callable[[], None]) -> Response:
    """Forward a request, and call ``leave`` when its answer has been given or was given up."""
    chunks, length = streamed_body(request)
    answer = edge.proxy.forward(
        call,
        _reference(request),
        Incoming(
            method=request.method,
            raw_target=raw_target(request.environ),
            headers=tuple(request.headers.items()),
            body=chunks,
            body_bytes=length,
            abandoned=client_gone(request.environ),
        ),
    )
    body = _CutShortOnError(answer.body, leave)
    try:
        response = ProxiedResponse(body, answer.status, answer.headers)
    except ValueError:  # a header that cannot be written
        body.close()
        raise
    response.headers["Proxy-Status"] = f"{PROXY_NAME}; received-status={answer.status}"
    if answer.allowance is not None:
        add_rate_fields(response.headers, answer.allowance)
    return response


def _reference(request: Request) -> Secret:
    """Return the one reference of a request, from whichever header the caller's client library uses.

    Raises:
        MalformedError: There is none, or there are two different ones.
    """
    found = {request.headers[name] for name in _REFERENCE_HEADERS if name in request.headers}
    if len(found) != 1:
        raise MalformedError(
            "One reference is needed, in Broker-Reference, authToken or X-Auth-Token.",
            reason="no_reference" if not found else "two_references",
        )
    return Secret(found.pop())


class _CutShortOnError:
    """A body whose headers have left already: an error in it can only be told by ending the connection early."""

    def __init__(self, body: Iterator[bytes], leave: Callable[[], None]) -> None:
        self._body = body
        self._leave = leave

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        try:
            return next(self._body)
        except BrokerError as error:
            raise ConnectionResetError(errno.ECONNRESET, error.reason) from None

    def close(self) -> None:
        """End the exchange, if it has not ended."""
        self._leave()
        close = getattr(self._body, "close", None)
        if close is not None:
            close()
