"""A host that has little: files, places to write, names, addresses. It serves, or says in one line why it does not (security.md F80)."""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sandbox.demo.processes import Program, accepts, answers, free_port, stopping
from sandbox.demo.stack import ROOT
from service.worker import HEAD
from tests.support.http import Client
from tests.support.own_broker import OwnBroker, own_broker, own_settings
from tests.support.service import Service

SERVE = (sys.executable, "-m", "service.cli", "serve")
CONNECTIONS = 400
ALLOWED_FILES = 200


def _environment(service: Service, folder: Path, settings: Mapping[str, str]) -> dict[str, str]:
    return {
        "PYTHONPATH": str(ROOT),
        "PYTHONDONTWRITEBYTECODE": "1",
        "BROKER_BIND": f"127.0.0.1:{free_port()}",
        "BROKER_OPS_BIND": f"127.0.0.1:{free_port()}",
        **own_settings(service.stack, folder),
        **settings,
    }


def _refusal(folder: Path, environment: Mapping[str, str], command: Sequence[str] = SERVE) -> str:
    """Start a broker that does not start, and return all that it says."""
    with stopping(Program("refused", command, folder, environment)) as broker:
        assert broker.exit_code() == 1
        return broker.stderr.read_text("utf-8")


def _port(environment: Mapping[str, str], name: str) -> int:
    return int(environment[name].rpartition(":")[2])


@pytest.fixture
def read_only(tmp_path: Path) -> list[str]:
    """A shell command that makes the root file system read-only, but for the test's folder; for a test that may do so."""
    allowed = shutil.which("unshare") and subprocess.run(
        ["unshare", "-rm", "mount", "-o", "remount,bind,ro", "/"],  # noqa: S607 — as it is found
        capture_output=True,
        check=False,
    )
    if not allowed or allowed.returncode:
        pytest.skip("user namespaces are not allowed here")
    # The bind mount of the folder has to be there before the root becomes read-only around it.
    return [
        "unshare",
        "-rm",
        "sh",
        "-c",
        f"mount --bind {tmp_path} {tmp_path} && mount -o remount,bind,ro /",
    ]


def test_idle_connections_leave_files_for_everything_else(service: Service, tmp_path: Path) -> None:
    """Twice as many as there may be files: callers are answered, and so are the probes."""
    environment = _environment(service, tmp_path, {"WEB_CONCURRENCY": "1"})
    port, ops_port = _port(environment, "BROKER_BIND"), _port(environment, "BROKER_OPS_BIND")
    command = ("sh", "-c", f'ulimit -n {ALLOWED_FILES} && exec "$@"', "sh", *SERVE)
    with stopping(Program("few-files", command, tmp_path, environment)) as broker:
        broker.wait_ready(lambda: answers(ops_port, "/livez") and accepts(port))
        with contextlib.ExitStack() as idle:
            for _ in range(CONNECTIONS):
                idle.enter_context(socket.create_connection(("127.0.0.1", port), 5))
            began = time.monotonic()
            client = Client(port)
            replies = [client.ask(service.operator, "GET", "/v1/stores").status for _ in range(5)]
            probes = [answers(ops_port, path) for path in ("/livez", "/readyz", "/metrics")]
            took = time.monotonic() - began
            client.close()

    assert (replies, probes) == ([200] * 5, [True] * 3)
    # And not only when the idle ones have had their time.
    assert took < HEAD.total_seconds()


def test_a_log_that_nobody_reads_stops_nobody(service: Service, tmp_path: Path) -> None:
    """Standard error is a full pipe: all are answered, what is lost is counted, and told when somebody reads again (F71)."""
    pipe = tmp_path / "stderr"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    environment = _environment(service, tmp_path, {})
    port, ops_port = _port(environment, "BROKER_BIND"), _port(environment, "BROKER_OPS_BIND")
    command = ("sh", "-c", f'exec "$@" 2>{pipe}', "sh", *SERVE)
    with stopping(Program("unread", command, tmp_path, environment)) as program:
        program.wait_ready(lambda: answers(ops_port, "/livez") and accepts(port))
        client = Client(port)
        broker = OwnBroker(program, client, port, ops_port)

        with ThreadPoolExecutor(16) as threads:
            statuses = set(
                threads.map(
                    lambda _: client.ask(service.operator, "GET", "/v1/whoami").status, range(1000)
                )
            )
        lost = broker.count("b2b_broker_log_lines_lost_total")
        os.set_blocking(reader, True)
        filled = os.read(reader, 1 << 20)
        told = set[str]()
        while "lines_lost" not in told:
            client.ask(service.operator, "GET", "/v1/whoami")
            told |= {json.loads(line)["event"] for line in os.read(reader, 1 << 20).splitlines()}
        client.close()
    os.close(reader)

    assert statuses == {200}
    assert lost > 100
    assert all(json.loads(line) for line in filled.splitlines())


def test_too_few_files_refuse_the_start(service: Service, tmp_path: Path) -> None:
    """With how many there have to be."""
    command = ("sh", "-c", 'ulimit -n 64 && exec "$@"', "sh", *SERVE)

    said = _refusal(tmp_path, _environment(service, tmp_path, {}), command)

    assert said == "Error: 64 open files are too few (ulimit -n): 16 threads need 112\n"


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_read_only_root_without_tmp_is_enough(
    service: Service, tmp_path: Path, read_only: list[str], workers: str
) -> None:
    """What is not to be kept is in memory."""
    environment = _environment(service, tmp_path, {"WEB_CONCURRENCY": workers})
    port, ops_port = _port(environment, "BROKER_BIND"), _port(environment, "BROKER_OPS_BIND")
    command = (*read_only[:-1], f'{read_only[-1]} && exec "$@"', "sh", *SERVE)
    with stopping(Program("read-only", command, tmp_path, environment)) as broker:
        broker.wait_ready(lambda: answers(ops_port, "/readyz") and accepts(port))
        client = Client(port)
        status = client.ask(service.operator, "GET", "/v1/stores").status
        counted = answers(ops_port, "/metrics")
        client.close()

    assert (status, counted) == (200, True)


def test_nowhere_to_write_refuses_the_start(
    service: Service, tmp_path: Path, read_only: list[str]
) -> None:
    """Neither memory nor a temporary directory; the audit trail has its place."""
    no_memory = f"{read_only[-1]} && mount -o remount,bind,ro /dev/shm"
    command = (*read_only[:-1], f'cd / && {no_memory} && exec "$@"', "sh", *SERVE)

    said = _refusal(tmp_path, _environment(service, tmp_path, {}), command)

    assert said == (
        "Error: neither /dev/shm nor a temporary directory can be written to; mount one of them\n"
    )


@pytest.mark.parametrize("name", ["BROKER_BIND", "BROKER_OPS_BIND"])
@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("127.0.0.1:{taken}", "Address already in use"),
        ("192.0.2.1:9090", "Cannot assign requested address"),
        ("[2001:db8::1]:9090", "Cannot assign requested address"),
        ("no-such-host.invalid:9090", "Name or service not known"),
    ],
)
def test_an_address_that_cannot_be_had_refuses_the_start(
    service: Service, tmp_path: Path, name: str, address: str, why: str
) -> None:
    """It is taken, somebody else's, of a family that the host does not have, or no name."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        wanted = address.format(taken=other.getsockname()[1])
        said = _refusal(tmp_path, _environment(service, tmp_path, {name: wanted}))

    assert said.startswith(f"Error: {name}: cannot listen there: ")
    assert said.count("\n") == 1
    if not (address.startswith("[") and not socket.has_dualstack_ipv6()):
        assert why in said


def test_a_redis_whose_name_is_not_found_is_a_503(service: Service, tmp_path: Path) -> None:
    """The start goes on, since names come back; each answer is as quick as in any other outage."""
    settings = {"BROKER_REDIS_URL": "redis://no-such-host.invalid:6379/0"}
    with own_broker(service.stack, tmp_path, settings) as broker:
        began = time.monotonic()
        reply = broker.client.ask(service.operator, "GET", "/v1/stores")
        took = time.monotonic() - began
        checks = broker.checks()

    assert (reply.status, reply.json()["type"]) == (
        503,
        "urn:b2b-broker:problem:storage_unavailable",
    )
    assert took < 5
    assert checks["redis"] == "redis_away"


def test_an_upstream_whose_name_is_not_found_is_a_502(service: Service, tmp_path: Path) -> None:
    """It is certain that nothing was sent, so the store is as it was."""
    store_hash = service.active_store()
    held = service.mint(store_hash)
    settings = {"BROKER_UPSTREAM_URL": "http://no-such-host.invalid"}
    with own_broker(service.stack, tmp_path, settings) as broker:
        path = "/v1/proxy/api/v3/io/companies"
        reply = broker.client.ask(service.worker, "GET", path, Broker_Reference=held)
        counted = broker.count(
            'b2b_broker_upstream_calls_total{operation="proxy",outcome="upstream_unreachable"}'
        )

    assert (reply.status, reply.json()["type"]) == (
        502,
        "urn:b2b-broker:problem:upstream_unreachable",
    )
    assert counted == 1
    assert service.companies(held).status == 200
