"""The load client against a tiny server: it counts whole expected answers, and gives up at anything else."""

import http.server
import threading
from collections.abc import Iterator

import pytest

from bench.load import LoadError, Phase, Target, apply_load, ask_often, missing_bytes
from bench.setting import prepared

_LARGE = 1_000_000


class _Tiny(http.server.BaseHTTPRequestHandler):
    """Answers by path: with a length, in chunks, with another status, or by hanging up."""

    protocol_version = "HTTP/1.1"
    bodies: list[bytes]

    def do_POST(self) -> None:
        self.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == "/large":
            self.send_response(200)
            self.send_header("Content-Length", str(_LARGE))
            self.end_headers()
            self.wfile.write(bytes(_LARGE))
            return
        if self.path == "/hang-up":
            self.close_connection = True
            return
        chunked = self.path == "/chunked"
        self.send_response(410 if self.path == "/refused" else 200)
        self.send_header(
            *(("Transfer-Encoding", "chunked") if chunked else ("Content-Length", "2"))
        )
        self.end_headers()
        self.wfile.write(b"2\r\nok\r\n0\r\n\r\n" if chunked else b"ok")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 — the name of the base class
        """Say nothing."""


class _TinyServer(http.server.ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: a client that gives up closes its connections while they are answered."""


@pytest.fixture
def tiny() -> Iterator[_TinyServer]:
    """A tiny server that keeps the bodies that it got."""
    handler = type("Handler", (_Tiny,), {"bodies": []})
    with _TinyServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def _target(server: _TinyServer, path: str) -> Target:
    requests = tuple(prepared("POST", path, {}, {"number": number}) for number in range(2))
    return Target("tiny", server.server_address[1], 200, requests, "tiny")


@pytest.mark.parametrize("path", ["/length", "/chunked", "/large"])
def test_every_answer_within_the_time_has_a_latency(tiny: _TinyServer, path: str) -> None:
    """Answers are counted whichever way their end is told, and the server saw as many requests."""
    target = _target(tiny, path)

    load = apply_load(target, Phase(connections=3, seconds=0.2, warm_up_seconds=0.05))

    seen = tiny.RequestHandlerClass.bodies  # type: ignore[attr-defined]  # of the class above
    assert 0 < len(load.latencies) < load.answers == len(seen)
    assert load.per_second == len(load.latencies) / 0.2
    assert 0 < load.latency(0.5) <= load.latency(0.99) <= load.latencies[-1]
    assert set(seen) == {b'{"number": 0}', b'{"number": 1}'}


@pytest.mark.parametrize("times", [2, 25])
def test_a_number_of_requests_is_sent_exactly(tiny: _TinyServer, times: int) -> None:
    """What divides by the number of requests relies on it, for fewer than there are connections too."""
    target = _target(tiny, "/length")

    ask_often(target, times, connections=4)

    assert len(tiny.RequestHandlerClass.bodies) == times  # type: ignore[attr-defined]  # of the class above


@pytest.mark.parametrize(
    ("path", "complaint"), [("/refused", "answered 'HTTP/1.1 410"), ("/hang-up", "closed")]
)
def test_anything_but_the_expected_answer_ends_the_measurement(
    tiny: _TinyServer, path: str, complaint: str
) -> None:
    """Fast refusals are no throughput."""
    target = _target(tiny, path)

    with pytest.raises(LoadError, match=complaint):
        apply_load(target, Phase(connections=2, seconds=0.2))


@pytest.mark.parametrize(
    ("received", "missing"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Le", None),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\no", 2),
        (b"HTTP/1.1 200 OK\r\nCONTENT-LENGTH: 2\r\nServer: x\r\n\r\nok", 0),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n", None),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", 0),
    ],
)
def test_an_answer_is_whole_at_its_end_and_not_before(received: bytes, missing: int | None) -> None:
    """Otherwise the rest of an answer would be taken for the next one."""
    assert missing_bytes(received) == missing
