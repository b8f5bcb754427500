"""A cheap upstream: it answers any GET with a list of the length that the query asks for, and costs little beside a proxy.

``python -m bench.origin PORT`` serves ``?bytes=N``.
"""

import asyncio
import functools
import re
import sys

_NAMES = (
    "Acme & Sons",
    "Blue Harbor",
    "Juniper Works",
    "Kowalski",
    "Old Mill",
    "Quarry Lane",
    "Tern",
    "Weaver",
)
_ROWS = b"".join(
    b'{"companyId":%d,"companyName":"%b","companyEmail":"buyer%d@example.com","companyPhone":"+1 555 0100",'
    b'"addressLine1":"%d Main Street","city":"Austin","country":"US","catalogId":null,"price":12.34},'
    % (1000 + number, name.encode(), number, number)
    for number, name in enumerate(_NAMES)
)
_BYTES = re.compile(rb"^GET [^ ]*[?&]bytes=([0-9]{1,8})[& ]")
_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"


@functools.cache
def document(length: int) -> bytes:
    """Return a list of companies, as the upstream's look, cut at a length."""
    rows = _ROWS * (length // len(_ROWS) + 1)
    return b"[" + rows[: length - 2] + b"]"


class _Exchange(asyncio.Protocol):
    """One connection; requests have no bodies."""

    def __init__(self) -> None:
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # as it is for TCP
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        while b"\r\n\r\n" in self._received:
            head, _, self._received = self._received.partition(b"\r\n\r\n")
            wanted = _BYTES.match(head)
            if wanted is None:
                self._transport.close()
                return
            body = document(int(wanted[1]))
            self._transport.writelines((_HEAD % len(body), body))


async def _serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(_Exchange, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1])))
