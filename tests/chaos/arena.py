"""A broker that can be made to die, around a real Valkey and the sandbox, and the judge: what is alive upstream, and what is stored."""

import contextlib
import os
import signal
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import urllib3

from sandbox.demo.identities import Identities
from sandbox.demo.processes import (
    Program,
    StackError,
    accepts,
    answers,
    free_port,
    stopping,
    wait_until,
)
from sandbox.demo.stack import (
    ROOT,
    Stack,
    broker_settings,
    make_keyring,
    start_redis,
    start_upstream,
    write_access,
)
from service.adapters.redis_link import home
from tests.chaos.crashing import arm
from tests.support.http import Client, Reply
from tests.support.service import Service

PASSWORD = "right password"
CONVERGED_WITHIN = 60.0
_UPSTREAM_SECONDS = "2"
_STARTS = 20


class Arena(Service):
    """The stack, and what can be done to it."""

    def __init__(self, stack: Stack, settings: Mapping[str, str]) -> None:
        super().__init__(stack, Client(stack.port))
        self._settings = settings
        self.plans = Path(settings["CRASH_PLANS"])
        self.mounts = Path(settings["BROKER_STORES_DIR"])
        self.redis_client = self.redis()
        self.kills = 0

    # --- dying

    def arm(self, point: str, store_hash: str, how: str = "worker", passings: int = 0) -> Path:
        """Arm a point; see ``crashing``."""
        return arm(self.plans, point, store_hash, how, passings_before=passings)

    def has_fired(self, fired: Path) -> bool:
        """Tell whether somebody died at an armed point."""
        self.revive()
        return fired.exists()

    def wait_fired(self, fired: Path) -> None:
        """Wait until somebody died at an armed point, and count it."""
        wait_until(fired.name, lambda: self.has_fired(fired), CONVERGED_WITHIN)
        self.kills += 1

    def revive(self) -> None:
        """Start the broker again, if all of it was killed."""
        if self.stack.broker._process.poll() is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.stack.broker.pid, signal.SIGKILL)
        self.stack.broker.kill()
        for _ in range(_STARTS):
            # Whoever starts may pass the next armed point, and die at once.
            with contextlib.suppress(StackError):
                broker = start_crashing_broker(self.stack.folder, self._settings)
                self.stack = replace(self.stack, broker=broker)
                return
        raise StackError("the broker does not start any more")

    # --- asking a broker that may die while it answers

    def ask(self, method: str, path: str, body: Any = None, token: str = "") -> Reply | None:
        """Make a request; None if there was no whole answer."""
        try:
            return self.client.ask(token or self.operator, method, path, body)
        except (urllib3.exceptions.HTTPError, OSError):
            self.revive()
            return None

    def put(self, store_hash: str, *, retain: bool = False) -> int:
        """Give a store its administrator's password, and return the status; 0 for no answer."""
        body = {"credential": password_of(store_hash), "retain": retain}
        reply = self.ask("PUT", f"/v1/stores/{store_hash}", body)
        return reply.status if reply else 0

    def put_until_active(self, store_hash: str, *, retain: bool = False) -> None:
        """Give the password again and again, as an operator would who gets errors."""
        wait_until(
            store_hash,
            lambda: self.put(store_hash, retain=retain) in (200, 201),
            CONVERGED_WITHIN,
        )

    def mount(self, store_hash: str) -> None:
        """Mount a store's credential, all files at once."""
        folder = self.mounts / f".{store_hash}"
        folder.mkdir()
        for name, content in password_of(store_hash).items():
            if name != "kind":
                (folder / name).write_text(content, "utf-8")
                (folder / name).chmod(0o600)
        folder.rename(self.mounts / store_hash)

    # --- judging

    def document(self, store_hash: str) -> dict[str, Any]:
        """Return a store as the broker shows it; empty if it does not."""
        reply = self.ask("GET", f"/v1/stores/{store_hash}")
        return reply.json() if reply and reply.status == 200 else {}

    def released(self, store_hash: str) -> str:
        """Return the token that the broker gives out for a store; empty if it gives none."""
        wanted = {"store_hash": store_hash, "access": "redeem", "audience": WORKER}
        minted = self.ask("POST", "/v1/references", wanted, self.minter)
        if minted is None or minted.status != 201:
            return ""
        body = {"reference": minted.json()["reference"]}
        redeemed = self.ask("POST", "/v1/references/redeem", body, self.worker)
        if redeemed is None or redeemed.status != 200:
            return ""
        return str(redeemed.json()["headers"]["authToken"])

    def left_behind(self, store_hash: str) -> str:
        """Say what keeps a store from being as it has to be in the end; empty if nothing does."""
        self.revive()
        live = self.live_tokens(store_hash)
        if len(live) != 1:
            return f"{len(live)} live tokens"
        if self.redis_client.exists(home(store_hash).key("intents", store_hash)):
            return "an intent"
        if self.redis_client.exists(home(store_hash).key("lease", store_hash)):
            return "a lease"
        document = self.document(store_hash)
        if document.get("status") != "active" or document["attempts"]:
            return f"status {document.get('status')}, attempts {document.get('attempts')}"
        if self.released(store_hash) != live[0]["token"]:
            return "the live token is not the stored one"
        return ""

    def wait_converged(self, store_hash: str) -> str:
        """Wait until a store is as it has to be, and return what is wrong if it does not become so."""
        with contextlib.suppress(Exception):
            wait_until(store_hash, lambda: not self.left_behind(store_hash), CONVERGED_WITHIN)
        return self.left_behind(store_hash)


WORKER = "k8s:commerce/order-worker"


def password_of(store_hash: str) -> dict[str, str]:
    """Return the credential of a store's administrator."""
    email = f"owner@{store_hash}.example"
    return {"kind": "b2b_password", "email": email, "password": PASSWORD}


def start_crashing_broker(folder: Path, settings: Mapping[str, str]) -> Program:
    """Start the broker with its crash points, and wait until it answers."""
    arguments = [sys.executable, "-m", "tests.chaos.crashing_broker"]
    program = Program("broker", arguments, folder, {"PYTHONPATH": str(ROOT), **settings})
    port, ops_port = (
        int(settings[name].rpartition(":")[2]) for name in ("BROKER_BIND", "BROKER_OPS_BIND")
    )
    try:
        program.wait_ready(lambda: accepts(port) and answers(ops_port, "/livez"))
    except StackError:
        program.kill()
        raise
    return program


@contextlib.contextmanager
def running_arena(folder: Path, lease_margin_seconds: float = -2.0) -> Iterator[Arena]:
    """Run everything for the length of a block; the lease is four seconds plus the margin."""
    identities = Identities()
    access, keyring = write_access(folder, identities), make_keyring(folder)
    redis_port, upstream_port, port, ops_port = (free_port() for _ in range(4))
    upstream_url = f"http://127.0.0.1:{upstream_port}"
    for name in ("plans", "mounts", "counts"):
        (folder / name).mkdir()
    settings = broker_settings(folder, access, keyring, redis_port, upstream_url) | {
        "BROKER_BIND": f"127.0.0.1:{port}",
        "BROKER_OPS_BIND": f"127.0.0.1:{ops_port}",
        "BROKER_UPSTREAM_TIMEOUT_SECONDS": _UPSTREAM_SECONDS,
        "BROKER_STORES_DIR": str(folder / "mounts"),
        "PROMETHEUS_MULTIPROC_DIR": str(folder / "counts"),
        "CRASH_PLANS": str(folder / "plans"),
        "LEASE_MARGIN_SECONDS": str(lease_margin_seconds),
    }
    with (
        stopping(start_redis(folder, redis_port)) as redis,
        stopping(start_upstream(folder, upstream_port)) as upstream,
    ):
        broker = start_crashing_broker(folder, settings)
        stack = Stack(
            folder, identities, redis, redis_port, upstream, upstream_url, broker, port, ops_port
        )
        arena = Arena(stack, settings)
        try:
            arena.reset_upstream()
            yield arena
        finally:
            arena.client.close()
            arena.redis_client.close()
            with contextlib.suppress(ProcessLookupError):
                os.killpg(arena.stack.broker.pid, signal.SIGKILL)
            arena.stack.broker.kill()
