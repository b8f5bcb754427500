"""What WSGI does not standardise, read here and nowhere else: the raw request target, and a body that breaks its framing.

Another WSGI server can be put beneath the same app by changing this module.
"""

from collections.abc import Iterator
from wsgiref.types import WSGIEnvironment

from flask import Request
from gunicorn.http.errors import ParseException
from werkzeug.exceptions import ClientDisconnected

from service.core.errors import MalformedError

_CHUNK_BYTES = 64 * 1024


def raw_target(environ: WSGIEnvironment) -> str:
    """Return the request target as it stood on the request line, decoded as Latin-1.

    Raises:
        MalformedError: The server beneath does not tell, so nothing can be forwarded.
    """
    target = environ.get("RAW_URI")
    if not isinstance(target, str):
        raise MalformedError("The request target is not readable.", reason="no_raw_target")
    return target


def whole_body(request: Request) -> bytes:
    """Return the request's body, which Flask bounds.

    Raises:
        MalformedError: It breaks off or breaks its framing.
    """
    try:
        return request.get_data(cache=False)
    except (ParseException, OSError, ClientDisconnected):
        raise _broken() from None


def streamed_body(request: Request) -> tuple[Iterator[bytes] | None, int | None]:
    """Return the chunks of the request's body and its announced length; no chunks for a request without a body."""
    chunked = "chunked" in request.headers.get("Transfer-Encoding", "").lower()
    if not chunked and not request.content_length:
        return None, None
    return _chunks(request), None if chunked else request.content_length


def _chunks(request: Request) -> Iterator[bytes]:
    try:
        while chunk := request.stream.read(_CHUNK_BYTES):
            yield chunk
    except (ParseException, OSError, ClientDisconnected):
        raise _broken() from None


def _broken() -> MalformedError:
    return MalformedError("The body breaks off or breaks its framing.", reason="body_framing")
