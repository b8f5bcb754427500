"""Bodies that end early or break their framing, and bodies that come in unusual but honest ways."""

import io
from typing import Any

import pytest
from gunicorn.http.errors import InvalidChunkSize, InvalidHeader, NoMoreData
from werkzeug.test import TestResponse

from tests.support.world import STORE, WORKER
from tests.web.answers import CANARY, assert_problem, says_canary
from tests.web.calling import Api

LIMIT = 65_536
INTROSPECT = "/v1/references/introspect"
ORDERS = "/v1/proxy/api/v3/io/orders"
PATHS = [f"/v1/stores/{STORE}", ORDERS]
AS_JSON = "application/json"
CHUNKED = {
    "CONTENT_LENGTH": "",
    "HTTP_TRANSFER_ENCODING": "chunked",
    "wsgi.input_terminated": True,
}


class BreakingInput(io.RawIOBase):
    """A body whose framing breaks after its first bytes."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self._first = f'{{"{CANARY}":'.encode()
        self._error = error

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]  # only bytearrays are read into here
        if not self._first:
            raise self._error
        first, self._first = self._first, b""
        buffer[: len(first)] = first
        return len(first)


class LongInput(io.RawIOBase):
    """A body of blanks, made as it is read."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self._size = size
        self.given = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]  # only bytearrays are read into here
        size = min(len(buffer), self._size - self.given)
        buffer[:size] = b" " * size
        self.given += size
        return size


def send(api: Api, path: str, **options: Any) -> TestResponse:
    """Send a JSON body to a path of the API or of the proxy."""
    if path.startswith("/v1/proxy/"):
        return api.proxy("POST", path, content_type=AS_JSON, **options)
    return api.ask("PUT", path, content_type=AS_JSON, **options)


def introspect(api: Api, **options: Any) -> TestResponse:
    """Send a JSON body to an operation that has no effect."""
    return api.ask("POST", INTROSPECT, WORKER, content_type=AS_JSON, **options)


BREAKS = [
    InvalidChunkSize(CANARY.encode()),
    InvalidHeader(CANARY),
    NoMoreData(CANARY.encode()),
    OSError(CANARY),
    TimeoutError(CANARY),
]


@pytest.mark.parametrize("error", BREAKS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("path", PATHS)
def test_a_body_that_breaks_its_framing_is_400(api: Api, path: str, error: Exception) -> None:
    """Whatever the server beneath raises while the body is read, the caller sent something wrong."""
    environ = {"wsgi.input": BreakingInput(error), "CONTENT_LENGTH": "1000"}

    answer = send(api, path, environ_overrides=environ)

    assert_problem(answer, "malformed")
    assert says_canary(answer) == []
    assert api.world.upstream.proxied == []


@pytest.mark.parametrize("ended", [True, False], ids=["stream ends", "length ends"])
@pytest.mark.parametrize("path", PATHS)
def test_a_body_that_ends_before_its_length_is_400(api: Api, path: str, *, ended: bool) -> None:
    """The caller went away, or announced more than it sent; the server beneath may take that for the end."""
    body = f'{{"{CANARY}":1}}'
    environ = {"CONTENT_LENGTH": "1000", "wsgi.input_terminated": ended}

    answer = send(api, path, data=body, environ_overrides=environ)

    assert_problem(answer, "malformed")
    assert says_canary(answer) == []
    assert api.world.upstream.proxied == []


@pytest.mark.parametrize("coding", ["gzip", "gzip, chunked", "chunked, gzip", "identity", CANARY])
@pytest.mark.parametrize("path", PATHS)
def test_a_body_in_another_coding_is_400(api: Api, path: str, coding: str) -> None:
    """Two servers could see its end in two places (RFC 9112 §11.2)."""
    answer = send(
        api, path, data="{}", environ_overrides=CHUNKED | {"HTTP_TRANSFER_ENCODING": coding}
    )

    assert_problem(answer, "malformed")
    assert says_canary(answer) == []
    assert api.world.upstream.proxied == []


@pytest.mark.parametrize("coding", ["chunked", "Chunked", " chunked "])
def test_a_body_in_chunks_is_read(api: Api, coding: str) -> None:
    """A length need not be announced when the server ends the stream itself."""
    environ = CHUNKED | {"HTTP_TRANSFER_ENCODING": coding}

    answer = introspect(api, data=b'{"reference":"x"}', environ_overrides=environ)

    assert (answer.status_code, answer.get_json()) == (200, {"active": False})


@pytest.mark.parametrize("environ", [{}, CHUNKED], ids=["with its length", "in chunks"])
@pytest.mark.parametrize(("size", "status"), [(LIMIT, 200), (LIMIT + 1, 413)])
def test_the_limit_of_a_body_is_64_kib(
    api: Api, size: int, status: int, environ: dict[str, object]
) -> None:
    """Exactly the limit is read, one byte more is not, whether or not it was announced."""
    body = b'{"reference":"x"}'.ljust(size)

    answer = introspect(api, data=body, environ_overrides=environ)

    assert answer.status_code == status
    if status == 413:
        assert_problem(answer, "too_large")


@pytest.mark.parametrize(
    ("environ", "most"),
    [({"CONTENT_LENGTH": str(10**9)}, 0), (CHUNKED, 3 * LIMIT)],
    ids=["with its length", "in chunks"],
)
def test_a_huge_body_is_refused_without_reading_it_whole(
    api: Api, environ: dict[str, object], most: int
) -> None:
    """What was announced is not read at all, and what was not is read a little beyond the limit."""
    body = LongInput(10**9)

    answer = introspect(api, environ_overrides=environ | {"wsgi.input": body})

    assert_problem(answer, "too_large")
    assert body.given <= most


@pytest.mark.parametrize("size", [LIMIT + 1, 3_000_000])
@pytest.mark.parametrize("announced", [True, False], ids=["with its length", "in chunks"])
def test_a_body_to_the_proxy_has_no_limit(api: Api, size: int, *, announced: bool) -> None:
    """It streams, so what is too large is for the upstream to say."""
    body = LongInput(size)
    environ = {"CONTENT_LENGTH": str(size)} if announced else CHUNKED

    answer = send(api, ORDERS, environ_overrides={**environ, "wsgi.input": body})

    assert answer.status_code == 200
    assert body.given == size
    (sent,) = api.world.upstream.proxied
    assert sent.body_bytes == (size if announced else None)
