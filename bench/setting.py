"""The setting of a run: the whole stack, the two floors beside it, an active store, and the prepared requests."""

import contextlib
import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import redis

from bench.floors import write_records
from bench.load import Target
from bench.proxies import PATH, SIZES, start_proxies
from sandbox.demo.identities import CLUSTER, COMPANY
from sandbox.demo.processes import Program, accepts, free_port, stopping
from sandbox.demo.stack import ROOT, Stack, running_stack

STORE = "abc123"
FLOOR_BARE, FLOOR_REDIS = "floor A: Flask", "floor B: Flask + Redis"
BROKER_TARGETS = ("mint", "redeem")
_WORKERS = "2"
_WORKER = "k8s:commerce/order-worker"
_TTL_SECONDS = 3600
_REDEEM_USES = 1_000_000
_REFERENCES = 64
_ASKED = {"store_hash": STORE, "audience": _WORKER, "ttl_seconds": _TTL_SECONDS}
# The demo's rules, with lives long enough for a whole run.
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
    actions: ["store.*", "reference.revoke", "reference.read"]
  - name: order-sync mints for the order worker
    callers: ["k8s:commerce/order-sync"]
    stores: ["*"]
    actions: [reference.mint]
    limits:
      access: [proxy, redeem]
      audiences: ["k8s:commerce/order-worker"]
      max_ttl: 1h
      requests: ["GET /api/v3/io/companies/**", "GET /api/v3/io/orders/**"]
  - name: the order worker redeems
    callers: ["k8s:commerce/order-worker"]
    stores: ["*"]
    actions: [reference.redeem]
"""


class SettingError(Exception):
    """The setting could not be prepared; the text is the answer that was not expected."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What runs and what to send to it.

    Attributes:
        targets: The floors first.
        workers: Worker processes of the servers, by target.
        redis: A client of the Redis beneath all of them.
        access_file: The broker's.
        token: A workload token that it admits.
    """

    targets: tuple[Target, ...]
    workers: Mapping[str, tuple[int, ...]]
    redis: "redis.Redis"
    access_file: Path
    token: str

    def target(self, name: str) -> Target:
        """Return a target by name."""
        return next(target for target in self.targets if target.name == name)


@contextlib.contextmanager
def running_setting(folder: Path) -> Iterator[Setting]:
    """Run everything for the length of a block.

    Args:
        folder: An empty folder for everything that it writes.

    Raises:
        SettingError: The store or a reference could not be made.
    """
    access = folder / "bench-access.yaml"
    access.write_text(
        _ACCESS.format(cluster=CLUSTER, company=COMPANY, folder=folder), encoding="utf-8"
    )
    settings = {
        "BROKER_ACCESS_FILE": str(access),
        "BROKER_UPSTREAM_REQUESTS_PER_MINUTE": "1000000",
        "WEB_CONCURRENCY": _WORKERS,
    }
    with contextlib.ExitStack() as running:
        stack = running.enter_context(running_stack(folder, settings))
        client = running.enter_context(redis.Redis(port=stack.redis_port))
        write_records(client)
        bare, bare_port = _start_floor(running, stack, "bare")
        scripted, scripted_port = _start_floor(running, stack, "redis")
        _activate_store(stack)
        proxies = start_proxies(running, stack, settings, _proxied(stack))
        mint, redeem = _broker_targets(stack)
        floors = (
            Target(FLOOR_BARE, bare_port, 200, redeem.requests, FLOOR_REDIS),
            Target(FLOOR_REDIS, scripted_port, 200, redeem.requests, FLOOR_REDIS),
        )
        programs = {FLOOR_BARE: bare, FLOOR_REDIS: scripted}
        programs |= dict.fromkeys(BROKER_TARGETS, stack.broker)
        workers = {name: tuple(program.children()) for name, program in programs.items()}
        targets = (*floors, mint, redeem, *proxies.targets)
        token = stack.identities.workload("commerce", "order-worker")
        yield Setting(targets, workers | dict(proxies.workers), client, access, token)


def _start_floor(running: contextlib.ExitStack, stack: Stack, name: str) -> tuple[Program, int]:
    port = free_port()
    environment = {
        "PYTHONPATH": str(ROOT),
        "BROKER_BIND": f"127.0.0.1:{port}",
        "BROKER_REDIS_URL": f"redis://127.0.0.1:{stack.redis_port}/0",
        "WEB_CONCURRENCY": _WORKERS,
    }
    arguments = [sys.executable, "-m", "bench.floors", name]
    program = Program(f"floor-{name}", arguments, stack.folder, environment)
    running.enter_context(stopping(program))
    program.wait_ready(lambda: accepts(port) and len(program.children()) == int(_WORKERS))
    return program, port


def _activate_store(stack: Stack) -> None:
    upstream_port = int(stack.upstream_url.rpartition(":")[2])
    _ask(upstream_port, "PATCH", "/_sandbox/behaviours", {"rate_limit_per_minute": 0})
    credential = {
        "kind": "b2b_password",
        "email": f"owner@{STORE}.example",
        "password": f"correct horse battery staple {STORE}",
    }
    operator = _bearer(stack.identities.person("ops-bench"))
    _ask(stack.port, "PUT", f"/v1/stores/{STORE}", {"credential": credential}, operator)


def _broker_targets(stack: Stack) -> tuple[Target, Target]:
    user = _bearer(stack.identities.workload("commerce", "order-worker"))
    mint = prepared("POST", "/v1/references", _minter(stack), {**_ASKED, "access": "proxy"})
    redeem = (
        prepared("POST", "/v1/references/redeem", user, {"reference": reference})
        for reference in _minted(stack, "redeem", max_uses=_REDEEM_USES)
    )
    return (
        Target("mint", stack.port, 201, (mint,), FLOOR_REDIS),
        Target("redeem", stack.port, 200, tuple(redeem), FLOOR_REDIS),
    )


def _proxied(stack: Stack) -> list[tuple[str, tuple[bytes, ...]]]:
    """Return for each size the requests that ask for an answer of it."""
    user = _bearer(stack.identities.workload("commerce", "order-worker"))
    references = _minted(stack, "proxy")
    return [
        (
            size,
            tuple(
                prepared("GET", f"{PATH}?bytes={length}", {**user, "Broker-Reference": reference})
                for reference in references
            ),
        )
        for size, length in SIZES.items()
    ]


def _minted(stack: Stack, access: str, **more: int) -> list[str]:
    body = {**_ASKED, "access": access, **more}
    return [
        str(_ask(stack.port, "POST", "/v1/references", body, _minter(stack))["reference"])
        for _ in range(_REFERENCES)
    ]


def _minter(stack: Stack) -> dict[str, str]:
    return _bearer(stack.identities.workload("commerce", "order-sync"))


def prepared(
    method: str, path: str, headers: Mapping[str, str], body: Mapping[str, Any] | None = None
) -> bytes:
    """Return the bytes of a whole request, with the headers that a usual client sends."""
    content = b"" if body is None else json.dumps(body).encode("ascii")
    listed = {"Host": "127.0.0.1", "User-Agent": "bench", "Accept": "*/*", **headers}
    if body is not None:
        listed |= {"Content-Type": "application/json", "Content-Length": str(len(content))}
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in listed.items())]
    return "\r\n".join([*lines, "", ""]).encode("ascii") + content


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def _ask(
    port: int,
    method: str,
    path: str,
    body: Mapping[str, Any],
    headers: Mapping[str, str] | None = None,
) -> Any:
    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    with contextlib.closing(connection):
        sent = {"Content-Type": "application/json", **(headers or {})}
        connection.request(method, path, json.dumps(body), sent)
        response = connection.getresponse()
        content = response.read()
    if response.status >= 300:  # noqa: PLR2004 — anything but a success
        raise SettingError(f"{method} {path}: {response.status} {content[:400]!r}")
    return json.loads(content)
