"""Large bodies through the proxy, both ways: whole, in constant memory, and no faster than the slower side."""

import contextlib
import hashlib
import socket
import time
from collections.abc import Iterator

import pytest
import urllib3

from sandbox.demo.processes import wait_until
from sandbox.demo.stack import Stack
from sandbox.files import file_bytes
from tests.acceptance.proxy.conftest import another_broker
from tests.acceptance.proxy.puppet import FINE, Theatre, sending, theatre
from tests.support.memory import MIB, peak_bytes, resident_bytes
from tests.support.service import Service
from tests.support.wire import Wire

FILE = "/v1/proxy/api/v3/io/files/a"
SIZE = 200 * MIB
MORE_AT_MOST = 20 * MIB
_PIECE = 64 * 1024


@pytest.fixture
def fresh(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A broker with one worker that has done nothing yet, so that its peak is that of the test."""
    folder = tmp_path_factory.mktemp("fresh")
    with another_broker(stack, folder, {"WEB_CONCURRENCY": "1"}) as service:
        service.upstream("PATCH", "/_sandbox/behaviours", {"rate_limit_per_minute": 0})
        yield service


@pytest.fixture(scope="module")
def hall(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Theatre]:
    """A broker whose upstream does what the test says, with time enough."""
    with theatre(stack, tmp_path_factory.mktemp("slow"), seconds=60) as running:
        yield running


def test_a_download_goes_through_in_constant_memory(fresh: Service) -> None:
    """Every byte arrives, and the worker never held more than a little of it."""
    headers = _proof(fresh)
    before = resident_bytes(_worker(fresh))
    digest, received = hashlib.sha256(), 0

    with urllib3.PoolManager() as http:
        url = f"{fresh.stack.url}{FILE}?bytes={SIZE}"
        reply = http.request("GET", url, headers=headers, preload_content=False, retries=False)
        for piece in reply.stream(_PIECE):
            digest.update(piece)
            received += len(piece)

    assert (reply.status, received) == (200, SIZE)
    assert digest.digest() == _digest()
    assert peak_bytes(_worker(fresh)) - before < MORE_AT_MOST


@pytest.mark.parametrize("framing", ["length", "chunks"])
def test_an_upload_goes_through_in_constant_memory(fresh: Service, framing: str) -> None:
    """The upstream says which bytes came to it; announced or not, the body is never held whole."""
    headers = _proof(fresh)
    if framing == "length":
        headers["Content-Length"] = str(SIZE)
    before = resident_bytes(_worker(fresh))

    with urllib3.PoolManager() as http:
        url = f"{fresh.stack.url}{FILE}"
        reply = http.request("PUT", url, body=file_bytes(SIZE), headers=headers, retries=False)

    assert reply.status == 200
    assert reply.json()["data"] == {"sha256": _digest().hex(), "bytes": SIZE}
    assert peak_bytes(_worker(fresh)) - before < MORE_AT_MOST


def test_a_slow_reader_slows_the_upstream_and_fills_no_memory(hall: Theatre) -> None:
    """What the caller does not read, the upstream cannot send; later everything arrives."""
    size = 96 * MIB
    sent = [0]

    def play(wire: Wire) -> None:
        wire.send(f"HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n".encode())
        for _ in range(size // _PIECE):
            wire.send(bytes(_PIECE))
            sent[0] += _PIECE

    hall.ask(sending(FINE))
    before = resident_bytes(hall.worker_pid)
    hall.puppet.play = play

    with socket.create_connection(("127.0.0.1", hall.service.stack.port)) as caller:
        caller.sendall(hall.request())
        received = len(caller.recv(_PIECE))
        _wait_until_still(sent)
        stalled_at = sent[0]
        while piece := caller.recv(_PIECE):
            received += len(piece)

    assert MIB // 4 < stalled_at < size // 2
    assert sent[0] == size < received
    assert peak_bytes(hall.worker_pid) - before < MORE_AT_MOST


def test_a_slow_upstream_slows_the_caller_and_fills_no_memory(hall: Theatre) -> None:
    """What the upstream does not read, the caller cannot send."""
    size = 96 * MIB
    hall.ask(sending(FINE))
    before = resident_bytes(hall.worker_pid)
    head = hall.request("PUT", "/api/v3/io/files/a", f"Content-Length: {size}")
    sent = 0

    hall.puppet.reading.clear()
    with socket.create_connection(("127.0.0.1", hall.service.stack.port)) as caller:
        caller.sendall(head)
        caller.settimeout(0.5)
        with contextlib.suppress(TimeoutError):
            while sent < size:
                sent += caller.send(bytes(_PIECE))

    hall.puppet.reading.set()
    assert 0 < sent < size // 2
    assert peak_bytes(hall.worker_pid) - before < MORE_AT_MOST


def test_a_caller_who_goes_in_the_middle_of_an_answer_ends_it_upstream(hall: Theatre) -> None:
    """The upstream, which would go on for minutes, is cut off within two seconds."""
    cut_off: list[float] = []

    def play(wire: Wire) -> None:
        wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n" + bytes(MIB))
        try:
            wire.drip(bytes(10_000))
        except OSError:
            cut_off.append(time.monotonic())
            raise

    hall.puppet.play = play
    with socket.create_connection(("127.0.0.1", hall.service.stack.port)) as caller:
        caller.sendall(hall.request())
        assert caller.recv(_PIECE).startswith(b"HTTP/1.1 200 OK")
    gone_at = time.monotonic()

    wait_until("the upstream is cut off", lambda: bool(cut_off), 5)
    assert cut_off[0] - gone_at < 2


def test_a_caller_whose_calls_take_long_leaves_threads_for_others(hall: Theatre) -> None:
    """It asks for more at a time than there are threads, of an upstream that does not answer; whoever else comes is answered."""

    def play(wire: Wire) -> None:
        wire.read_request()  # until the broker gives up

    hall.puppet.play = play
    with contextlib.ExitStack() as waiting:
        for _ in range(40):
            caller = waiting.enter_context(
                socket.create_connection(("127.0.0.1", hall.service.stack.port))
            )
            caller.sendall(hall.request())
        caller.settimeout(20)
        last = caller.makefile("rb").read()
        reply = hall.service.client.ask(hall.service.operator, "GET", "/v1/whoami")

    assert last.startswith(b"HTTP/1.1 429 ")
    assert b"of this caller" in last
    assert reply.status == 200


def _proof(service: Service) -> dict[str, str]:
    """Return what opens a new store, after a request that makes the worker load what it needs."""
    reference = service.mint(service.active_store())
    assert service.companies(reference).status == 200
    return {"Authorization": f"Bearer {service.worker}", "Broker-Reference": reference}


def _worker(service: Service) -> int:
    (pid,) = service.stack.broker.children()
    return pid


def _digest() -> bytes:
    digest = hashlib.sha256()
    for piece in file_bytes(SIZE):
        digest.update(piece)
    return digest.digest()


def _wait_until_still(sent: list[int]) -> None:
    """Wait until no more was sent for half a second."""
    seen = (-1, 0.0)

    def still() -> bool:
        nonlocal seen
        if sent[0] != seen[0]:
            seen = (sent[0], time.monotonic())
        return time.monotonic() - seen[1] > 0.5

    wait_until("the upstream cannot send any more", still, 20)
