"""Clients that take their time: however many there are, they hold no thread that another one needs."""

import contextlib
import socket
import ssl
from collections.abc import Callable, Iterator

import pytest

from sandbox.demo.processes import free_port, stopping
from sandbox.demo.stack import Stack, start_broker
from tests.support.http import Client
from tests.support.own_broker import own_settings
from tests.support.pki import Authority

MANY = 24
HEAD = b"GET /v1/whoami HTTP/1.1\r\nHost: x\r\n"
BODY = b"POST /v1/references/redeem HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n"


@pytest.fixture(scope="module")
def few_threads(
    stack: Stack, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[int, int, str]]:
    """Two brokers with one worker and two threads each, one plain and one with TLS: their ports, and whom to trust."""
    folders = [tmp_path_factory.mktemp(name) for name in ("plain", "tls")]
    authority = Authority(folders[1])
    server = authority.server("localhost")
    tls = {
        "BROKER_TLS_CERT_FILE": str(server.cert_file),
        "BROKER_TLS_KEY_FILE": str(server.key_file),
    }
    ports = free_port(), free_port()
    with contextlib.ExitStack() as running:
        for folder, port, more in zip(folders, ports, ({}, tls), strict=True):
            few = {"WEB_CONCURRENCY": "1", "BROKER_THREADS": "2"}
            settings = own_settings(stack, folder) | few
            running.enter_context(
                stopping(start_broker(folder, settings | more, port, free_port()))
            )
        yield (*ports, str(authority.ca_file))


def _says_nothing(_client: socket.socket) -> None:
    """Connect and wait."""


def _half_a_head(client: socket.socket) -> None:
    client.sendall(HEAD)


def _empty_lines(client: socket.socket) -> None:
    client.sendall(b"\r\n\r\n\r\n")


def _half_a_handshake(client: socket.socket) -> None:
    client.sendall(b"\x16\x03\x01\x02\x00")


def _a_request_and_half_of_the_next(client: socket.socket) -> None:
    client.sendall(HEAD + b"\r\n" + HEAD)


def _no_body(client: socket.socket) -> None:
    client.sendall(BODY)


@pytest.mark.parametrize(
    "begin",
    [_says_nothing, _half_a_head, _empty_lines, _a_request_and_half_of_the_next, _no_body],
)
def test_clients_that_do_not_go_on_hold_no_thread(
    stack: Stack, few_threads: tuple[int, int, str], begin: Callable[[socket.socket], None]
) -> None:
    """None of them has proved who it is; whoever has is answered at once."""
    port = few_threads[0]
    with contextlib.ExitStack() as waiting:
        for _ in range(MANY):
            client = waiting.enter_context(socket.create_connection(("127.0.0.1", port)))
            begin(client)

        with contextlib.closing(Client(port)) as other:
            reply = other.ask(stack.identities.person("ops-anna"), "GET", "/v1/whoami")

    assert reply.status == 200


@pytest.mark.parametrize("begin", [_says_nothing, _half_a_head, _half_a_handshake])
def test_clients_that_do_not_go_on_behind_tls_hold_no_thread_either(
    stack: Stack, few_threads: tuple[int, int, str], begin: Callable[[socket.socket], None]
) -> None:
    """A pool that connects ahead does this by accident."""
    _, port, ca_file = few_threads
    context = ssl.create_default_context(cafile=ca_file)
    with contextlib.ExitStack() as waiting:
        for _ in range(MANY):
            client = waiting.enter_context(socket.create_connection(("127.0.0.1", port)))
            if begin is not _half_a_handshake:
                client = waiting.enter_context(
                    context.wrap_socket(client, server_hostname="localhost")
                )
            begin(client)

        with socket.create_connection(("127.0.0.1", port), timeout=5) as plain:
            other = waiting.enter_context(context.wrap_socket(plain, server_hostname="localhost"))
            token = stack.identities.person("ops-anna").encode()
            other.sendall(
                HEAD + b"Authorization: Bearer " + token + b"\r\nConnection: close\r\n\r\n"
            )
            answer = other.recv(4096)

    assert answer.startswith(b"HTTP/1.1 200 ")


def test_clients_that_ask_on_and_read_nothing_hold_no_thread(
    stack: Stack, few_threads: tuple[int, int, str]
) -> None:
    """Their answers, which anybody gets, fill what the system keeps for them; then they are closed, and others go on."""
    with contextlib.ExitStack() as waiting:
        for _ in range(MANY):
            client = waiting.enter_context(socket.socket())
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.connect(("127.0.0.1", few_threads[0]))
            client.sendall(b"GET /docs HTTP/1.1\r\nHost: x\r\n\r\n" * 100)

        with contextlib.closing(Client(few_threads[0])) as other:
            replies = [
                other.ask(stack.identities.person("ops-anna"), "GET", "/v1/whoami")
                for _ in range(200)
            ]

    assert {reply.status for reply in replies} == {200}


def test_a_head_that_comes_in_pieces_is_answered(
    stack: Stack, few_threads: tuple[int, int, str]
) -> None:
    """Also when an empty line goes before it, and the body comes later."""
    token = stack.identities.person("ops-anna")
    request = HEAD + f"Authorization: Bearer {token}\r\n\r\n".encode()
    with socket.create_connection(("127.0.0.1", few_threads[0]), timeout=5) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in (b"\r\n", *(request[at : at + 50] for at in range(0, len(request), 50))):
            client.sendall(piece)
        answer = client.recv(4096)

    assert answer.startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET / HTTP/1.1\nHost: x\n\n", b"400"),
        (b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 20_000, b"431"),
        (b"\r\n" * 100, b"400"),
    ],
    ids=["bare line feeds", "a head without end", "empty lines without end"],
)
def test_a_head_that_never_ends_well_is_refused_before_a_thread_has_it(
    few_threads: tuple[int, int, str], sent: bytes, status: bytes
) -> None:
    """With a problem, and the connection is closed."""
    with socket.create_connection(("127.0.0.1", few_threads[0]), timeout=5) as client:
        with contextlib.suppress(OSError):  # closed while it was still sending
            client.sendall(sent)
        answer = client.makefile("rb").read()

    assert answer.startswith(b"HTTP/1.1 " + status)
    assert b"Connection: close" in answer


def test_a_client_that_does_not_close_after_an_error_keeps_nobody_waiting(
    stack: Stack, few_threads: tuple[int, int, str]
) -> None:
    """Its connection lingers beside the loop, not in front of it, and is closed in the end."""
    with contextlib.ExitStack() as waiting:
        for _ in range(MANY):
            client = waiting.enter_context(
                socket.create_connection(("127.0.0.1", few_threads[0]), timeout=10)
            )
            client.sendall(b"BAD\r\n\r\n")

        with contextlib.closing(Client(few_threads[0])) as other:
            reply = other.ask(stack.identities.person("ops-anna"), "GET", "/v1/whoami")
        answer = client.makefile("rb").read()

    assert reply.status == 200
    assert answer.startswith(b"HTTP/1.1 400 ")
