"""The audit trail of the running broker: signed, verified by the command, and in the way of everything while it cannot be written."""

import contextlib
import fcntl
import json
import os
import resource
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import click
import pytest
import urllib3
from click.testing import CliRunner, Result

from sandbox.demo.processes import answers, free_port, stopping, wait_until
from sandbox.demo.stack import Stack, broker_settings, running_stack, start_broker
from service.adapters.redis_heads import RedisHeads
from service.adapters.signing_key import new_signing_key
from service.cli import main
from service.core.audit_lines import UnreadableLineError, read_entry
from tests.adapters.making import linked_to
from tests.support.http import Client, Reply
from tests.support.service import Service

FEW_PAGES = 16_384
UNAVAILABLE = "urn:b2b-broker:problem:audit_unavailable"


def _key(folder: Path) -> dict[str, str]:
    """Make a signing key, and return the setting that names it."""
    private, public = new_signing_key()
    path = folder / "audit.pem"
    path.write_bytes(private)
    path.chmod(0o600)
    (folder / "audit.pem.pub").write_bytes(public)
    return {"BROKER_AUDIT_SIGNING_KEY_FILE": str(path)}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A broker with two workers that sign their heads."""
    folder = tmp_path_factory.mktemp("audited")
    with running_stack(folder, _key(folder)) as running:
        yield running


@pytest.fixture
def service(stack: Stack) -> Iterator[Service]:
    """The running broker as its callers see it."""
    client = Client(stack.port)
    running = Service(stack, client)
    running.reset_upstream()
    yield running
    client.close()


def _audit(*arguments: object) -> Result:
    assert isinstance(main, click.Group)
    return CliRunner().invoke(main, ["audit", *map(str, arguments)])


def _reach(service: Service) -> tuple[object, ...]:
    """Return the options with which an operator reaches the broker."""
    token = service.stack.folder / "operator.token"
    token.write_text(service.operator, "ascii")
    return ("--url", service.stack.url, "--token-file", token)


def _verify_online(service: Service, *files: Path) -> Result:
    """Verify files against the heads that the broker shows to an operator."""
    key = service.stack.folder / "audit.pem.pub"
    return _audit("verify", *files, "--online", "--public-key", key, *_reach(service))


def _ops(stack: Stack, path: str) -> urllib3.BaseHTTPResponse:
    return urllib3.request("GET", f"http://127.0.0.1:{stack.ops_port}{path}", timeout=5)


def _signed(stack: Stack, database: int = 0) -> list[dict[str, object]]:
    """Return the bodies of the heads in Redis."""
    with linked_to(f"redis://127.0.0.1:{stack.redis_port}/{database}") as link:
        found = RedisHeads(link).page("", 100)
    return [json.loads(signed.partition(" ")[2]) for _, signed in found]


def _wait_until_signed(stack: Stack, *files: Path) -> None:
    """Wait until the heads have come as far as files, in which errors may have left pieces of lines."""
    written: dict[str, int] = {}
    for line in b"".join(path.read_bytes() for path in files).splitlines():
        with contextlib.suppress(UnreadableLineError):
            entry = read_entry(line)
            written[entry.writer] = max(entry.seq, written.get(entry.writer, 0))

    def signed() -> bool:
        heads = {str(head["writer"]): int(str(head["seq"])) for head in _signed(stack)}
        return all(heads.get(writer, 0) >= seq for writer, seq in written.items())

    wait_until("the heads are signed", signed)


def test_the_trail_of_a_running_broker_is_whole(service: Service) -> None:
    """Two workers in one file, verified with the heads from the API; an edit, a cut and a lost worker are found."""
    stack = service.stack
    service.redeem(service.mint(service.active_store(), access="redeem"))
    lines = stack.audit_file.read_bytes().splitlines(keepends=True)
    _wait_until_signed(stack, stack.audit_file)

    whole = _verify_online(service, stack.audit_file)

    assert whole.exit_code == 0, whole.output
    assert "whole: " in whole.output
    export, key = stack.folder / "heads.json", stack.folder / "audit.pem.pub"
    export.write_text(_audit("heads", *_reach(service)).stdout, "utf-8")
    offline = _audit("verify", stack.audit_file, "--heads", export, "--public-key", key)
    assert offline.exit_code == 0
    edited, cut, lost = (stack.folder / f"{name}.jsonl" for name in ("edited", "cut", "lost"))
    edited.write_bytes(b"".join(lines).replace(b'"allowed"', b'"denied"', 1))
    cut.write_bytes(b"".join(lines[:-1]))
    writer = read_entry(lines[0]).writer.encode("ascii")
    lost.write_bytes(b"".join(line for line in lines if writer not in line))
    for path, kind in ((edited, "edited"), (cut, "cut"), (lost, "missing_chain")):
        result = _verify_online(service, path)
        assert result.exit_code == 1
        assert kind in result.output


def test_every_worker_begins_a_chain_and_ends_it(tmp_path: Path, service: Service) -> None:
    """The first entry names the policy in force; the last is signed as such, so that nothing can be cut off or appended."""
    stack = service.stack
    settings = broker_settings(
        stack.folder,
        stack.folder / "access.yaml",
        stack.folder / "keyring",
        stack.redis_port,
        stack.upstream_url,
    )
    own = _key(tmp_path) | {
        "BROKER_AUDIT_FILE": str(tmp_path / "audit.jsonl"),
        "BROKER_REDIS_URL": f"redis://127.0.0.1:{stack.redis_port}/1",
    }
    broker = start_broker(tmp_path, settings | own, free_port(), free_port())
    with stopping(broker):
        wait_until("both workers are there", lambda: len(_signed(stack, 1)) == 2)
        broker.signal(signal.SIGTERM)
        assert broker.exit_code() == 0

    entries = [json.loads(line) for line in (tmp_path / "audit.jsonl").read_bytes().splitlines()]
    heads = {head["writer"]: head for head in _signed(stack, 1)}
    policy = service.client.ask(service.operator, "GET", "/v1/whoami").json()["policy"]
    assert len(heads) == 2
    for writer, head in heads.items():
        chain = [entry for entry in entries if entry["writer"] == writer]
        assert (chain[0]["action"], chain[0]["subject"]) == ("broker.start", f"policy:{policy}")
        assert chain[-1]["action"] == "broker.stop"
        assert (head["ended"], head["seq"], head["hash"]) == (True, len(chain), chain[-1]["hash"])


def _refuses_everything(service: Service, wrong: str) -> None:
    """Assert that nothing is done, in bounded time, and that the ops port says why."""
    began = time.monotonic()
    with ThreadPoolExecutor(32) as pool:
        replies = list(pool.map(lambda _: _asked(service), range(64)))
    took = time.monotonic() - began

    assert {(reply.status, reply.json()["type"]) for reply in replies} == {(503, UNAVAILABLE)}
    assert took < 5
    assert _ops(service.stack, "/livez").status == 200
    ready = _ops(service.stack, "/readyz")
    assert (ready.status, ready.json()["checks"]["audit"]) == (503, wrong)


def _asked(service: Service) -> Reply:
    client = Client(service.stack.port)
    try:
        return client.ask(service.operator, "GET", "/v1/whoami")
    finally:
        client.close()


def _recovers(service: Service) -> None:
    """Wait, asking for nothing, until every worker is ready again."""
    port = service.stack.ops_port
    wait_until("all are ready", lambda: all(answers(port, "/readyz") for _ in range(8)))


def test_a_full_disk_refuses_and_recovers(service: Service) -> None:
    """No token is released and none is made upstream; when there is room again, nobody has to do anything."""
    store_hash, other = service.active_store(), service.new_store()
    reference = service.mint(store_hash, access="redeem")
    workers = service.stack.broker.children()
    with service.stack.audit_file.open("ab") as file:  # more than any other file of the workers
        file.write(b"somebody else's line\n" * 100_000)
    limits = [resource.prlimit(pid, resource.RLIMIT_FSIZE) for pid in workers]
    size = service.stack.audit_file.stat().st_size
    for pid, (_, hard) in zip(workers, limits, strict=True):
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (size + 10, hard))
    try:
        redeemed, put = service.redeem(reference), service.put_store(other)
        _refuses_everything(service, "audit_write_failed")
    finally:
        for pid, before in zip(workers, limits, strict=True):
            resource.prlimit(pid, resource.RLIMIT_FSIZE, before)

    _recovers(service)

    assert redeemed.status == put.status == 503
    assert b"authToken" not in redeemed.content
    assert service.live_tokens(other) == []
    assert service.put_store(other).status in (200, 201)
    assert b'"audit.resume"' in service.stack.audit_file.read_bytes()
    counted = _ops(service.stack, "/metrics").data
    assert b'b2b_broker_audit_failures_total{reason="audit_write_failed"}' in counted
    assert _verify_online(service, service.stack.audit_file).exit_code == 0


def test_a_file_that_is_moved_or_deleted_is_begun_anew(service: Service) -> None:
    """Nothing is refused; what was moved and what is new are one trail, what was deleted is a gap."""
    file, folder = service.stack.audit_file, service.stack.folder
    moved = file.rename(folder / "moved.jsonl")
    service.active_store()
    kept = folder / "kept.jsonl"
    kept.hardlink_to(file)
    file.unlink()
    service.active_store()
    _wait_until_signed(service.stack, moved, kept, file)
    whole = _verify_online(service, moved, kept, file)
    deleted = _verify_online(service, file, moved)
    joined = b"".join(path.read_bytes() for path in (moved, kept, file))
    moved.write_bytes(joined)
    moved.replace(file)  # as the other tests of this module expect it
    kept.unlink()

    assert (whole.exit_code, deleted.exit_code) == (0, 1)
    assert "gap" in deleted.output or "cut" in deleted.output


def test_standard_output_that_nobody_reads_refuses_and_recovers(
    tmp_path: Path,
) -> None:
    """A container's log pipe that is stuck: bounded time, all threads free, and on with the chain when somebody reads."""
    pipe = tmp_path / "broker.out"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    fcntl.fcntl(reader, fcntl.F_SETPIPE_SZ, FEW_PAGES)
    settings = {"BROKER_AUDIT_FILE": "-", "WEB_CONCURRENCY": "1"}
    with running_stack(tmp_path, settings) as stack:
        service = Service(stack, Client(stack.port))
        asked = 0
        while _asked(service).status == 200:
            asked += 1
        _refuses_everything(service, "audit_blocked")

        content = _emptied(reader)
        _recovers(service)
        status = _asked(service).status
        content += _emptied(reader)
        service.client.close()
    content += _emptied(reader)
    os.close(reader)

    entries = [json.loads(line) for line in content.splitlines()]
    assert status == 200
    assert [entry["seq"] for entry in entries] == list(range(1, len(entries) + 1))
    assert [entry["action"] for entry in entries].count("whoami") == asked + 1
    assert "audit.resume" in [entry["action"] for entry in entries]


def _emptied(reader: int) -> bytes:
    content = b""
    try:
        while read := os.read(reader, 65_536):
            content += read
    except BlockingIOError:
        return content
    return content
