"""The ops port's server: whoever reaches it without having to prove anything holds few threads, and none for long."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from sandbox.demo.processes import answers, wait_until
from service.web.ops import create_ops_app
from service.web.ops_server import MOST, OpsServer


@contextlib.contextmanager
def _serving(longest: timedelta) -> Iterator[OpsServer]:
    """Run the server of an ops port without dependencies, whose connections last so long at most."""
    with socket.create_server(("127.0.0.1", 0), backlog=MOST) as listener:
        running = OpsServer(listener, longest)
        running.set_app(create_ops_app((), lambda: (b"", "text/plain")))
        serving = threading.Thread(target=running.serve_forever)
        serving.start()
        yield running
        running.shutdown()
        serving.join()


@pytest.fixture
def patient() -> Iterator[OpsServer]:
    """A server whose connections last as long as any test."""
    with _serving(timedelta(minutes=5)) as running:
        yield running


@pytest.fixture
def impatient() -> Iterator[OpsServer]:
    """A server whose connections last a moment."""
    with _serving(timedelta(seconds=0.2)) as running:
        yield running


def _connect(server: OpsServer) -> socket.socket:
    client = socket.create_connection(("127.0.0.1", server.server_port), timeout=10)
    client.sendall(b"GET /livez HTTP/1.1\r\nX: ")
    return client


def test_many_who_never_end_their_request_hold_few_threads_and_stop_no_probe(
    patient: OpsServer,
) -> None:
    """Each connection beyond the most costs the one that has been there for the longest time."""
    before = threading.active_count()
    with contextlib.ExitStack() as clients:
        for _ in range(3 * MOST):
            clients.enter_context(_connect(patient))

        alive = answers(patient.server_port, "/livez")
        wait_until("few threads", lambda: threading.active_count() <= before + MOST, 3)

    assert alive


def test_who_goes_on_and_on_is_cut(impatient: OpsServer) -> None:
    """A byte now and then is no reason to wait any longer."""
    with _connect(impatient) as client:
        client.settimeout(0.05)

        def is_cut() -> bool:
            try:
                client.sendall(b"a")
                return not client.recv(1)
            except TimeoutError:
                return False
            except OSError:
                return True

        wait_until("it is cut", is_cut, 5)


def test_what_cannot_be_read_is_not_repeated(patient: OpsServer) -> None:
    """Not even to whoever wrote it."""
    with socket.create_connection(("127.0.0.1", patient.server_port), timeout=10) as client:
        client.sendall(b"GET / HTTP/canary\r\n\r\n")
        answer = client.makefile("rb").read()

    assert b"400" in answer
    assert b"canary" not in answer


@pytest.mark.parametrize(("error", "lines"), [(ConnectionResetError(), 0), (ValueError("x"), 1)])
def test_only_a_defect_is_logged(patient: OpsServer, error: Exception, lines: int) -> None:
    """A client that has gone is no news."""
    with capture_logs() as logged:
        try:
            raise error
        except type(error):
            patient.handle_error(None, None)

    assert [line["event"] for line in logged] == ["ops_request_failed"] * lines
