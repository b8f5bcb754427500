"""What is recorded of a request, and which requests have no meaning."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest

from sandbox.state import KEPT_REQUESTS
from tests.sandbox.calling import ACCESS_TOKEN, COMPANIES, CREATE

if TYPE_CHECKING:
    from sandbox.server import RunningSandbox
    from tests.sandbox.calling import Caller


def test_a_record_keeps_target_and_headers_exactly(api: Caller) -> None:
    """Order, spelling, repetition and bytes above ASCII are what a proxy's test looks at."""
    target = "/api/v3/io/./companies%2F..?q=%C3%A9&x=\xe9"
    api.raw(f"GET {target} HTTP/1.1\r\nX-b: 1\r\nx-A:2\r\nX-b:  \xe9 \r\n\r\n".encode("latin-1"))

    record = api.requests()[-1]

    assert record["target"] == target
    assert record["headers"] == [["X-b", "1"], ["x-A", "2"], ["X-b", "\xe9"]]
    assert record["status"] == 404


def test_a_record_names_store_style_and_digest(api: Caller) -> None:
    """Whose request it was, and whether the body arrived unchanged."""
    token = api.token()
    api.send("POST", COMPANIES, b'{"companyName": "x"}', {"authToken": token})
    api.manage("GET", "/companies", store_hash="def456")

    create, legacy, unified = api.requests()

    assert (create["store_hash"], create["style"]) == ("abc123", None)
    assert (legacy["store_hash"], legacy["style"]) == ("abc123", "auth_token")
    assert (unified["store_hash"], unified["style"]) == ("def456", "x_auth_token")
    assert legacy["body_sha256"] == hashlib.sha256(b'{"companyName": "x"}').hexdigest()
    assert legacy["body_bytes"] == 20
    assert unified["body_sha256"] == hashlib.sha256(b"").hexdigest()


def test_records_can_be_asked_for_one_store_and_forgotten(api: Caller) -> None:
    """So that tests which share a sandbox see their own."""
    api.manage("GET", "/companies")
    api.manage("GET", "/companies", store_hash="def456")

    mine = api.send("GET", "/_sandbox/requests?store_hash=def456").json()["requests"]
    api.send("DELETE", "/_sandbox/requests")

    assert [record["store_hash"] for record in mine] == ["def456"]
    assert api.requests() == []


def test_only_the_last_ten_thousand_are_kept(api: Caller, running: RunningSandbox) -> None:
    """Memory has a bound."""
    api.manage("GET", "/companies")

    assert KEPT_REQUESTS == 10_000
    assert running.state.requests.maxlen == KEPT_REQUESTS


@pytest.mark.parametrize(
    "head",
    [
        "nonsense",
        "GET / HTTP/2",
        "GET /a b HTTP/1.1",
        "GET / HTTP/1.1\r\nno colon",
        "GET / HTTP/1.1\r\nspace : x",
        "GET / HTTP/1.1\r\n folded",
        "POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked",
        "POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1",
        "POST / HTTP/1.1\r\nContent-Length: +1",
        "POST / HTTP/1.1\r\nTransfer-Encoding: gzip",
        "GET / HTTP/1.1\r\n" + "\r\n".join(f"x{number}: 1" for number in range(201)),
    ],
)
def test_a_request_without_one_meaning_is_refused(api: Caller, head: str) -> None:
    """A 400, and the connection ends."""
    answer = api.raw(f"{head}\r\n\r\n0\r\n\r\n".encode())  # A whole body, if read as chunks.

    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"\r\nConnection: close\r\n" in answer


@pytest.mark.parametrize(
    "rest",
    [
        "Content-Length: 5\r\n\r\nabc",
        "Transfer-Encoding: chunked\r\n\r\n5\r\nabc",
        "Transfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\nx\r\nabc\r\n0\r\n\r\n",
    ],
)
def test_a_broken_body_is_refused(api: Caller, rest: str) -> None:
    """And recorded without a status."""
    answer = api.raw(f"POST {CREATE} HTTP/1.1\r\n{rest}".encode())

    assert answer.startswith(b"HTTP/1.1 400 ")
    assert api.requests()[-1]["status"] is None


def test_chunk_extensions_trailers_and_a_leading_line_are_read(api: Caller) -> None:
    """What RFC 9112 allows is allowed."""
    head = (
        f"\r\nPUT /api/v3/io/files/a HTTP/1.1\r\nX-Auth-Token: {ACCESS_TOKEN}\r\n"
        "X-Store-Hash: abc123\r\nTransfer-Encoding: chunked\r\n\r\n"
    )

    answer = api.raw(f"{head}3;a=b\r\nabc\r\n0\r\nTrailer: x\r\n\r\n".encode())

    assert hashlib.sha256(b"abc").hexdigest().encode() in answer


def test_a_body_beyond_what_endpoints_read_is_refused(api: Caller) -> None:
    """Only the file helper takes bodies of any size."""
    connection_end = api.raw(
        f"POST {CREATE} HTTP/1.1\r\nContent-Length: 70000000\r\n\r\n".encode() + b"x" * 70_000_000
    )

    assert connection_end.startswith(b"HTTP/1.1 413 ")
