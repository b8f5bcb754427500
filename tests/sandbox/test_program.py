"""The sandbox as a program, as a part of a test, and as a page of documentation."""

from __future__ import annotations

import http.client
import json
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sandbox.behaviours import Behaviours
from sandbox.control import ENDPOINTS
from sandbox.server import Connection, SandboxServer, running_sandbox
from tests.sandbox.calling import Caller

if TYPE_CHECKING:
    from sandbox.server import RunningSandbox

ROOT = Path(__file__).parents[2]
README = (ROOT / "sandbox" / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("options", [[], ["--empty"]])
def test_the_program_says_where_it_is_and_stops_when_told(
    options: list[str], number: signal.Signals
) -> None:
    """One line with the address, then the stores, and a clean end."""
    with subprocess.Popen(  # noqa: S603 — this interpreter and this package
        [sys.executable, "-m", "sandbox", "--port", "0", *options],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as program:
        assert program.stdout
        assert program.stderr
        first = program.stdout.readline()
        stores = Caller(first.split()[-1]).send("GET", "/_sandbox/health").json()["stores"]
        program.send_signal(number)
        rest = program.stdout.read()
        errors = program.stderr.read()
        program.wait(10)

    assert first.startswith("sandbox upstream on http://127.0.0.1:")
    assert stores == ([] if options else ["abc123", "def456"])
    assert ("owner@abc123.example" in rest) is not bool(options)
    assert errors == ""
    assert program.returncode == 0


def test_two_sandboxes_run_beside_each_other(running: RunningSandbox) -> None:
    """State belongs to the object, not to the module."""
    with running_sandbox(empty=True) as other:
        api = Caller(other.url)

        assert other.url != running.url
        assert api.create().status == 400
        assert other.state.stores == {}


def test_a_request_that_hangs_does_not_hold_up_the_end() -> None:
    """Leaving the block frees those who wait."""
    outcome: list[type[BaseException]] = []

    def wait_for_ever(api: Caller) -> None:
        try:
            api.manage("GET", "/companies")
        except (http.client.HTTPException, OSError) as error:
            outcome.append(type(error))

    with running_sandbox() as sandbox:
        sandbox.state.behaviours.set(hang_seconds=600)
        caller = threading.Thread(target=wait_for_ever, args=(Caller(sandbox.url),))
        caller.start()
        while not sandbox.state.requests:
            time.sleep(0.001)  # Until the request has arrived.

    caller.join(5)
    assert not caller.is_alive()
    assert outcome


def test_an_idle_connection_ends_with_the_sandbox() -> None:
    """A pooled client sees the end at once, not at its next request."""
    with running_sandbox() as sandbox:
        host, port = Caller(sandbox.url).host.split(":")
        connection = socket.create_connection((host, int(port)), 10)
        connection.sendall(b"GET /_sandbox/health HTTP/1.1\r\n\r\n")
        answer = connection.recv(4096)

    with connection:
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert connection.recv(1) == b""


def test_many_callers_at_once_get_a_row_each(api: Caller) -> None:
    """No create is lost and no id given twice."""
    with ThreadPoolExecutor(16) as pool:
        tokens = list(pool.map(lambda _: api.token(), range(64)))

    ids = {row["id"] for row in api.ledger()["tokens"]}
    assert len(set(tokens)) == len(ids) == 64


def test_the_server_is_ready_for_load() -> None:
    """A long queue, no delay of small writes, and threads that do not hold up an exit."""
    assert SandboxServer.request_queue_size == 512
    assert SandboxServer.daemon_threads
    assert Connection.disable_nagle_algorithm


def test_the_readme_shows_every_switch_as_it_is() -> None:
    """Names, values, defaults and meanings."""
    defaults = Behaviours().as_json()

    for item in fields(Behaviours):
        about = item.metadata
        row = (
            f"| `{item.name}` | {about['check'].allowed} | `{json.dumps(defaults[item.name])}` "
            f"| {about['meaning']} | {about['source']} |"
        )
        assert row in README


def test_the_readme_shows_no_switch_that_is_gone() -> None:
    """The table has as many rows as there are switches."""
    table = README.split("## Switches")[1].split("Outcomes of a create")[0]

    assert table.count("\n| `") == len(fields(Behaviours))


def test_the_readme_names_every_control_endpoint() -> None:
    """Somebody else's tests depend on them."""
    for method, path in ENDPOINTS:
        assert f"`{method} /_sandbox/{path}" in README


def test_the_sandbox_needs_the_standard_library_only() -> None:
    """Calling teams run it with plain python3: isolated mode sees no installed package."""
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); import sandbox.__main__"

    subprocess.run([sys.executable, "-I", "-S", "-c", code], check=True)  # noqa: S603 — as above
