"""Many equal requests at the same moment: each on a connection of its own, all sent before the first answer is read."""

import contextlib
import json
import selectors
import socket
from typing import Any

_SECONDS = 60


def at_once(port: int, token: str, method: str, path: str, body: Any, number: int) -> list[int]:
    """Send requests and return the statuses of their answers; each connection is closed as soon as its answer is whole.

    Raises:
        TimeoutError: No answer at all came for a long time.
    """
    content = json.dumps(body)
    request = (
        f"{method} {path} HTTP/1.1\r\nHost: broker\r\nAuthorization: Bearer {token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n{content}"
    )
    with contextlib.ExitStack() as open_ones, selectors.DefaultSelector() as waiting:
        for _ in range(number):
            connection = socket.create_connection(("127.0.0.1", port), _SECONDS)
            open_ones.enter_context(connection)
            waiting.register(connection, selectors.EVENT_READ, bytearray())
        for key in waiting.get_map().values():
            _socket(key).sendall(request.encode("ascii"))
        return _answers(waiting)


def _answers(waiting: selectors.DefaultSelector) -> list[int]:
    statuses: list[int] = []
    while waiting.get_map():
        ready = waiting.select(_SECONDS)
        if not ready:
            raise TimeoutError
        for key, _ in ready:
            part = _socket(key).recv(65536)
            key.data.extend(part)
            if not part or _is_whole(key.data):
                statuses.append(int(key.data.split(b" ", 2)[1]) if key.data else 0)
                waiting.unregister(key.fileobj)
                _socket(key).close()
    return statuses


def _socket(key: selectors.SelectorKey) -> socket.socket:
    assert isinstance(key.fileobj, socket.socket)
    return key.fileobj


def _is_whole(answer: bytearray) -> bool:
    head, _, body = answer.partition(b"\r\n\r\n")
    lengths = [
        int(line.partition(b":")[2])
        for line in head.split(b"\r\n")
        if line.lower().startswith(b"content-length:")
    ]
    return bool(lengths) and len(body) >= lengths[0]
