"""Total deadlines: every exchange ends within the upstream timeout, however the upstream draws it out."""

import gc
import socket
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from sandbox.demo.processes import wait_until
from service.adapters.deadline import Deadline, Watch
from service.core.errors import UpstreamError, UpstreamTimeoutError
from tests.adapters.calling import SECOND, fetch, link_to, upload
from tests.support.wire import ScriptedServer, Wire, answer, answering, scripted_server

HALF = SECOND / 2


def _silence(wire: Wire) -> None:
    wire.stopping.wait(10)


def _drip_status_line(wire: Wire) -> None:
    wire.drip(b"HTTP/1.1" + b" " * 5000)


def _drip_body(wire: Wire) -> None:
    wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n")
    wire.drip(b"z" * 5000)


def _drip_body_without_length(wire: Wire) -> None:
    wire.send(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
    wire.drip(b"z" * 5000)


def _drip_chunks(wire: Wire) -> None:
    wire.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    wire.drip(b"1\r\nz\r\n" * 1000)


def _drip_gzip(wire: Wire) -> None:
    wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\nContent-Encoding: gzip\r\n\r\n")
    wire.drip(b"\x1f\x8b\x08" + b"\0" * 4997)


def _many_continues(wire: Wire) -> None:
    wire.drip(b"HTTP/1.1 100 Continue\r\n\r\n" * 200)


@pytest.mark.parametrize(
    "slowly",
    [
        _silence,
        _drip_status_line,
        _drip_body,
        _drip_body_without_length,
        _drip_chunks,
        _drip_gzip,
        _many_continues,
    ],
)
def test_an_exchange_ends_in_time_however_it_is_drawn_out(slowly: Callable[[Wire], None]) -> None:
    """A byte now and then keeps every single read within its limit, and yet the whole ends."""

    def script(wire: Wire, _server: ScriptedServer) -> None:
        wire.read_request()
        slowly(wire)

    with (
        scripted_server(script) as server,
        link_to(f"http://127.0.0.1:{server.port}", timeout=HALF) as link,
    ):
        began = time.monotonic()
        with pytest.raises(UpstreamTimeoutError) as caught:
            fetch(link)
        took = time.monotonic() - began

    assert caught.value.processed
    assert 0.4 < took < 1.2


@pytest.mark.parametrize(
    "beginning",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nX-Long: ",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Long: ",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-Long: ",
    ],
)
def test_a_deadline_within_the_headers_leaves_nothing_open(beginning: bytes) -> None:
    """What was read of the answer is given up with its connection, and not left to the garbage collector."""

    def script(wire: Wire, _server: ScriptedServer) -> None:
        wire.read_request()
        wire.send(beginning)
        wire.drip(b"HTTP/1.1 200 OK\r\n" * 300)

    with (
        warnings.catch_warnings(record=True) as warned,
        scripted_server(script) as server,
        link_to(f"http://127.0.0.1:{server.port}", timeout=HALF) as link,
    ):
        warnings.simplefilter("always")
        with pytest.raises(UpstreamTimeoutError):
            fetch(link)
        gc.collect()

        assert [str(warning.message) for warning in warned] == []
        assert link._idle.get() is None


def test_an_upload_to_an_upstream_that_does_not_read_ends_in_time() -> None:
    """Sending is within the deadline too."""
    with (
        scripted_server(lambda wire, _server: _silence(wire)) as server,
        link_to(f"http://127.0.0.1:{server.port}", timeout=HALF) as link,
    ):
        began = time.monotonic()
        with pytest.raises(UpstreamError) as caught:
            link.exchange(upload("/x", (b"x" * 65_536 for _ in range(1000)), None))
        took = time.monotonic() - began

    assert caught.value.processed
    assert took < 1.5


def test_many_slow_exchanges_end_each_in_its_own_time() -> None:
    """One thread watches all of them."""

    def script(wire: Wire, _server: ScriptedServer) -> None:
        wire.read_request()
        _drip_body(wire)

    def exchange(_number: int) -> float:
        began = time.monotonic()
        with pytest.raises(UpstreamTimeoutError):
            fetch(link)
        return time.monotonic() - began

    with (
        scripted_server(script) as server,
        link_to(f"http://127.0.0.1:{server.port}", timeout=HALF) as link,
        ThreadPoolExecutor(12) as pool,
    ):
        took = list(pool.map(exchange, range(12)))

    assert max(took) < 1.5


def test_a_late_answer_ends_its_connection() -> None:
    """What comes after the deadline is never taken for the answer to the next request."""

    def script(wire: Wire, server: ScriptedServer) -> None:
        wire.read_request()
        if wire.number == 1:
            wire.stopping.wait(0.8)
            wire.send(answer(b"late"))
        wire.send(answer(b"in time"))
        server.requests.append(b"")

    with (
        scripted_server(script) as server,
        link_to(f"http://127.0.0.1:{server.port}", timeout=HALF) as link,
    ):
        with pytest.raises(UpstreamTimeoutError):
            fetch(link)
        assert fetch(link) == b"in time"


def test_a_deadline_that_passes_with_no_socket_is_noted() -> None:
    """While the connection is being made there is nothing to shut down."""
    deadline = Watch().start(0.02)

    wait_until("the deadline passed", lambda: deadline.missed, 2)

    assert deadline.left() == 0.001


def test_a_finished_call_is_not_missed() -> None:
    """The watch forgets what ended; a later deadline still works."""
    watch = Watch()
    finished = watch.start(0.05)
    finished.finish()
    open_one = watch.start(0.1)
    earlier = watch.start(0.02)

    wait_until("both passed", lambda: open_one.missed and earlier.missed, 2)

    assert not finished.missed


def test_a_deadline_leaves_a_fast_exchange_alone() -> None:
    """A connection that outlives its exchange's deadline is sound for the next."""
    with (
        scripted_server(answering(answer(b"ok"), answer(b"ok"))) as server,
        link_to(f"http://127.0.0.1:{server.port}", timeout=SECOND / 5) as link,
    ):
        fetch(link)
        passed = link._watch.start(0.3)
        wait_until("the first deadline passed", lambda: passed.missed, 2)

        assert fetch(link) == b"ok"
        assert server.connections == 1


def test_a_call_that_ends_in_the_moment_of_its_deadline_is_no_matter() -> None:
    """Whoever comes first, a finished call is not missed and a closed socket is no error."""
    finished = Deadline(0)
    finished.finish()
    closed = socket.socket()
    closed.close()
    late = Deadline(0, sock=closed)

    finished.expire()
    late.expire()

    assert (finished.missed, late.missed) == (False, True)
