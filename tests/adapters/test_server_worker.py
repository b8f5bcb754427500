"""What gunicorn would say by itself: requests that cannot be parsed, and its own messages."""

import json
import logging
import socket
import ssl
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from gunicorn.config import Config
from gunicorn.http.errors import (
    InvalidHeader,
    InvalidRequestLine,
    LimitRequestHeaders,
    LimitRequestLine,
)
from structlog.testing import capture_logs

from service.adapters.logs import configure_logs
from service.server import BrokerLogger
from service.worker import BrokerWorker

pytestmark = pytest.mark.usefixtures("logs_as_before")

CANARY = "canary-token-in-a-request-line"
REQUEST = SimpleNamespace(uri=CANARY)
ADDRESS = ("192.0.2.7", 1)


@pytest.fixture
def worker() -> BrokerWorker:
    """A worker that serves nothing; how it answers needs none of its parts."""
    return BrokerWorker.__new__(BrokerWorker)


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Both ends of a connection: the broker's and the client's."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


REFUSED: dict[str, tuple[object, BaseException, int, str]] = {
    "request line": (None, InvalidRequestLine(CANARY), 400, "malformed"),
    "header": (None, InvalidHeader(CANARY), 400, "malformed"),
    "long line": (None, LimitRequestLine(9000, 8190), 414, "target_too_long"),
    "long headers": (None, LimitRequestHeaders(CANARY), 431, "headers_too_large"),
    "a header of ours that cannot be written": (REQUEST, InvalidHeader(CANARY), 500, "internal"),
    "a defect": (None, RuntimeError(CANARY), 500, "internal"),
    "a defect later": (REQUEST, KeyError(CANARY), 500, "internal"),
}


@pytest.mark.parametrize(
    ("request_", "error", "status", "name"), REFUSED.values(), ids=REFUSED.keys()
)
def test_what_the_app_never_sees_is_answered_with_a_problem(
    worker: BrokerWorker,
    ends: tuple[socket.socket, socket.socket],
    request_: object,
    error: BaseException,
    status: int,
    name: str,
) -> None:
    """Nothing of the request is in the answer or in the log, only what kind of error it was."""
    ours, theirs = ends

    with capture_logs() as lines:
        worker.handle_error(request_, ours, ADDRESS, error)
    ours.close()

    answer = theirs.makefile("rb").read()
    head, _, content = answer.partition(b"\r\n\r\n")
    assert head.startswith(f"HTTP/1.1 {status} ".encode())
    assert json.loads(content)["type"] == f"urn:b2b-broker:problem:{name}"
    assert CANARY.encode() not in answer
    assert lines == [
        {
            "event": "request_unreadable",
            "log_level": "warning",
            "kind": type(error).__name__,
            "peer": ADDRESS[0],
        }
    ]


def test_a_handshake_that_failed_has_nobody_to_tell(
    worker: BrokerWorker, ends: tuple[socket.socket, socket.socket]
) -> None:
    """Plain text in the middle of TLS would be noise."""
    ours, theirs = ends

    with capture_logs() as lines:
        worker.handle_error(None, ours, ADDRESS, ssl.SSLError(1, CANARY))
    ours.close()

    assert theirs.recv(1) == b""
    assert CANARY not in str(lines)


def test_a_client_that_went_away_is_no_error(
    worker: BrokerWorker, ends: tuple[socket.socket, socket.socket]
) -> None:
    """There is nobody left to answer."""
    ours, theirs = ends
    theirs.close()

    with capture_logs() as lines:
        worker.handle_error(None, ours, ADDRESS, InvalidRequestLine(CANARY))

    assert len(lines) == 1


@pytest.fixture(params=["info", "debug"])
def logger(request: pytest.FixtureRequest, logs_as_before: None) -> Iterator[BrokerLogger]:
    """The logger of gunicorn as this project has it, at the level that most installations have and at the one below."""
    del logs_as_before
    error_log = logging.getLogger("gunicorn.error")
    before = error_log.level, error_log.propagate, error_log.handlers[:]
    configure_logs(request.param)
    config = Config()
    config.set("loglevel", request.param)
    yield BrokerLogger(config)
    error_log.setLevel(before[0])
    error_log.propagate, error_log.handlers[:] = before[1], before[2]


def test_gunicorns_messages_are_lines_like_all_others(
    logger: BrokerLogger, capfd: pytest.CaptureFixture[str]
) -> None:
    """Once each, as JSON, of an exception only its kind; never one for each request, which would show its path."""
    logger.debug("GET /%s", CANARY)
    logger.info("Listening at %s", "somewhere")
    logger.error("Exception in worker process", exc_info=RuntimeError(CANARY))

    written = capfd.readouterr()
    lines = [json.loads(line) for line in written.err.splitlines()]
    assert written.out == ""
    assert [line["event"] for line in lines] == [
        "Listening at somewhere",
        "Exception in worker process",
    ]
    assert lines[1]["error"] == "RuntimeError"
    assert CANARY not in written.err


def test_there_is_no_access_log(logger: BrokerLogger, capfd: pytest.CaptureFixture[str]) -> None:
    """It would keep request lines with their queries; the app writes its own line."""
    response = SimpleNamespace(status="200 OK", sent=1, headers=[])

    logger.access(response, REQUEST, {"RAW_URI": CANARY}, None)
    logger.reopen_files()

    written = capfd.readouterr()
    assert written.out + written.err == ""
