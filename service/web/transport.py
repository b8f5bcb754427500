"""What WSGI does not standardise, read here and nowhere else: the raw target, the peer's certificate, a body that breaks its framing.

Another WSGI server can be put beneath the same app by changing this module.
"""

import select
import socket
import ssl
import sys
from collections.abc import Callable, Iterator
from wsgiref.types import WSGIEnvironment

from gunicorn.http.errors import ParseException
from werkzeug import Request
from werkzeug.exceptions import ClientDisconnected, RequestEntityTooLarge

from service.core.errors import MalformedError

_CHUNK_BYTES = 64 * 1024
_LONGEST_BODY = 10**18 - 1
"""Bytes. Beyond it servers disagree: one that counts in 64 bits may take 2^64 for nothing, and the body for another request."""
_DER = 2  # as _ssl.ENCODING_DER


def raw_target(environ: WSGIEnvironment) -> str:
    """Return the request target as it stood on the request line, decoded as Latin-1.

    Raises:
        MalformedError: The server beneath does not tell, so nothing can be forwarded.
    """
    target = environ.get("RAW_URI")
    if not isinstance(target, str):
        raise MalformedError("The request target is not readable.", reason="no_raw_target")
    return target


def peer_certificates(environ: WSGIEnvironment) -> tuple[bytes, ...]:
    """Return the certificates that the peer of the TLS connection sent, in DER and its own first; none if it sent none."""
    peer = environ.get("gunicorn.socket")
    if not isinstance(peer, ssl.SSLSocket):
        return ()
    own = peer.getpeercert(binary_form=True)
    if own is None:
        return ()
    if sys.version_info >= (3, 13):
        return tuple(peer.get_unverified_chain())
    # Python 3.11 and 3.12 have it too, under a name that is not public yet.
    chain = peer._sslobj.get_unverified_chain()  # type: ignore[attr-defined]  # noqa: SLF001 — see above
    return tuple(link.public_bytes(_DER) for link in chain)


def client_gone(environ: WSGIEnvironment) -> Callable[[], bool] | None:
    """Return what tells whether the client has closed the connection; None if the server beneath does not let us look.

    Whoever closes only its sending side after a request counts as gone too: no HTTP client that waits for an answer does that.
    """
    peer = environ.get("gunicorn.socket")
    if not isinstance(peer, socket.socket):
        return None
    descriptor = peer.fileno()

    def gone() -> bool:
        poll = select.poll()  # of its own for each look, because two threads may look at a time, which one poll object refuses
        # On Linux; elsewhere only what is always told.
        poll.register(descriptor, getattr(select, "POLLRDHUP", 0))
        return bool(poll.poll(0))

    return gone


def peer_address(environ: WSGIEnvironment) -> str:
    """Return the address of the connection's peer; empty for one that has none. What a header says of it is not looked at."""
    return str(environ.get("REMOTE_ADDR") or "")


def whole_body(request: Request, limit: int) -> bytes:
    """Return the request's body.

    Raises:
        RequestEntityTooLarge: It has more bytes than ``limit``, whatever length was announced.
        MalformedError: It breaks off or breaks its framing.
    """
    chunks, length = streamed_body(request)
    if (length or 0) > limit:
        raise RequestEntityTooLarge
    body = bytearray()
    for chunk in chunks or ():
        body += chunk
        if len(body) > limit:
            raise RequestEntityTooLarge
    return bytes(body)


def streamed_body(request: Request) -> tuple[Iterator[bytes] | None, int | None]:
    """Return the chunks of the request's body and its announced length; no chunks for a request without a body.

    Raises:
        MalformedError: It is framed in a way that two servers could read differently.
    """
    codings = request.headers.get("Transfer-Encoding", "").strip().lower()
    if codings not in ("", "chunked") or (request.content_length or 0) > _LONGEST_BODY:
        raise _broken()
    if not codings and not request.content_length:
        return None, None
    length = None if codings else request.content_length
    return _chunks(request, length), length


def _chunks(request: Request, length: int | None) -> Iterator[bytes]:
    """Yield the body. gunicorn takes a connection that is closed early for the end of the body, so the bytes are counted here."""
    read = 0
    try:
        while chunk := request.stream.read(_CHUNK_BYTES):
            read += len(chunk)
            yield chunk
    except (ParseException, OSError, ClientDisconnected):
        raise _broken() from None
    if length is not None and read != length:
        raise _broken()


def _broken() -> MalformedError:
    return MalformedError("The body breaks off or breaks its framing.", reason="body_framing")
