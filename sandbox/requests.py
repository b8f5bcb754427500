"""Read HTTP/1.1 requests from a socket: exactly as they came, strictly framed.

The standard library's parser hides what a proxy test must see (order, spelling and repetition of
headers), so the head is read here. A message whose length can be read in two ways is refused
(RFC 9112 §6.3): a client or a proxy that sends one has a bug worth finding.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Protocol
from urllib.parse import unquote

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MAX_LINE_BYTES = 65_536
MAX_HEADERS = 200
MAX_BUFFERED_BODY_BYTES = 64 * 1024 * 1024
READ_BYTES = 65_536
EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()
REQUEST_LINE_PARTS = 3
VERSIONS = ("HTTP/1.1", "HTTP/1.0")


class MalformedRequestError(Exception):
    """The bytes are no request that has one meaning."""


class BodyTooLargeError(Exception):
    """The body is larger than an ordinary endpoint reads."""


class Source(Protocol):
    """What bytes are read from."""

    def readline(self, size: int, /) -> bytes:
        """Read up to the end of a line."""
        ...

    def read(self, size: int, /) -> bytes:
        """Read this many bytes, fewer only at the end."""
        ...


class RequestBody:
    """A body that is read once, in pieces, and remembers its digest."""

    def __init__(self, source: Source, length: int, before_reading: Callable[[], None]) -> None:
        """Prepare to read.

        Args:
            source: Where the body begins.
            length: In bytes; -1 when it comes in chunks.
            before_reading: Called once before the first byte is read (`100 Continue`).
        """
        self._source = source
        self._length = length
        self._before_reading = before_reading
        self._digest = hashlib.sha256() if length else None
        self._data = b""
        self.bytes_read = 0
        self.complete = length == 0

    @property
    def sha256(self) -> str:
        """The digest of what was read so far, in hex."""
        return self._digest.hexdigest() if self._digest else EMPTY_SHA256

    def pieces(self) -> Iterator[bytes]:
        """Read the rest, piece by piece.

        Raises:
            MalformedRequestError: If it ends early or a chunk is malformed.
        """
        if self.complete:
            return
        self._before_reading()
        for piece in self._chunks() if self._length < 0 else self._counted():
            self.bytes_read += len(piece)
            if self._digest:
                self._digest.update(piece)
            yield piece
        self.complete = True

    def read_all(self) -> bytes:
        """Read the rest at once, and remember it for the next call.

        Raises:
            BodyTooLargeError: If it is larger than an ordinary endpoint reads.
            MalformedRequestError: If it ends early or a chunk is malformed.
        """
        if not self.complete:
            pieces = []
            for piece in self.pieces():
                pieces.append(piece)
                if self.bytes_read > MAX_BUFFERED_BODY_BYTES:
                    raise BodyTooLargeError
            self._data = b"".join(pieces)
        return self._data

    def _counted(self) -> Iterator[bytes]:
        left = self._length
        while left:
            piece = self._source.read(min(left, READ_BYTES))
            if not piece:
                raise MalformedRequestError("the body ends early")
            left -= len(piece)
            yield piece

    def _chunks(self) -> Iterator[bytes]:
        while size := self._chunk_size():
            left = size
            while left:
                piece = self._source.read(min(left, READ_BYTES))
                if not piece:
                    raise MalformedRequestError("a chunk ends early")
                left -= len(piece)
                yield piece
            if self._source.readline(MAX_LINE_BYTES) not in (b"\r\n", b"\n"):
                raise MalformedRequestError("a chunk is longer than it says")
        while self._source.readline(MAX_LINE_BYTES) not in (b"\r\n", b"\n", b""):
            pass  # Trailers carry nothing that is of use here.

    def _chunk_size(self) -> int:
        digits = self._source.readline(MAX_LINE_BYTES).split(b";")[0].strip()
        if not digits or digits.strip(b"0123456789abcdefABCDEF"):
            raise MalformedRequestError("a chunk has no size")
        return int(digits, 16)


class Request:
    """One request.

    Attributes:
        target: As received.
        path: The target up to its query, percent-decoded once, as the real framework does before
            routing.
        headers: Names and values in the order and spelling received.
    """

    __slots__ = (
        "_values",
        "body",
        "headers",
        "method",
        "path",
        "query_string",
        "target",
        "version",
    )

    def __init__(
        self, method: str, target: str, version: str, headers: list[tuple[str, str]]
    ) -> None:
        self.method = method
        self.target = target
        self.version = version
        self.headers = headers
        path, _, self.query_string = target.partition("?")
        self.path = unquote(path) if "%" in path else path
        self.body: RequestBody
        self._values: dict[str, list[str]] = {}
        for name, value in headers:
            self._values.setdefault(name.lower(), []).append(value)

    def values(self, name: str) -> list[str]:
        """Give every value of a header; the name in lower case."""
        return self._values.get(name, [])

    def value(self, name: str) -> str:
        """Give the first value of a header or an empty string; the name in lower case."""
        values = self._values.get(name)
        return values[0] if values else ""

    @property
    def keeps_alive(self) -> bool:
        """Whether the client wants to use the connection again."""
        wish = self.value("connection").lower()
        return "close" not in wish and (self.version == "HTTP/1.1" or "keep-alive" in wish)


def read_request(source: Source, send_continue: Callable[[], None]) -> Request | None:
    """Read the head of the next request; its body is read later.

    Args:
        source: The connection.
        send_continue: Sends `100 Continue`; called only if the client waits for it.

    Returns:
        The request, or None when the client has closed the connection.

    Raises:
        MalformedRequestError: If it is no request, or one with two meanings.
    """
    line = source.readline(MAX_LINE_BYTES)
    if line == b"\r\n":  # RFC 9112 §2.2: an empty line before the request line is skipped.
        line = source.readline(MAX_LINE_BYTES)
    if not line:
        return None
    parts = line.decode("latin-1").rstrip("\r\n").split(" ")
    if len(parts) != REQUEST_LINE_PARTS or parts[2] not in VERSIONS:
        raise MalformedRequestError("no request line")
    request = Request(parts[0], parts[1], parts[2], _read_headers(source))
    waits = request.value("expect").lower() == "100-continue"
    request.body = RequestBody(source, _body_length(request), send_continue if waits else _nothing)
    return request


def _nothing() -> None:
    """Do nothing: this client does not wait for `100 Continue`."""


def _read_headers(source: Source) -> list[tuple[str, str]]:
    headers: list[tuple[str, str]] = []
    while (line := source.readline(MAX_LINE_BYTES)) not in (b"\r\n", b"\n"):
        name, colon, value = line.decode("latin-1").partition(":")
        if not colon or not name or name.strip() != name or len(headers) >= MAX_HEADERS:
            raise MalformedRequestError("no header line")
        headers.append((name, value.strip(" \t\r\n")))
    return headers


def _body_length(request: Request) -> int:
    lengths = request.values("content-length")
    encodings = request.values("transfer-encoding")
    if encodings:
        if lengths or len(encodings) > 1 or encodings[0].lower() != "chunked":
            raise MalformedRequestError("the length has two meanings")
        return -1
    if not lengths:
        return 0
    if len(lengths) > 1 or not (lengths[0].isascii() and lengths[0].isdigit()):
        raise MalformedRequestError("no length")
    return int(lengths[0])
