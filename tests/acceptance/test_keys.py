"""The keyring of running brokers: locked, unlocked, refused, rotated, as an operator does and sees it."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import redis
import urllib3
from click.testing import CliRunner, Result

from sandbox.demo.identities import Identities
from sandbox.demo.processes import free_port, stopping, wait_until
from sandbox.demo.stack import (
    Stack,
    broker_settings,
    make_keyring,
    running_stack,
    start_broker,
    start_redis,
    write_access,
)
from service.cli import main
from tests.support.http import Client
from tests.support.key_services import Vault, serving
from tests.support.service import Service

QUICK = {"BROKER_UPSTREAM_TIMEOUT_SECONDS": "1"}
"""What was begun with a key may be written for twice that and ten seconds, so that a rotation in a test takes no longer."""
LOOKS_WITHIN = 10.0


@dataclass(frozen=True, slots=True)
class Ground:
    """Where brokers are started: files and a Redis."""

    folder: Path
    settings: dict[str, str]
    operator: str
    redis: "redis.Redis"

    @property
    def keyring(self) -> Path:
        """The directory of the keyring."""
        return self.folder / "keyring"


@pytest.fixture
def ground(tmp_path: Path) -> Iterator[Ground]:
    """An empty Redis, and everything but keys."""
    identities, port = Identities(), free_port()
    access = write_access(tmp_path, identities)
    settings = broker_settings(tmp_path, access, tmp_path / "keyring", port, "http://127.0.0.1:1")
    operator = identities.person("ops-anna")
    with stopping(start_redis(tmp_path, port)), redis.Redis(port=port) as client:
        yield Ground(tmp_path, settings, operator, client)


@dataclass(frozen=True, slots=True)
class Broker:
    """A running broker."""

    ground: Ground
    client: Client
    ops_port: int

    def status(self) -> int:
        """Return what an operator's request is answered."""
        return self.client.ask(self.ground.operator, "GET", "/v1/stores").status

    def readiness(self) -> tuple[int, dict[str, str]]:
        """Return the status of ``/readyz`` and the state of each dependency."""
        reply = urllib3.request("GET", f"http://127.0.0.1:{self.ops_port}/readyz", retries=False)
        return reply.status, reply.json()["checks"]

    def metric(self, name: str) -> float:
        """Return a metric without labels."""
        reply = urllib3.request("GET", f"http://127.0.0.1:{self.ops_port}/metrics", retries=False)
        (line,) = [line for line in reply.data.decode().splitlines() if line.startswith(f"{name} ")]
        return float(line.split()[1])

    def looked(self) -> int:
        """Return how often the background tasks found that they can do nothing."""
        log = (self.ground.folder / "broker.err").read_text("utf-8")
        deferred = [json.loads(line) for line in log.splitlines() if "task_deferred" in line]
        tasks = [line["task"] for line in deferred if line["reason"] == "locked"]
        return min(tasks.count("maintenance"), tasks.count("rewrapping"))


@pytest.fixture
def broker(ground: Ground) -> Iterator[Broker]:
    """A broker with two workers and no keys."""
    port, ops_port = free_port(), free_port()
    with stopping(start_broker(ground.folder, ground.settings, port, ops_port)):
        client = Client(port)
        yield Broker(ground, client, ops_port)
        client.close()


def test_a_locked_broker_writes_nothing_and_unlocks_by_itself(broker: Broker) -> None:
    """F43k: alive, not ready, 503 for everything, nothing in Redis, and no key made by itself; then within five seconds."""
    statuses = {
        broker.client.ask(broker.ground.operator, *asked).status
        for asked in (("GET", "/v1/stores"), ("POST", "/v1/references"), ("GET", "/v1/keys"))
    }
    wait_until("the tasks ran", lambda: broker.looked() >= 4, 30)
    ready, checks = broker.readiness()
    live = urllib3.request("GET", f"http://127.0.0.1:{broker.ops_port}/livez").status
    written, refused = broker.ground.redis.dbsize(), broker.metric("b2b_broker_keyring_refused")
    made = broker.ground.keyring.exists()
    make_keyring(broker.ground.folder)

    wait_until("unlocked", lambda: broker.status() == 200, 5)

    assert (statuses, ready, live, written, made) == ({503}, 503, 200, 0, False)
    assert checks["keyring"] == "locked"
    assert checks["keys"] == "there is no *.key file in the keyring directory"
    assert refused == 1
    wait_until("ready", lambda: broker.readiness()[0] == 200, LOOKS_WITHIN)
    wait_until(
        "no worker refuses it",
        lambda: broker.metric("b2b_broker_keyring_refused") == 0,
        LOOKS_WITHIN,
    )


@pytest.mark.parametrize("fault", ["empty", "short", "readable by all"])
def test_a_key_with_a_fault_does_not_unlock(broker: Broker, fault: str) -> None:
    """F43k: the file and the rule are named; the mended file unlocks."""
    make_keyring(broker.ground.folder)
    key = next(broker.ground.keyring.glob("*.key"))
    good = key.read_bytes()
    faults = {"empty": b"", "short": good[:20], "readable by all": good}
    key.write_bytes(faults[fault])
    key.chmod(0o644 if fault == "readable by all" else 0o600)

    wait_until("it is told", lambda: key.name in broker.readiness()[1]["keys"], LOOKS_WITHIN)
    during = broker.status()
    key.write_bytes(good)
    key.chmod(0o440)

    wait_until("unlocked", lambda: broker.status() == 200, 5)
    assert during == 503


def test_another_ring_is_refused_instead_of_a_second_universe(
    ground: Ground, broker: Broker
) -> None:
    """The same id and other bytes, on the same Redis, in a broker that starts later."""
    make_keyring(ground.folder)
    wait_until("unlocked", lambda: broker.status() == 200, 5)
    right, wrong = ground.keyring, ground.folder / "wrong"
    shutil.copytree(right, wrong)
    (key,) = wrong.glob("*.key")
    key.unlink()
    assert _run("keys", "new", str(wrong), "--id", key.stem).exit_code == 0
    before = ground.redis.hgetall("b2b-broker:{p00}:keychecks")
    port, ops_port = free_port(), free_port()
    settings = {**ground.settings, "BROKER_KEYRING_DIR": str(wrong)}

    with stopping(start_broker(ground.folder, settings, port, ops_port)):
        second = Broker(ground, Client(port), ops_port)
        wait_until(
            "it is refused", lambda: "key_mismatch" in second.readiness()[1]["keys"], LOOKS_WITHIN
        )
        during = second.status()
        shutil.copy(right / key.name, key)
        wait_until("unlocked", lambda: second.status() == 200, 5)
        second.client.close()

    assert during == 503
    assert ground.redis.hgetall("b2b-broker:{p00}:keychecks") == before


def test_a_broker_whose_key_is_wrapped_waits_for_vault(ground: Ground) -> None:
    """Down at the start is locked; when Vault is back, so is the broker. The token is in no output."""
    vault, token = Vault(), ground.folder / "token"
    token.write_text(vault.token, "ascii")
    with serving(vault):
        settings = {"BROKER_VAULT_URL": vault.url, "BROKER_VAULT_TOKEN_FILE": str(token)}
        made = _run("keys", "new", str(ground.keyring), "--wrap", "vault", **settings)
        assert made.exit_code == 0, made.output
        vault.refuses = 503
        port, ops_port = free_port(), free_port()
        with stopping(start_broker(ground.folder, ground.settings | settings, port, ops_port)):
            broker = Broker(ground, Client(port), ops_port)
            wait_until(
                "it is told", lambda: "status 503" in broker.readiness()[1]["keys"], LOOKS_WITHIN
            )
            during = broker.status()
            vault.refuses = 0
            wait_until("unlocked", lambda: broker.status() == 200, 5)
            broker.client.close()

    assert during == 503
    for output in ("broker.out", "broker.err"):
        assert vault.token not in (ground.folder / output).read_text("utf-8")


# --- rotation


@pytest.fixture(scope="module")
def quick_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack in which what is under way is over soon."""
    with running_stack(tmp_path_factory.mktemp("stack"), QUICK) as running:
        yield running


@pytest.fixture
def quick(quick_stack: Stack) -> Iterator[Service]:
    """Its broker."""
    client = Client(quick_stack.port)
    service = Service(quick_stack, client)
    service.reset_upstream()
    yield service
    client.close()


def _run(*arguments: str, **environment: str) -> Result:
    return CliRunner().invoke(main, arguments, env=environment)


def _ask(service: Service, *arguments: str) -> Result:
    token = service.stack.folder / "operator"
    token.write_text(service.operator, "utf-8")
    return _run(*arguments, B2B_BROKER_URL=service.stack.url, B2B_BROKER_TOKEN_FILE=str(token))


def _keys(service: Service) -> dict[str, Any]:
    found = json.loads(_ask(service, "keys", "list", "--json").stdout)
    return {key["key_id"]: key for key in found["keys"]}


def _known_by(service: Service, key_id: str) -> int:
    return len(_keys(service).get(key_id, {"known_by": []})["known_by"])


def test_a_key_is_replaced_without_a_restart_and_nobody_notices(quick: Service) -> None:
    """New key, primary, rewrap, retire, file away; references and tokens go on working, and the old key opens nothing any more."""
    store = quick.active_store()
    reference = quick.mint(store, access="redeem", max_uses=10)
    token = quick.redeem(reference).json()["headers"]["authToken"]
    folder = quick.stack.folder / "keyring"
    old = (folder / "primary").read_text("ascii").strip()

    assert _run("keys", "new", str(folder), "--id", "k2").exit_code == 0
    wait_until("all have it", lambda: _known_by(quick, "k2") == 2, LOOKS_WITHIN)
    early = _ask(quick, "keys", "retire", old)
    (folder / "primary").write_text("k2", "ascii")
    wait_until("it seals", lambda: bool(_keys(quick)["k2"]["primary"]), LOOKS_WITHIN)
    wait_until("on every replica", lambda: _seals(quick) == {"k2"}, LOOKS_WITHIN)
    needed = _keys(quick)[old]["records"]
    wait_until(
        "it may begin",
        lambda: _ask(quick, "keys", "rewrap", "--no-wait").exit_code == 0,
        LOOKS_WITHIN,
    )
    rewrapped = _ask(quick, "keys", "rewrap")
    wait_until(
        "the old one may go",
        lambda: _ask(quick, "keys", "retire", old).exit_code == 0,
        LOOKS_WITHIN + 12,
    )
    (folder / f"{old}.key").unlink()
    wait_until("it is gone", lambda: old not in _keys(quick), LOOKS_WITHIN)

    assert (early.exit_code, "key_seals" in early.stderr) == (1, True)
    assert (needed["store"], needed["reference"]) == (1, 1)
    assert rewrapped.exit_code == 0, rewrapped.output
    assert "done" in rewrapped.stdout
    assert quick.redeem(reference).json()["headers"]["authToken"] == token
    assert (
        quick.client.ask(quick.operator, "GET", f"/v1/stores/{store}").json()["status"] == "active"
    )
    assert len(quick.live_tokens(store)) == 1


def _seals(service: Service) -> set[str]:
    """Return which keys new stores are sealed with, by the word of several requests."""
    return {key_id for _ in range(6) for key_id, key in _keys(service).items() if key["primary"]}


def test_a_table_shows_who_has_what(quick: Service) -> None:
    """For people; the keys themselves are nowhere."""
    shown = _ask(quick, "keys", "list").stdout

    heads, *rows = shown.splitlines()
    assert heads.split()[:3] == ["KEY", "ID", "PRIMARY"]
    assert rows
    for path in (quick.stack.folder / "keyring").glob("*.key"):
        assert path.read_text("ascii").strip() not in shown


def test_a_key_nobody_has_is_told(quick: Service) -> None:
    """Exit code 1."""
    result = _ask(quick, "keys", "retire", "k9")

    assert (result.exit_code, "Unknown key" in result.stderr) == (1, True)
