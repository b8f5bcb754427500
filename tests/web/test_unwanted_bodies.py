"""What nobody wanted of a request's body: read if it is there, however busy the worker is, and not waited for."""

import itertools
import socket
import time
from collections.abc import Iterator

import pytest
from gunicorn.config import Config

from service.worker import Connection

HEAD = b"POST /v1/references HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\n\r\n"
BODY = b"x" * 60_000


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, Connection]]:
    """A client, and the worker's connection to it."""
    near, far = socket.socketpair()
    conn = Connection(Config(), far, ("127.0.0.1", 1), ("127.0.0.1", 2))
    yield near, conn
    near.close()
    conn.close()


def _begin(client: socket.socket, conn: Connection, sent: bytes) -> None:
    """Let a request arrive, and be answered without its body being read."""
    client.sendall(sent)
    assert conn.read_head()
    conn.hand_over()
    assert next(conn.parser).uri == "/v1/references"


def test_what_is_there_is_read_however_late_it_is(
    pair: tuple[socket.socket, Connection], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thread that got no turn for a while has not waited for the client, who may use the connection again."""
    client, conn = pair
    _begin(client, conn, HEAD + BODY)
    seconds = itertools.count(time.monotonic(), 0.04)
    monkeypatch.setattr("service.worker.time.monotonic", lambda: next(seconds))

    assert conn.finish_body()
    assert not conn.take_back()


def test_what_is_not_there_is_not_waited_for(pair: tuple[socket.socket, Connection]) -> None:
    """Not even when a little of it comes now and then."""
    client, conn = pair
    _begin(client, conn, HEAD + BODY[:-1])
    began = time.monotonic()

    assert not conn.finish_body()
    assert time.monotonic() - began < 1


def test_what_is_there_of_a_body_without_an_end_is_too_much(
    pair: tuple[socket.socket, Connection],
) -> None:
    """Reading it would keep a thread for as long as the client likes."""
    client, conn = pair
    _begin(client, conn, HEAD.replace(b"60000", b"6000000") + BODY * 2)

    assert not conn.finish_body()
