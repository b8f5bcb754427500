"""Peers that do not hang up when they have their answer."""

import contextlib
import socket
import time
from pathlib import Path

from sandbox.demo.processes import answers, free_port, stopping
from sandbox.demo.stack import broker_settings, start_broker
from tests.support.service import Service

PEERS = 4
REQUEST = b"GET /v1/stores HTTP/1.1\r\nHost: broker\r\nConnection: close\r\n\r\n"


def test_peers_that_keep_their_side_open_do_not_hold_up_the_others(
    service: Service, tmp_path: Path
) -> None:
    """Each asked for the connection to be closed, gets its answer (a 401), and stays; nobody else has to wait for them."""
    stack = service.stack
    folder, port, ops_port = stack.folder, free_port(), free_port()
    settings = broker_settings(
        tmp_path, folder / "access.yaml", folder / "keyring", stack.redis_port, stack.upstream_url
    )
    with (
        stopping(start_broker(tmp_path, settings | {"WEB_CONCURRENCY": "1"}, port, ops_port)),
        contextlib.ExitStack() as staying,
    ):
        started = time.monotonic()
        peers = [
            staying.enter_context(socket.create_connection(("127.0.0.1", port), 30))
            for _ in range(PEERS)
        ]
        for peer in peers:
            peer.sendall(REQUEST)
        statuses = {peer.recv(12) for peer in peers}
        served = answers(port, "/openapi.json")
        took = time.monotonic() - started

    assert (statuses, served) == ({b"HTTP/1.1 401"}, True)
    assert took < 1
