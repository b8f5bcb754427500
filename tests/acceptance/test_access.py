"""The access file is replaced, and a cluster is asked, while the broker runs."""

from pathlib import Path

import pytest
import urllib3

from sandbox.demo.identities import Identities
from sandbox.demo.processes import free_port, stopping, wait_until
from sandbox.demo.stack import Stack, broker_settings, start_broker, write_access
from tests.support.cluster import JWKS_PATH, running_cluster
from tests.support.http import Client


def settings_for(stack: Stack, folder: Path, access: Path) -> dict[str, str]:
    """Return the settings of another broker on the same stack."""
    return broker_settings(
        folder, access, stack.folder / "keyring", stack.redis_port, stack.upstream_url
    )


def readiness(port: int) -> dict[str, object]:
    """Return what the broker says of itself."""
    answer: dict[str, object] = urllib3.request(
        "GET", f"http://127.0.0.1:{port}/readyz?verbose"
    ).json()
    return answer


def test_a_new_access_file_is_in_force_within_seconds_and_a_broken_one_never(
    stack: Stack, tmp_path: Path
) -> None:
    """On both processes; the refused version shows in readiness and metrics, and the broker stays ready."""
    identities = Identities()
    access = write_access(tmp_path, identities)
    good = access.read_text("utf-8")
    operator = identities.person("ops-anna")
    port, ops_port = free_port(), free_port()
    client = Client(port)

    def statuses() -> set[int]:
        return {client.ask(operator, "GET", "/v1/stores").status for _ in range(16)}

    with stopping(start_broker(tmp_path, settings_for(stack, tmp_path, access), port, ops_port)):
        before = statuses()
        access.write_text(good.replace("corp:ops-*", "corp:admin-*"), "utf-8")
        wait_until("the grant is gone", lambda: statuses() == {403}, 10)
        access.write_text("version: 1\n", "utf-8")
        wait_until(
            "the refusal shows",
            lambda: all("Field required" in str(readiness(ops_port)) for _ in range(8)),
            10,
        )
        broken = readiness(ops_port)
        metrics = urllib3.request("GET", f"http://127.0.0.1:{ops_port}/metrics").data.decode()
        still = statuses()
        access.write_text(good, "utf-8")
        wait_until("the grant is back", lambda: statuses() == {200}, 10)
    client.close()

    assert (before, still) == ({200}, {403})
    assert broken["status"] == "ready"
    assert "b2b_broker_access_file_refused 1.0" in metrics


@pytest.mark.parametrize("deleted", [False, True])
def test_a_service_account_of_a_real_api_server_is_who_it_says(
    stack: Stack, tmp_path: Path, *, deleted: bool
) -> None:
    """Keys from the cluster, reviewed by the cluster: a deleted workload's token is refused although it verifies."""
    identities = Identities()
    own = tmp_path / "own-token"
    own.write_text("own", "utf-8")
    with running_cluster(tmp_path, "own") as cluster:
        identities.cluster = cluster.issuer
        access = write_access(tmp_path, identities)
        server = f"{{url: '{cluster.url}', ca_file: {cluster.ca_file}, token_file: {own}}}"
        access.write_text(
            access.read_text("utf-8").replace(
                f"jwks: {{file: {tmp_path}/cluster-jwks.json}}",
                f"jwks: {{url: '{cluster.url}{JWKS_PATH}'}}\n"
                f"    token_review: true\n    api_server: {server}",
            ),
            "utf-8",
        )
        token = identities.workload("commerce", "order-sync")
        if deleted:
            cluster.deleted.add(token)
        port = free_port()
        client = Client(port)
        settings = settings_for(stack, tmp_path, access)
        with stopping(start_broker(tmp_path, settings, port, free_port())):
            reply = client.ask(token, "GET", "/v1/whoami")
        client.close()

    assert reply.status == (401 if deleted else 200)
