"""Write an answer: in one piece, or if switched so, compressed, in chunks, slowly, in part."""

from __future__ import annotations

import gzip
import time
from dataclasses import dataclass
from email.utils import formatdate
from http import HTTPStatus
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator

    from sandbox.answers import Answer
    from sandbox.requests import Request

DRIPS_PER_SECOND = 20
BODILESS = (204, 304)
_REASONS = {status.value: status.phrase for status in HTTPStatus}


class Sink(Protocol):
    """What bytes are written to."""

    def write(self, data: bytes, /) -> object:
        """Write all of it."""
        ...


@dataclass(frozen=True, slots=True)
class Delivery:
    """How to write an answer; all zeros is the ordinary way."""

    gzip_when_accepted: bool = False
    gzip_always: bool = False
    chunk_bytes: int = 0
    drip_bytes_per_second: int = 0
    fault: str = "none"

    def compresses_for(self, request: Request) -> bool:
        """Whether the body is to be compressed."""
        accepted = self.gzip_when_accepted and "gzip" in request.value("accept-encoding")
        return self.gzip_always or accepted


ORDINARY = Delivery()


class _Date:
    """The Date header, made once a second instead of once an answer."""

    second = 0
    text = ""


def _date() -> str:
    second = int(time.time())
    if second != _Date.second:
        _Date.text, _Date.second = formatdate(second, usegmt=True), second
    return _Date.text


def deliver(sink: Sink, request: Request, answer: Answer, stopping: threading.Event) -> bool:
    """Write an answer.

    Args:
        sink: The connection.
        request: The request it answers.
        answer: What to write.
        stopping: Set when the server stops, so that a slow answer ends with it.

    Returns:
        Whether the connection can take another request.
    """
    delivery = answer.delivery or ORDINARY
    if answer.stream is None and delivery.compresses_for(request) and answer.body:
        answer.body = gzip.compress(answer.body, mtime=0)
        answer.headers.append(("Content-Encoding", "gzip"))
    stays = request.keeps_alive and request.body.complete and delivery.fault != "close"
    head = _head(answer, delivery, stays=stays)
    bodiless = request.method == "HEAD" or answer.status in BODILESS
    pieces = iter(()) if bodiless else _pieces(answer, delivery)
    if delivery.fault == "truncate" and not bodiless:
        first = next(pieces, b"")
        sink.write(head + first[: len(first) // 2])
        return False
    if delivery.drip_bytes_per_second:
        _drip(sink, head, pieces, delivery.drip_bytes_per_second, stopping)
    elif answer.stream is None and not delivery.chunk_bytes:
        sink.write(head + b"".join(pieces))
    else:
        sink.write(head)
        for piece in pieces:
            sink.write(piece)
    return stays and delivery.fault == "none"


def _head(answer: Answer, delivery: Delivery, *, stays: bool) -> bytes:
    lines = [
        f"HTTP/1.1 {answer.status} {_REASONS.get(answer.status, 'Unknown')}",
        "Server: sandbox",
        f"Date: {_date()}",
    ]
    if answer.status not in BODILESS:
        lines.append(f"Content-Type: {answer.content_type}")
        length = answer.stream_bytes if answer.stream else len(answer.body)
        chunked = bool(delivery.chunk_bytes)
        lines.append("Transfer-Encoding: chunked" if chunked else f"Content-Length: {length}")
    lines.extend(f"{name}: {value}" for name, value in answer.headers)
    if not stays:
        lines.append("Connection: close")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def _pieces(answer: Answer, delivery: Delivery) -> Iterator[bytes]:
    whole = answer.stream if answer.stream is not None else iter((answer.body,))
    if not delivery.chunk_bytes:
        yield from whole
        return
    for piece in whole:
        for start in range(0, len(piece), delivery.chunk_bytes):
            chunk = piece[start : start + delivery.chunk_bytes]
            yield b"%x\r\n%b\r\n" % (len(chunk), chunk)
    yield b"0\r\n\r\n"


def _drip(
    sink: Sink, head: bytes, pieces: Iterator[bytes], rate: int, stopping: threading.Event
) -> None:
    step = max(1, rate // DRIPS_PER_SECOND)
    sink.write(head)
    for piece in pieces:
        for start in range(0, len(piece), step):
            drop = piece[start : start + step]
            sink.write(drop)
            if stopping.wait(len(drop) / rate):
                return
