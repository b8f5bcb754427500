"""What workers share: the listening sockets and nothing else (security.md §3.3, F81)."""

import json
import subprocess
import sys
from pathlib import Path

from sandbox.demo.stack import ROOT
from tests.support.own_broker import own_broker
from tests.support.service import Service

WORKERS = 4
ESTABLISHED = "01"
# Each process makes these after the fork, and the parent has made some before it.
_DRAWING = """
import os, secrets, sys
from service.core.reference import new_reference
from service.core.sealing import Context, seal
from service.core.keyring import Key, Keyring

ring = Keyring({"k1": Key("k1", b"*" * 32)}, "k1")
context = Context("default", "token", "abc123", 1)

def draw(number):
    for _ in range(number):
        sealed = seal(ring, b"x", context)
        print(sealed[4:36].hex(), sealed[36:48].hex(), new_reference("abc123").reveal())
    sys.stdout.flush()

draw(5)
children = []
for _ in range(3):
    child = os.fork()
    if child == 0:
        draw(1500)
        os._exit(0)
    os.waitpid(child, 0)
draw(1500)
"""


def _sockets(pid: int) -> set[str]:
    """Return the inodes of a process's sockets."""
    links = [str(link.readlink()) for link in Path(f"/proc/{pid}/fd").iterdir()]
    return {link[len("socket:[") : -1] for link in links if link.startswith("socket:[")}


def _established(pid: int) -> set[str]:
    """Return the inodes of a process's TCP connections."""
    rows = [row.split() for row in Path(f"/proc/{pid}/net/tcp").read_text("ascii").splitlines()[1:]]
    return {row[9] for row in rows if row[3] == ESTABLISHED} & _sockets(pid)


def _files(pid: int) -> set[str]:
    return {str(link.readlink()) for link in Path(f"/proc/{pid}/fd").iterdir()}


def test_nothing_is_connected_or_opened_before_the_fork(service: Service, tmp_path: Path) -> None:
    """The parent has neither a connection nor the audit trail, so a worker inherits none; and every worker writes a chain of its own."""
    audit = tmp_path / "audit.jsonl"
    with own_broker(service.stack, tmp_path, {"WEB_CONCURRENCY": str(WORKERS)}) as broker:
        replies = [
            broker.client.ask(service.operator, "GET", "/v1/stores", Connection="close")
            for _ in range(200)
        ]
        parent = broker.program.pid
        inherited, files = _established(parent), _files(parent)
        workers = broker.count("b2b_broker_workers")

    ids = [reply.headers["X-Request-Id"] for reply in replies]
    entries = [json.loads(line) for line in audit.read_text("utf-8").splitlines()]
    writers = {entry["writer"] for entry in entries}
    assert (workers, inherited, str(audit) in files) == (WORKERS, set(), False)
    assert len(set(ids)) == len(ids)
    assert 1 < len(writers) <= WORKERS


def test_no_nonce_and_no_reference_is_drawn_twice_by_processes_of_one_parent() -> None:
    """Salts, nonces and references come from the operating system, and not from a generator that a fork copies."""
    done = subprocess.run(  # noqa: S603 — our own interpreter and code
        [sys.executable, "-c", _DRAWING], cwd=ROOT, capture_output=True, text=True, check=True
    )

    drawn = [word for line in done.stdout.splitlines() for word in line.split()]
    assert len(drawn) == 3 * (5 + 4 * 1500)
    assert len(set(drawn)) == len(drawn)
    assert {len(word) for word in drawn} == {64, 24, 55}
