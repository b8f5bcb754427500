"""The proxy's edge: the reference out of its header, the raw target, and bodies that stream both ways."""

import errno
from collections.abc import Iterator

from flask import Request, Response

from service.core.errors import BrokerError, MalformedError
from service.core.gate import Call
from service.core.proxy import Incoming
from service.core.scope import METHODS
from service.core.secret import Secret
from service.web.operations import Edge
from service.web.problems import PROXY_NAME
from service.web.transport import raw_target, streamed_body

PATH = "/v1/proxy/<path:upstream_path>"
PROXY_METHODS = METHODS
_REFERENCE_HEADERS = ("Broker-Reference", "authToken", "X-Auth-Token")


class ProxiedResponse(Response):
    """An answer of the upstream; nothing is added to what it says of itself."""

    default_mimetype = None
    automatically_set_content_length = False


def forward(edge: Edge, call: Call, request: Request) -> Response:
    """Forward a request and return the upstream's answer.

    Raises:
        BrokerError: The broker refused it, or the upstream did not answer usably.
    """
    request.max_content_length = None  # bodies stream; their size is the upstream's business
    body, body_bytes = streamed_body(request)
    answer = edge.proxy.forward(
        call,
        _reference(request),
        Incoming(
            method=request.method,
            raw_target=raw_target(request.environ),
            headers=tuple(request.headers.items()),
            body=body,
            body_bytes=body_bytes,
        ),
    )
    response = ProxiedResponse(_cut_short_on_error(answer.body), answer.status, answer.headers)
    response.headers["Proxy-Status"] = f"{PROXY_NAME}; received-status={answer.status}"
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


def _cut_short_on_error(body: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the body; once the headers have left, an error can only be told by ending the connection early."""
    try:
        yield from body
    except BrokerError as error:
        raise ConnectionResetError(errno.ECONNRESET, error.reason) from None
