"""How answers are written, and how bodies of any size go through."""

from __future__ import annotations

import gzip
import hashlib
import http.client
import json
import time
from typing import TYPE_CHECKING

import pytest

from sandbox.files import BLOCK, file_bytes
from tests.sandbox.calling import ACCESS_TOKEN, COMPANIES, Caller

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandbox.server import RunningSandbox

UNIFIED = {"X-Auth-Token": ACCESS_TOKEN, "X-Store-Hash": "abc123"}


@pytest.fixture
def connection(api: Caller) -> Iterator[http.client.HTTPConnection]:
    """Give one connection for several requests."""
    connection = http.client.HTTPConnection(api.host, timeout=10)
    yield connection
    connection.close()


def _fetch(connection: http.client.HTTPConnection, path: str = COMPANIES) -> bytes:
    connection.request("GET", path, headers=UNIFIED)
    return connection.getresponse().read()


def test_a_connection_serves_many_requests(connection: http.client.HTTPConnection) -> None:
    """Keep-alive is the ordinary case."""
    _fetch(connection)
    socket = connection.sock

    _fetch(connection)

    assert connection.sock is socket


@pytest.mark.parametrize("fault", ["close", "close_silently"])
def test_a_connection_closes_with_or_without_saying_so(
    api: Caller, connection: http.client.HTTPConnection, fault: str
) -> None:
    """A pooled connection that went away silently is what a client must survive."""
    api.set(connection_fault=fault)
    connection.request("GET", COMPANIES, headers=UNIFIED)
    response = connection.getresponse()
    response.read()

    assert (response.headers["Connection"] == "close") is (fault == "close")
    if fault == "close_silently":
        with pytest.raises(ConnectionError):
            _fetch(connection)


def test_a_client_that_wants_to_close_gets_its_wish(api: Caller) -> None:
    """Also one that speaks HTTP/1.0."""
    closing = api.raw(b"GET /_sandbox/health HTTP/1.1\r\nConnection: close\r\n\r\n")
    old = api.raw(b"GET /_sandbox/health HTTP/1.0\r\n\r\n")

    assert b"\r\nConnection: close\r\n" in closing
    assert b"\r\nConnection: close\r\n" in old


def test_a_cut_answer_ends_before_its_length(api: Caller) -> None:
    """The client must not take half an answer for a whole one."""
    api.set(connection_fault="truncate")

    with pytest.raises(http.client.IncompleteRead):
        api.manage("GET", "/companies")


def test_gzip_follows_what_the_request_accepts(api: Caller) -> None:
    """And ignores it where that is set."""
    accepts = UNIFIED | {"Accept-Encoding": "gzip"}
    refuses = UNIFIED | {"Accept-Encoding": "identity"}
    api.set(gzip=True)
    asked = api.send("GET", COMPANIES, headers=accepts)
    plain = api.send("GET", COMPANIES, headers=refuses)
    api.set(gzip_unasked=True)
    unasked = api.send("GET", COMPANIES, headers=refuses)

    assert asked.headers["Content-Encoding"] == "gzip"
    assert json.loads(gzip.decompress(asked.body)) == plain.json()
    assert plain.headers["Content-Encoding"] is None
    assert unasked.headers["Content-Encoding"] == "gzip"


def test_chunks_have_the_size_that_is_set(api: Caller) -> None:
    """So that a secret can be made to lie across a border."""
    api.set(chunked=True, chunk_bytes=7)
    head = f"GET {COMPANIES} HTTP/1.1\r\nConnection: close\r\n\r\n"

    answer = api.raw(head.encode())
    parsed = api.manage("GET", "/companies")

    assert b"\r\nTransfer-Encoding: chunked\r\n" in answer
    assert b'\r\n\r\n7\r\n{"code"\r\n' in answer
    assert answer.endswith(b"\r\n0\r\n\r\n")
    assert parsed.json()["code"] == 200


def test_a_dripped_answer_takes_its_time_and_is_whole(api: Caller) -> None:
    """A slow upstream, in bytes a second."""
    api.set(drip_bytes_per_second=5000)
    start = time.monotonic()

    reply = api.manage("GET", "/companies?limit=1")

    assert reply.json()["code"] == 200
    assert time.monotonic() - start >= len(reply.body) / 5000 * 0.8


def test_head_has_the_length_and_no_body(api: Caller) -> None:
    """The next request on the connection is not disturbed."""
    reply = api.manage("HEAD", "/companies")

    assert reply.status == 200
    assert int(reply.headers["Content-Length"]) > 100
    assert reply.body == b""


@pytest.mark.parametrize("size", [0, 1, len(BLOCK), 3 * len(BLOCK) + 5])
def test_a_file_is_sent_and_received_whole(api: Caller, size: int) -> None:
    """The sandbox's own helper for bodies of any size."""
    content = b"".join(file_bytes(size))

    got = api.manage("GET", f"/files/any?bytes={size}")
    put = api.manage("PUT", "/files/any", content)

    assert got.body == content
    assert got.headers["Content-Length"] == str(size)
    assert put.json()["data"] == {
        "sha256": hashlib.sha256(content).hexdigest(),
        "bytes": size,
    }
    assert api.requests()[-1]["body_bytes"] == size


def test_a_file_comes_in_chunks_where_that_is_set(api: Caller) -> None:
    """A stream without a length."""
    api.set(chunked=True)

    assert api.manage("GET", "/files/any?bytes=100000").body == b"".join(file_bytes(100_000))
    assert api.manage("GET", "/files/any?bytes=many").status == 422


def test_a_body_in_chunks_is_read(api: Caller, connection: http.client.HTTPConnection) -> None:
    """By the streaming endpoint, and in the record."""
    pieces = iter([b"one", b"two", b"three"])

    connection.request("PUT", "/api/v3/io/files/a", pieces, UNIFIED, encode_chunked=True)
    answer = json.loads(connection.getresponse().read())

    digest = hashlib.sha256(b"onetwothree").hexdigest()
    assert answer["data"] == {"sha256": digest, "bytes": 11}
    assert api.requests()[-1]["body_sha256"] == digest


def test_a_refused_upload_is_read_away_so_that_the_answer_arrives(api: Caller) -> None:
    """Otherwise the client would see a reset instead of the 401."""
    reply = api.send("PUT", "/api/v3/io/files/a", b"x" * 1_000_000)

    assert reply.status == 401
    assert reply.headers["Connection"] == "close"


def test_a_client_that_waits_is_told_to_continue(api: Caller, running: RunningSandbox) -> None:
    """But not when the answer is there without its body."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in UNIFIED.items())
    head = "PUT /api/v3/io/files/a HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n"

    wanted = api.raw(f"{head}{lines}\r\nhi".encode())
    refused = api.raw(f"{head}\r\n".encode())

    assert wanted.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n")
    assert refused.startswith(b"HTTP/1.1 401 ")
    assert b"100 Continue" not in refused
    assert running.state.requests[-1].status == 401
