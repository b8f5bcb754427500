"""``broker healthcheck``: what an image's HEALTHCHECK runs."""

import socket
import threading
from collections.abc import Iterator
from wsgiref.simple_server import WSGIRequestHandler, make_server

import pytest
from click.testing import CliRunner, Result

from service.adapters.metrics import Metrics
from service.cli import main
from service.web.ops import create_ops_app


class _Silent(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 — the name of the base class
        """Say nothing."""


@pytest.fixture
def ops_port() -> Iterator[int]:
    """The real ops application, listening on loopback."""
    app = create_ops_app((), Metrics().exposition)
    with make_server("127.0.0.1", 0, app, handler_class=_Silent) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def _check(bind: str, **others: str) -> Result:
    return CliRunner().invoke(main, ["healthcheck"], env={"BROKER_OPS_BIND": bind, **others})


@pytest.mark.parametrize("host", ["0.0.0.0", "127.0.0.1"])  # noqa: S104 — where the broker would listen
def test_a_broker_that_serves_is_healthy(ops_port: int, host: str) -> None:
    """Bound everywhere, it is asked on loopback."""
    result = _check(f"{host}:{ops_port}")

    assert (result.exit_code, result.output) == (0, "")


def test_other_settings_do_not_matter(ops_port: int) -> None:
    """A certificate that is just being replaced does not make it look dead."""
    result = _check(f"0.0.0.0:{ops_port}", BROKER_TLS_CERT_FILE="/nowhere")

    assert result.exit_code == 0


def test_nobody_there_is_unhealthy() -> None:
    """One line says so."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        result = _check(f"0.0.0.0:{unused.getsockname()[1]}")

    assert result.exit_code == 1
    assert result.output == "Error: no answer from the ops port: ConnectionRefusedError\n"


def test_another_server_there_is_unhealthy() -> None:
    """Only 200 counts."""

    def refuse(environ: object, start: object) -> list[bytes]:
        del environ
        assert callable(start)
        start("404 Not Found", [])
        return []

    with make_server("127.0.0.1", 0, refuse, handler_class=_Silent) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        result = _check(f"127.0.0.1:{server.server_port}")
        thread.join()

    assert (result.exit_code, result.output) == (1, "Error: the ops port answers 404\n")


def test_a_wrong_address_is_named() -> None:
    """As at the start."""
    result = _check("nine")

    assert result.exit_code == 1
    assert result.output == "Error: BROKER_OPS_BIND: is host:port, such as 0.0.0.0:8080\n"
