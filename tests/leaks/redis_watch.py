"""A Redis with a password, and everything that is said to it."""

import contextlib
import socket
import threading
from collections.abc import Iterator

import redis


def protect(port: int, password: str) -> None:
    """Give Redis a password, and have it write and keep what can be searched."""
    with redis.Redis(port=port) as client:
        client.config_set("rdbcompression", "no")
        client.config_set("slowlog-log-slower-than", 0)
        client.config_set("slowlog-max-len", 100_000)
        client.config_set("requirepass", password)
    with redis.Redis(port=port, password=password) as client:
        client.slowlog_reset()


@contextlib.contextmanager
def monitoring(port: int, password: str) -> Iterator[bytearray]:
    """Yield what ``MONITOR`` tells, as it tells it."""
    told = bytearray()
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(f"AUTH {password}\r\nMONITOR\r\n".encode())
        assert connection.recv(64).startswith(b"+OK")

        def listen() -> None:
            with contextlib.suppress(OSError):
                while piece := connection.recv(65_536):
                    told.extend(piece)

        listening = threading.Thread(target=listen, daemon=True)
        listening.start()
        yield told
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)
        listening.join(5)
