"""A broker of a test's own, on the Redis and the upstream of the running stack, for what the stack's broker would not survive."""

import contextlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import urllib3

from sandbox.demo.processes import Program, free_port, stopping
from sandbox.demo.stack import Stack, broker_settings, start_broker
from tests.support.http import Client


@dataclass(frozen=True, slots=True)
class OwnBroker:
    """What runs, and where.

    Attributes:
        program: The gunicorn parent.
        client: Makes requests to its API.
        port: Of the API.
        ops_port: Of health and metrics.
    """

    program: Program
    client: Client
    port: int
    ops_port: int

    def count(self, series: str) -> float:
        """Return the value of a series, such as ``name{label="value"}``; 0 if there is none."""
        text = urllib3.request("GET", f"http://127.0.0.1:{self.ops_port}/metrics").data.decode()
        found = re.search(rf"^{re.escape(series)} (\S+)$", text, re.MULTILINE)
        return float(found[1]) if found else 0

    def checks(self) -> dict[str, str]:
        """Return what ``/readyz`` says of each dependency."""
        url = f"http://127.0.0.1:{self.ops_port}/readyz"
        found: dict[str, str] = urllib3.request("GET", url, retries=False).json()["checks"]
        return found


def own_settings(stack: Stack, folder: Path) -> dict[str, str]:
    """Return the settings of another broker on a stack."""
    return broker_settings(
        folder,
        stack.folder / "access.yaml",
        stack.folder / "keyring",
        stack.redis_port,
        stack.upstream_url,
    )


@contextlib.contextmanager
def own_broker(
    stack: Stack, folder: Path, settings: Mapping[str, str] | None = None
) -> Iterator[OwnBroker]:
    """Run another broker on a stack for the length of a block."""
    port, ops_port = free_port(), free_port()
    chosen = own_settings(stack, folder) | dict(settings or {})
    with stopping(start_broker(folder, chosen, port, ops_port)) as program:
        client = Client(port)
        yield OwnBroker(program, client, port, ops_port)
        client.close()
