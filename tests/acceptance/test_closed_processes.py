"""The running broker and its commands are closed to other processes of their user, and leave no core."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.demo.identities import Identities
from sandbox.demo.processes import Program, answers, free_port, stopping, wait_until
from sandbox.demo.stack import ROOT, broker_settings, make_keyring, write_access
from tests.support.peers import ORDINARILY, seen_by_peers

COMMAND = [*ORDINARILY, sys.executable, "-m", "service.cli"]
PATHS = {"PYTHONPATH": str(ROOT)}


@pytest.fixture(scope="module")
def pids(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[int]]:
    """The processes of a broker: gunicorn's parent and two workers. They need no Redis for this."""
    folder = tmp_path_factory.mktemp("closed")
    access, keyring = write_access(folder, Identities()), make_keyring(folder)
    ops_port = free_port()
    settings = broker_settings(folder, access, keyring, free_port(), "http://127.0.0.1:1")
    binds = {
        "BROKER_BIND": f"127.0.0.1:{free_port()}",
        "BROKER_OPS_BIND": f"127.0.0.1:{ops_port}",
    }
    environment = PATHS | settings | binds
    with stopping(Program("broker", [*COMMAND, "serve"], folder, environment)) as broker:
        broker.wait_ready(lambda: answers(ops_port, "/livez"))
        wait_until("two workers", lambda: len(broker.children()) == 2)
        yield [broker.pid, *broker.children()]


def _core_limit(pid: int) -> tuple[str, ...]:
    lines = Path(f"/proc/{pid}/limits").read_text("ascii").splitlines()
    (limit,) = [line.split()[4:6] for line in lines if line.startswith("Max core file size")]
    return tuple(limit)


def test_no_process_of_the_broker_is_open_to_its_user(pids: list[int]) -> None:
    """Neither gunicorn's parent nor a worker."""
    assert [seen_by_peers(pid) for pid in pids] == [set(), set(), set()]


def test_no_process_of_the_broker_may_leave_a_core(pids: list[int]) -> None:
    """Soft and hard limit."""
    assert [_core_limit(pid) for pid in pids] == [("0", "0")] * 3


def test_a_command_that_waits_for_a_password_is_closed() -> None:
    """Whatever an operator types is in its memory."""
    with subprocess.Popen(  # noqa: S603 — arguments of our own
        [*COMMAND, "stores", "put", "abc123"],
        env=PATHS,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as command:
        assert command.stdout is not None
        asked = command.stdout.read(len(b"E-mail"))

        seen = seen_by_peers(command.pid)

        command.kill()
    assert (asked, seen) == (b"E-mail", set())


def test_a_worker_closes_itself_whatever_server_runs_it(tmp_path: Path) -> None:
    """A server that changes its user after the start opens its processes again; the application closes them."""
    settings = broker_settings(
        tmp_path, write_access(tmp_path, Identities()), tmp_path, free_port(), "http://127.0.0.1:1"
    )
    code = "import service.wsgi, sys; print('ready', file=sys.stderr, flush=True); input()"
    with subprocess.Popen(  # noqa: S603 — arguments of our own
        [*ORDINARILY, sys.executable, "-c", code],
        env=PATHS | settings,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    ) as server:
        assert server.stderr is not None
        said = server.stderr.readline()

        seen = seen_by_peers(server.pid)

        server.kill()
    assert (said, seen) == (b"ready\n", set())
