"""An upstream over TLS that answers whatever a test tells it to, and a broker that is pointed at it."""

import contextlib
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from sandbox.demo.stack import Stack
from tests.acceptance.proxy.conftest import another_broker
from tests.support.pki import Authority, Issued
from tests.support.raw_http import exchange
from tests.support.service import Service
from tests.support.wire import ScriptedServer, Wire, answer, scripted_server

TOKEN = "canaryaccesstoken0123456789abcd"
STORE = "puppet1"
_CHECK = b"GET /api/v3/io/companies?limit=1&offset=0 "
FINE = answer(b'{"code":200,"data":[],"meta":{"message":"SUCCESS"}}')
Play = Callable[[Wire], None]


def done(wire: Wire) -> None:
    """Add nothing."""
    del wire


def silence(wire: Wire) -> None:
    """Keep the connection and say nothing, for longer than the broker waits."""
    wire.stopping.wait(3)


def say_goodbye(wire: Wire) -> None:
    """End TLS as it should be ended, which closing the socket does not."""
    assert isinstance(wire.sock, ssl.SSLSocket)
    wire.sock.unwrap()


def serve_on(wire: Wire) -> None:
    """Keep the connection until the next request on it, and answer that with nothing."""
    wire.read_request()


def drip(wire: Wire) -> None:
    """Send a byte now and then."""
    wire.drip(b"a" * 10_000)


def sending(*pieces: bytes, then: Play = done) -> Play:
    """Return a play that sends bytes, does one more thing, and then closes the connection."""

    def play(wire: Wire) -> None:
        for piece in pieces:
            wire.send(piece)
        then(wire)

    return play


class Puppet:
    """The upstream. It answers the broker's own checks of a token, and gives every other request to ``play``.

    It reads only while ``reading`` is set.
    """

    def __init__(self, folder: Path) -> None:
        self.authority = Authority(folder)
        self.play: Play = sending(FINE)
        self.reading = threading.Event()
        self.reading.set()
        self._good = self.authority.server("localhost")
        self.tls = _context(self._good)
        self.tls.sni_callback = self._choose
        self._shown = self.tls

    def show(self, certificate: Issued | None) -> None:
        """Show another certificate from now on; None for the good one."""
        self._shown = _context(certificate or self._good)

    def script(self, wire: Wire, server: ScriptedServer) -> None:
        """Serve one connection."""
        while self.reading.wait(20) and (request := wire.read_request()):
            if request.startswith(_CHECK):
                wire.send(FINE)
                continue
            server.requests.append(request)
            self.play(wire)
            return

    def _choose(self, sock: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
        sock.context = self._shown


def _context(issued: Issued) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(issued.cert_file, issued.key_file)
    return context


@dataclass
class Theatre:
    """The broker and the upstream that it is pointed at."""

    service: Service
    puppet: Puppet
    server: ScriptedServer
    reference: str

    @property
    def worker_pid(self) -> int:
        """The broker's one worker process."""
        (pid,) = self.service.stack.broker.children()
        return pid

    def request(self, method: str = "GET", target: str = "/api/v3/io/orders", *more: str) -> bytes:
        """Return the bytes of a request to the proxy, without a body."""
        lines = [f"{method} /v1/proxy{target} HTTP/1.1", "Host: b", *more]
        lines += [f"Authorization: Bearer {self.service.worker}", "Connection: close"]
        return "\r\n".join([*lines, f"Broker-Reference: {self.reference}", "", ""]).encode()

    def ask(self, play: Play, method: str = "GET") -> bytes:
        """Make one request while the upstream plays, and return everything that came back."""
        self.puppet.play = play
        self.server.requests.clear()
        return exchange(self.service.stack.port, self.request(method))[0]


@contextlib.contextmanager
def theatre(stack: Stack, folder: Path, seconds: int) -> Iterator[Theatre]:
    """Run both, with a deadline of so many seconds for each exchange, on a database of Redis of their own."""
    puppet = Puppet(folder)
    with scripted_server(puppet.script, puppet.tls) as server:
        settings = settings_for(stack, puppet, server.port, seconds)
        with another_broker(stack, folder, settings) as service:
            credential = {"kind": "access_token", "access_token": TOKEN}
            put = service.client.ask(
                service.operator, "PUT", f"/v1/stores/{STORE}", {"credential": credential}
            )
            assert put.status in (200, 201), put.content
            yield Theatre(service, puppet, server, service.mint(STORE, ttl_seconds=900))


def settings_for(stack: Stack, puppet: Puppet, port: int, seconds: int) -> dict[str, str]:
    """Return the settings of a broker whose upstream is a puppet."""
    return {
        "BROKER_UPSTREAM_URL": f"https://localhost:{port}",
        "BROKER_UPSTREAM_CA_FILE": str(puppet.authority.ca_file),
        "BROKER_UPSTREAM_TIMEOUT_SECONDS": str(seconds),
        "BROKER_REDIS_URL": f"redis://127.0.0.1:{stack.redis_port}/1",
        "WEB_CONCURRENCY": "1",
    }
