"""What nobody wanted of a request's body: read if it is there, however busy the worker is, and not waited for."""

import contextlib
import itertools
import socket
import threading
import time
from collections.abc import Iterator

import pytest
from gunicorn.config import Config
from gunicorn.http.unreader import SocketUnreader

from service.worker import Connection

HEAD = b"POST /v1/references HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\n\r\n"
BODY = b"x" * 60_000
CHUNKED = HEAD.replace(b"Content-Length: 60000", b"Transfer-Encoding: chunked")


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


@pytest.mark.parametrize("extension", [b";a" * 4_000, b""])
def test_what_frames_a_body_is_not_read_without_an_end_either(
    pair: tuple[socket.socket, Connection], extension: bytes
) -> None:
    """A chunk of one byte may have thousands of others beside it, and it comes as fast as it is read."""
    client, conn = pair
    _begin(client, conn, CHUNKED)
    client.settimeout(10)
    chunks = (b"1" + extension + b"\r\nx\r\n") * (10_000_000 // (len(extension) + 6))
    read = []

    def count(_self: object, _size: object = None) -> bytes:
        received = conn.sock.recv(8192)
        read.append(len(received))
        return bytes(received)

    sending = threading.Thread(target=_send, args=(client, chunks))
    sending.start()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(SocketUnreader, "chunk", count)
        finished = conn.finish_body()
    client.shutdown(socket.SHUT_RDWR)
    sending.join()

    assert not finished
    assert sum(read) < 200_000


def _send(client: socket.socket, sent: bytes) -> None:
    with contextlib.suppress(OSError):
        client.sendall(sent)


@pytest.mark.parametrize("rest", [b"zz\r\n", b"1\r\nabcd\r\n"])
def test_a_body_that_is_framed_wrongly_ends_the_connection_and_no_more(
    pair: tuple[socket.socket, Connection], rest: bytes
) -> None:
    """The request was answered; a second answer would be taken for that of the next one."""
    client, conn = pair
    _begin(client, conn, CHUNKED + rest)

    assert not conn.finish_body()
