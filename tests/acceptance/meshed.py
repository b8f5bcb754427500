"""A broker with a TLS listener of its own, whose callers are workloads of trust domains."""

import contextlib
import socket
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509

from sandbox.demo.processes import free_port, stopping
from sandbox.demo.stack import Stack, broker_settings, start_broker, write_access
from tests.support.http import Client
from tests.support.svids import Shape, Svid, make, root, uri
from tests.support.tls import TlsClient, client_context

MINTER = "spiffe://prod.example/ns/commerce/sa/order-sync"
WORKER = "spiffe://prod.example/ns/commerce/sa/order-worker"
PARTNER = "spiffe://partner.example/x"
CHANGING = "spiffe://changing.example/x"
PROXY = "spiffe://prod.example/ns/edge/sa/envoy"
_DOMAINS = ("prod", "partner", "changing")
_ISSUER = """\
  - name: {name}
    type: spiffe
    trust_domain: {name}.example
    bundle: {{file: {folder}/{name}.pem}}
"""
_GRANTS = f"""\
grants:
  - name: a workload of the mesh mints
    callers: ["{MINTER}"]
    stores: ["*"]
    actions: [reference.mint]
    limits: {{access: [redeem], audiences: ["{WORKER}"]}}
  - name: another redeems
    callers: ["{WORKER}"]
    stores: ["*"]
    actions: [reference.redeem]
"""


class Mesh:
    """The authorities, the broker that knows them, and everybody who talks to it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.now = datetime.now(UTC)
        self.server_root = self.authority("server")
        self.roots = {name: self.authority(name) for name in (*_DOMAINS, "next")}
        for name in _DOMAINS:
            self.write_bundle(name, self.roots[name])
        clients = folder / "clients.pem"
        clients.write_bytes(b"".join(svid.pem for svid in self.roots.values()))
        self.renew_server()
        self.settings = {
            "BROKER_TLS_CERT_FILE": str(folder / "tls.crt"),
            "BROKER_TLS_KEY_FILE": str(folder / "tls.key"),
            "BROKER_TLS_CLIENT_CA_FILE": str(clients),
            "BROKER_TRUSTED_PROXIES": PROXY,
            # Whoever waits for a change asks, and fails, many times.
            "BROKER_FAILED_AUTHENTICATIONS_PER_MINUTE": "100000",
            "WEB_CONCURRENCY": "1",
        }

    def authority(self, name: str) -> Svid:
        """Return a new authority."""
        return make(root(name), now=self.now)

    def workload(self, identity: str, by: Svid, life: timedelta = timedelta(hours=1)) -> Svid:
        """Return a workload's certificate."""
        return make(Shape(uri(identity), life=life), by, datetime.now(UTC))

    def write_bundle(self, name: str, authority: Svid) -> None:
        """Make somebody the one authority of a trust domain."""
        (self.folder / f"{name}.pem").write_bytes(authority.pem)

    def renew_server(self) -> int:
        """Replace the broker's own certificate, and return the new one's serial number."""
        shape = Shape((x509.DNSName("localhost"),), subject=())
        svid = make(shape, self.server_root, datetime.now(UTC))
        svid.write(self.folder, "tls")
        return svid.certificate.serial_number

    def context(self, *chain: Svid) -> ssl.SSLContext:
        """Return how a client with these certificates speaks TLS."""
        return client_context(self.server_root, self.folder, *chain)

    @contextlib.contextmanager
    def client(self, *chain: Svid) -> Iterator[Client]:
        """Yield a client that shows these certificates, or none."""
        client = TlsClient(self.port, self.context(*chain))
        try:
            yield client
        finally:
            client.close()

    def served(self) -> int:
        """Return the serial number of the certificate that the broker shows."""
        with self.connect(self.context()) as connection:
            shown = connection.getpeercert(binary_form=True)
            assert shown is not None
            return x509.load_der_x509_certificate(shown).serial_number

    def connect(self, context: ssl.SSLContext) -> ssl.SSLSocket:
        """Return a connection whose handshake has ended on our side."""
        plain = socket.create_connection(("127.0.0.1", self.port), timeout=10)
        try:
            return context.wrap_socket(plain, server_hostname="localhost")
        except BaseException:
            plain.close()
            raise

    def answer(self, context: ssl.SSLContext) -> bytes:
        """Return what a first request is answered with.

        Raises:
            OSError: The handshake failed, on either side.
        """
        with self.connect(context) as connection:
            connection.sendall(b"GET /v1/whoami HTTP/1.1\r\nHost: localhost\r\n\r\n")
            return connection.recv(4096)


def write_mesh_access(folder: Path, stack: Stack) -> Path:
    """Write the demo's access file with the trust domains and their grants."""
    path = write_access(folder, stack.identities)
    issuers = "".join(_ISSUER.format(name=name, folder=folder) for name in _DOMAINS)
    text = path.read_text("utf-8")
    path.write_text(text.replace("grants:\n", f"{issuers}{_GRANTS}", 1), "utf-8")
    return path


@contextlib.contextmanager
def running_mesh(folder: Path, stack: Stack) -> Iterator[Mesh]:
    """Run a broker with its own TLS listener on a stack for the length of a block."""
    mesh = Mesh(folder)
    access = write_mesh_access(folder, stack)
    settings = broker_settings(
        folder, access, stack.folder / "keyring", stack.redis_port, stack.upstream_url
    )
    with stopping(start_broker(folder, settings | mesh.settings, mesh.port, free_port())):
        yield mesh
