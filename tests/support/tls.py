"""Real TLS: a handshake over a pair of sockets, of which a test gets the server's end, and a client of a running broker."""

import contextlib
import secrets
import socket
import ssl
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import urllib3

from tests.support.http import Client
from tests.support.svids import Shape, Svid, make, root, uri

ALWAYS = timedelta(days=3650)
"""From this long ago, for this long: for certificates that have to hold by the real clock and by that of the tests."""


class Handshakes:
    """Shakes hands as a server that takes client certificates of any of its authorities, but needs none."""

    def __init__(self, folder: Path, *authorities: Svid) -> None:
        self._folder = folder
        own = make(root("server", begins=-ALWAYS, life=ALWAYS))
        self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._context.minimum_version = ssl.TLSVersion.TLSv1_3
        self._context.num_tickets = 0
        self._context.load_cert_chain(*own.write(folder, "server"))
        self._context.verify_mode = ssl.CERT_OPTIONAL
        trusted = "".join(authority.pem.decode("ascii") for authority in authorities)
        self._context.load_verify_locations(cadata=trusted)

    @contextlib.contextmanager
    def peer(self, *chain: Svid) -> Iterator[ssl.SSLSocket]:
        """Yield the server's end of a connection whose client sent these certificates, its own first; none for none."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        if chain:
            context.load_cert_chain(*chain[0].write(self._folder, "client", *chain[1:]))
        ours, theirs = socket.socketpair()
        client = context.wrap_socket(theirs, do_handshake_on_connect=False)
        shaking = threading.Thread(target=client.do_handshake)
        shaking.start()
        try:
            with self._context.wrap_socket(ours, server_side=True) as server:
                shaking.join()
                yield server
        finally:
            shaking.join()
            client.close()


def workload(identity: str, by: Svid, **changes: object) -> Svid:
    """Return a workload's certificate that holds by every clock."""
    shape: dict[str, object] = {"names": uri(identity), "begins": -ALWAYS, "life": ALWAYS}
    return make(Shape(**(shape | changes)), by)  # type: ignore[arg-type]  # each caller names fields of the shape


def client_context(trusted: Svid, folder: Path, *chain: Svid) -> ssl.SSLContext:
    """Return how a client speaks TLS that trusts one authority and shows these certificates, its own first."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=trusted.pem.decode("ascii"))
    if chain:
        context.load_cert_chain(*chain[0].write(folder, secrets.token_hex(8), *chain[1:]))
    return context


class TlsClient(Client):
    """Makes requests to one broker over TLS, as whoever its certificate says."""

    def __init__(self, port: int, context: ssl.SSLContext) -> None:
        self._pool = urllib3.HTTPSConnectionPool(
            "127.0.0.1",
            port,
            ssl_context=context,
            server_hostname="localhost",
            assert_hostname="localhost",
            maxsize=8,
            block=True,
            timeout=30,
        )
