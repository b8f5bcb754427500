"""Connections: reused when they are sound, never otherwise; and what is sent again on a new one."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from sandbox.demo.processes import wait_until
from sandbox.server import RunningSandbox
from service.adapters.upstream_link import UpstreamLink
from service.core.errors import UpstreamAnswerError
from service.core.upstream_ports import ProxyRequest
from tests.adapters.calling import fetch, get, issue, link_to, read, upload, upstream_to
from tests.support.wire import ScriptedServer, Wire, answer, answering, scripted_server

OK = answer(b"ok")


def test_a_connection_that_was_read_to_its_end_is_used_again() -> None:
    """Ten exchanges, one connection."""
    with (
        scripted_server(answering(*[OK] * 10)) as server,
        link_to(f"http://127.0.0.1:{server.port}") as link,
    ):
        assert [fetch(link) for _ in range(10)] == [b"ok"] * 10
        assert server.connections == 1


@pytest.mark.parametrize("method", ["HEAD", "DELETE"])
def test_an_answer_without_a_body_gives_its_connection_back(method: str) -> None:
    """There is nothing left to read."""
    with (
        scripted_server(answering(*[answer(b"", "204 No Content")] * 2)) as server,
        link_to(f"http://127.0.0.1:{server.port}") as link,
    ):
        for _ in range(2):
            fetch(link, get(method=method))
        assert server.connections == 1


def test_a_connection_whose_answer_was_not_read_is_closed() -> None:
    """The rest of one answer must not become the beginning of the next."""
    with (
        scripted_server(answering(answer(b"x" * 100_000), OK)) as server,
        link_to(f"http://127.0.0.1:{server.port}") as link,
    ):
        unread = link.exchange(get())
        next(unread.chunks())
        unread.close()

        assert fetch(link) == b"x" * 100_000
        assert server.connections == 2


def test_a_connection_on_which_more_came_than_was_asked_for_is_closed() -> None:
    """Bytes that nobody asked for are not taken for an answer."""
    with (
        scripted_server(answering(OK + answer(b"smuggled") * 2000, OK)) as server,
        link_to(f"http://127.0.0.1:{server.port}") as link,
    ):
        first = fetch(link)
        second = fetch(link)

    assert (first, second) == (b"ok", b"ok")


def test_a_connection_that_says_close_is_not_kept() -> None:
    """The upstream has the last word."""
    closing = answer(b"ok", "200 OK", "Connection: close")
    with (
        scripted_server(answering(closing)) as server,
        link_to(f"http://127.0.0.1:{server.port}") as link,
    ):
        for _ in range(2):
            fetch(link)
        assert server.connections == 2


def test_connections_that_closed_while_idle_are_dropped(
    sandbox: RunningSandbox, direct: UpstreamLink
) -> None:
    """What the upstream closed without saying so is seen before it is used."""
    sandbox.state.behaviours.set(connection_fault="close_silently")

    for _ in range(3):
        fetch(direct)

    assert len(sandbox.state.requests) == 3


def test_an_idle_connection_that_was_closed_meanwhile_is_not_used() -> None:
    """Seen before the request is written, so that even a request with an effect takes a sound one."""
    close = threading.Event()

    def script(wire: Wire, server: ScriptedServer) -> None:
        server.requests.append(wire.read_request())
        wire.send(OK)
        close.wait(5)

    with (
        scripted_server(script) as server,
        link_to(f"http://127.0.0.1:{server.port}") as link,
    ):
        fetch(link)
        idle = link._idle.get()
        assert idle is not None
        link._idle.put(idle)
        close.set()
        wait_until("the upstream closed it", lambda: not idle.is_connected, 5)

        assert fetch(link, upload("/x", [b"body"], 4, "POST")) == b"ok"
        assert server.connections == 2


def test_a_connection_that_was_idle_for_long_is_not_used() -> None:
    """Something in between may have forgotten it, and swallow what is sent on it."""
    with (
        scripted_server(answering(OK, OK)) as server,
        link_to(f"http://127.0.0.1:{server.port}") as link,
    ):
        fetch(link)
        connection, since = link._idle._connections.get_nowait()
        link._idle._connections.put_nowait((connection, since - 31))

        assert fetch(link) == b"ok"
        assert server.connections == 2


def test_no_more_than_a_few_connections_are_kept_idle(
    sandbox: RunningSandbox, direct: UpstreamLink
) -> None:
    """A burst does not leave its connections open for ever."""
    sandbox.state.behaviours.set(rate_limit_per_minute=0)
    together = threading.Barrier(40)

    def exchange(_number: int) -> None:
        response = direct.exchange(get())
        together.wait(10)
        read(response)

    with ThreadPoolExecutor(40) as pool:
        list(pool.map(exchange, range(40)))

    assert direct._idle._connections.qsize() == 32
    assert fetch(direct)


def _first_then_drop(wire: Wire, server: ScriptedServer) -> None:
    """Answer one request on the first connection and drop the second; later connections are sound."""
    for position in range(3):
        request = wire.read_request()
        if not request:
            return
        server.requests.append(request)
        if wire.number == 1 and position == 1:
            return
        wire.send(OK)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_safe_request_is_sent_once_more_when_an_old_connection_fails(method: str) -> None:
    """The upstream may have closed it in that very moment."""
    with (
        scripted_server(_first_then_drop) as server,
        link_to(f"http://127.0.0.1:{server.port}") as link,
    ):
        fetch(link)
        fetch(link, get(method=method))

    assert len(server.requests) == 3
    assert server.connections == 2


@pytest.mark.parametrize(
    "request_with_effect",
    [
        upload("/x", [b"body"], 4, "POST"),
        upload("/x", [b"body"], None, "PUT"),
        get("/x", method="DELETE"),
        get("/x", method="POST"),
        upload("/x", [b"body"], 4, "GET"),
    ],
    ids=["post", "put in chunks", "delete", "post without body", "get with body"],
)
def test_a_request_with_an_effect_is_never_sent_twice(request_with_effect: ProxyRequest) -> None:
    """It may have been carried out; the caller is told that the outcome is unknown."""
    with (
        scripted_server(_first_then_drop) as server,
        link_to(f"http://127.0.0.1:{server.port}") as link,
    ):
        fetch(link)
        with pytest.raises(UpstreamAnswerError) as caught:
            fetch(link, request_with_effect)

    assert caught.value.processed
    assert len(server.requests) == 2
    assert server.connections == 1


def test_a_safe_request_that_fails_on_a_new_connection_is_not_sent_again() -> None:
    """Once is a coincidence; a loop would be an attack."""

    def drop(wire: Wire, server: ScriptedServer) -> None:
        server.requests.append(wire.read_request())

    with (
        scripted_server(drop) as server,
        link_to(f"http://127.0.0.1:{server.port}") as link,
        pytest.raises(UpstreamAnswerError) as caught,
    ):
        fetch(link)

    assert caught.value.reason == "upstream_broke_off"
    assert len(server.requests) == 1


def test_an_issue_takes_a_new_connection(sandbox: RunningSandbox) -> None:
    """A failure on an old one would leave it unknown whether the request arrived."""
    with upstream_to(sandbox.url) as upstream:
        issue(upstream)
        sandbox.state.behaviours.set(connection_fault="drop")
        with pytest.raises(UpstreamAnswerError):
            issue(upstream, "second")
        assert upstream._link._idle._connections.qsize() == 1


@pytest.mark.parametrize(
    "broken",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nshort\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnot hex\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"HTTP/1.1 2x0 OK\r\n\r\n",
        b"SSH-2.0-OpenSSH\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 500 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70_000 + b"\r\n\r\n",
        b"",
        b"HTTP/1.1 200",
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 200 OK\r\nX: y\r\n",
        b"HTTP/1.1 200 OK\r\nX: y\r\nContent-Le",
        b"HTTP/1.1 200 OK\r\nX: y\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n",
        b"HTTP/1.1 404 Not Found\r\nX: y\r\n",
        b"HTTP/1.1 102 Processing\r\n\r\n" + OK,
        b"HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n" + OK,
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
    ],
    ids=[
        "short",
        "no last chunk",
        "chunk size",
        "lengths",
        "status",
        "ssh",
        "many",
        "long",
        "none",
        "cut in the status line",
        "cut behind the status line",
        "cut in the headers",
        "cut in a name",
        "no length",
        "cut behind the length",
        "cut behind the coding",
        "cut in the headers of an error",
        "processing",
        "early hints",
        "another protocol",
    ],
)
def test_a_broken_answer_is_an_error_and_ends_its_connection(broken: bytes) -> None:
    """Nothing half-read is passed off as whole, and nothing is read after it."""
    with (
        scripted_server(answering(broken)) as server,
        link_to(f"http://127.0.0.1:{server.port}") as link,
    ):
        with pytest.raises(UpstreamAnswerError) as caught:
            fetch(link)
        assert link._idle.get() is None

    assert caught.value.processed
    assert len(server.requests) == 1
