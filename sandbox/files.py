"""Bodies of any size, both ways, in constant memory, for tests of a proxy.

NOTE: a helper of the sandbox; the real API has no such endpoint.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox import answers
from sandbox.answers import Answer
from sandbox.routing import V3, Call, Route

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_BYTES = 100 * 1024**3
CYCLE = 251
#: Byte i of every file is i % 251: a prime, so that no piece begins like the one before.
BLOCK = bytes(range(CYCLE)) * 256


def file_bytes(size: int) -> Iterator[bytes]:
    """Make the content of a file of this many bytes, piece by piece."""
    for _ in range(size // len(BLOCK)):
        yield BLOCK
    if rest := size % len(BLOCK):
        yield BLOCK[:rest]


def put_file(call: Call) -> Answer:
    """Read a body of any size and answer its digest and length."""
    for _ in call.request.body.pieces():
        pass
    body = call.request.body
    return answers.success({"sha256": body.sha256, "bytes": body.bytes_read})


def get_file(call: Call) -> Answer:
    """Stream as many bytes as the query asks for."""
    size = call.query().get("bytes", "0")
    if not (size.isascii() and size.isdigit() and int(size) <= MAX_BYTES):
        return answers.parameter_error({"bytes": ["A valid integer is required."]})
    return Answer(
        200,
        content_type="application/octet-stream",
        stream=file_bytes(int(size)),
        stream_bytes=int(size),
    )


ROUTES = [
    Route("PUT", f"{V3}/files/{{name_text}}", put_file, streams=True),
    Route("GET", f"{V3}/files/{{name_text}}", get_file),
]
