"""docs/operations.md is true: it has every alert, each runbook is whole, and its commands work on a running broker."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from sandbox.demo.processes import wait_until
from sandbox.demo.stack import ROOT, Stack, broker_settings, running_stack
from service.adapters.signing_key import new_signing_key
from service.core.reference import accessor_of
from service.core.secret import Secret
from tests.support.http import Client
from tests.support.runbooks import PAGE, anchor, blocks, runbooks, sections
from tests.support.service import Service

PARTS = ("See", "Means", "First minute", "Mend", "Afterwards")
PASSWORD = "right password"
INCIDENTS = {
    "A token is rejected",
    "Redis is lost",
    "A key is rotated",
    "A key is compromised",
    "A reference has leaked",
    "The upstream deprecates something",
    "Disaster: nothing is left",
    "The audit trail fails",
    "Panic stop",
    "A merchant changes the password",
}


def test_there_is_a_runbook_for_each_alert_and_no_other() -> None:
    """The link of an alert is to its name."""
    path = ROOT / "helm" / "b2b-credential-broker" / "files" / "alerts.yaml"
    alerts = yaml.safe_load(path.read_text("utf-8"))["alerts"]

    assert set(runbooks("Alerts")) == {rule["alert"] for rule in alerts}


def test_there_is_a_runbook_for_each_incident() -> None:
    """Those that were thought of beforehand."""
    assert set(runbooks("Incidents")) == INCIDENTS


@pytest.mark.parametrize("heading", [*runbooks("Alerts"), *runbooks("Incidents")])
def test_a_runbook_has_its_five_parts_in_their_order(heading: str) -> None:
    """Whoever is woken up finds the first minute at the same place; one may lead to another for the rest."""
    text = sections()[heading][1]

    found = re.findall(r"\*\*(\w[\w ]*)\*\*", text)
    leads_on = re.search(r"\*\*Means\*\* and the rest: \[", text)
    assert found == list(PARTS[:2] if leads_on else PARTS)


def test_links_lead_to_headings_and_files() -> None:
    """Of this page and beside it."""
    targets = re.findall(r"\]\(([^)]+)\)", PAGE)
    anchors = {f"#{anchor(heading)}" for heading in sections()}

    assert targets
    for target in targets:
        assert target in anchors or (ROOT / "docs" / target).is_file(), target


def test_most_commands_are_run() -> None:
    """What is not says why."""
    every = [block for _, text in sections().values() for block in blocks(text)]
    reasons = {block.not_run for block in every if block.not_run}

    assert PAGE.count("```") == 2 * len(every)
    assert reasons == {"needs a cluster"}
    assert len([block for block in every if not block.not_run]) >= 35


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack of its own: runbooks lock, revoke and rotate everything there is.

    A key may be retired twice the upstream's time limit, and ten seconds, after it last sealed.
    """
    folder = tmp_path_factory.mktemp("stack")
    signing_key, public_key = new_signing_key()
    (folder / "audit.pem").write_bytes(signing_key)
    (folder / "audit.pem").chmod(0o600)
    (folder / "audit.pem.pub").write_bytes(public_key)
    settings = {
        "BROKER_AUDIT_SIGNING_KEY_FILE": str(folder / "audit.pem"),
        "BROKER_UPSTREAM_TIMEOUT_SECONDS": "1",
    }
    with running_stack(folder, settings) as running:
        yield running


@pytest.fixture
def service(stack: Stack) -> Iterator[Service]:
    """The running broker; at the end nothing is locked, and there is no store."""
    client = Client(stack.port)
    running = Service(stack, client)
    running.upstream("PATCH", "/_sandbox/behaviours", {"rate_limit_per_minute": 0})
    yield running
    client.ask(running.operator, "POST", "/v1/unlock")
    for store in client.ask(running.operator, "GET", "/v1/stores").json()["stores"]:
        client.ask(running.operator, "DELETE", f"/v1/stores/{store['store_hash']}")
    client.close()


class Desk:
    """Where an operator sits: files, variables, the command, and what the page's examples stand for."""

    def __init__(self, service: Service, folder: Path) -> None:
        self._service = service
        self._folder = folder
        stack = service.stack
        store_hash = service.new_store(PASSWORD)
        access_token = f"{store_hash}accesstoken00000"
        service.upstream(
            "POST", "/_sandbox/stores", {"store_hash": store_hash, "access_token": access_token}
        )
        self._make_store(store_hash)
        reference = service.mint(store_hash)
        # A reference in the wrong hands, which the runbooks look for.
        service.client.ask(
            service.minter, "POST", "/v1/references/redeem", {"reference": reference}
        )
        service.client.ask(
            service.minter,
            "GET",
            "/v1/proxy/api/v3/io/companies",
            Broker_Reference=reference,
        )
        keyring = stack.folder / "keyring"
        self._stands_for = {
            "https://broker.internal:8443": stack.url,
            "~/broker-token": str(folder / "broker-token"),
            "http://127.0.0.1:9090": f"http://127.0.0.1:{stack.ops_port}",
            "-h redis.internal -p 6379": f"-h 127.0.0.1 -p {stack.redis_port}",
            "/var/log/broker/audit.jsonl": str(stack.audit_file),
            "/var/log/broker": str(stack.folder),
            "k1": (keyring / "primary").read_text("ascii").strip(),
            "abc123": store_hash,
            "owner@shop.example": f"owner@{store_hash}.example",
            "cba_07qF…": accessor_of(Secret(reference)).text,
        }
        files = {
            "broker-token": service.operator,
            "password.txt": PASSWORD,
            "access-token.txt": access_token,
            "leaked.txt": reference,
            "audit.pem.pub": (stack.folder / "audit.pem.pub").read_text("utf-8"),
            "access.yaml": (stack.folder / "access.yaml").read_text("utf-8"),
            "broker": f'#!/bin/sh\nexec {sys.executable} -m service.cli "$@"\n',
        }
        for name, content in files.items():
            (folder / name).write_text(content, "utf-8")
        (folder / "broker").chmod(0o700)
        # Not a copy: the keys that an operator makes are to become the broker's.
        (folder / "keyring").symlink_to(keyring)

    def run(self, text: str) -> "subprocess.CompletedProcess[str]":
        """Run commands of the page for what they stand for."""
        names = sorted(map(re.escape, self._stands_for), key=len, reverse=True)
        pattern = re.compile(rf"(?<!\w)({'|'.join(names)})(?!\w)")
        commands = pattern.sub(lambda found: self._stands_for[found[0]], text)
        return subprocess.run(  # noqa: S603 — the page is ours
            ["bash", "-euo", "pipefail", "-c", commands],  # noqa: S607 — the shell of this machine
            cwd=self._folder,
            env=self._environment(),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def _make_store(self, store_hash: str) -> None:
        credential = {
            "kind": "b2b_password",
            "email": f"owner@{store_hash}.example",
            "password": PASSWORD,
        }
        body = {"credential": credential, "retain": True}
        path = f"/v1/stores/{store_hash}"
        reply = self._service.client.ask(self._service.operator, "PUT", path, body)
        assert reply.status == 201, reply.content

    def _environment(self) -> dict[str, str]:
        stack = self._service.stack
        settings = broker_settings(
            stack.folder,
            stack.folder / "access.yaml",
            stack.folder / "keyring",
            stack.redis_port,
            stack.upstream_url,
        )
        coverage = {n: v for n, v in os.environ.items() if n == "COVERAGE_PROCESS_START"}
        return {
            "PATH": f"{self._folder}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "B2B_BROKER_URL": stack.url,
            "B2B_BROKER_TOKEN_FILE": str(self._folder / "broker-token"),
            **settings,
            **coverage,
        }


def _run_here(heading: str) -> list[str]:
    """Return the commands of a section that can be run."""
    return [block.text for block in blocks(sections()[heading][1]) if not block.not_run]


@pytest.mark.parametrize("heading", [heading for heading in sections() if _run_here(heading)])
def test_the_commands_of_a_runbook_work_one_after_another(
    service: Service, tmp_path: Path, heading: str
) -> None:
    """Copied as they stand, from the first to the last; none of them shows the password."""
    desk = Desk(service, tmp_path)

    for text in _run_here(heading):
        done = desk.run(text)

        assert done.returncode == 0, f"{text}{done.stdout}{done.stderr}"
        assert PASSWORD not in done.stdout + done.stderr


def test_what_was_done_with_a_leaked_reference_is_found(service: Service, tmp_path: Path) -> None:
    """By the command of its runbook: who minted it, and who tried it."""
    desk = Desk(service, tmp_path)
    (text,) = (text for text in _run_here("A reference has leaked") if "audit query" in text)
    (command,) = (line for line in text.splitlines() if "audit query" in line)

    done = desk.run(command)

    assert done.returncode == 0, done.stderr
    assert re.search(r"k8s:commerce/order-sync +reference.mint +allowed", done.stdout)
    assert re.search(r"reference.use +denied +wrong_caller", done.stdout)


def test_a_cut_trail_is_told_by_the_command_of_its_runbook(
    service: Service, tmp_path: Path
) -> None:
    """With the heads of the running broker; the same command over the whole trail finds nothing."""
    desk = Desk(service, tmp_path)
    (text,) = (text for text in _run_here("The audit trail fails") if "audit verify" in text)
    command = text.splitlines()[-1]
    trail = service.stack.audit_file.read_text("utf-8").splitlines(keepends=True)
    (tmp_path / "cut.jsonl").write_text("".join(trail[: len(trail) // 2]), "utf-8")

    on_the_cut = command.replace("/var/log/broker/audit.jsonl", "cut.jsonl")

    # Heads are signed every few seconds; until then nothing vouches for the latest entries.
    wait_until("the cut to be told", lambda: desk.run(on_the_cut).returncode == 1)
    whole = desk.run(command)

    assert whole.returncode == 0, whole.stdout + whole.stderr
    assert "cut" in desk.run(on_the_cut).stdout
