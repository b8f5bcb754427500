"""The broker's own TLS listener: workloads are known by their certificates, as the real processes see them."""

import ssl
from collections.abc import Iterator
from datetime import timedelta

import pytest

from sandbox.demo.processes import wait_until
from sandbox.demo.stack import Stack
from tests.acceptance.meshed import (
    CHANGING,
    MINTER,
    PARTNER,
    PROXY,
    WORKER,
    Mesh,
    running_mesh,
)
from tests.support.http import Client
from tests.support.service import Service
from tests.support.svids import make, root


@pytest.fixture(scope="module")
def mesh(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
    """One broker with three trust domains for all of these tests."""
    with running_mesh(tmp_path_factory.mktemp("mesh"), stack) as running:
        yield running


def whoami(client: Client, **headers: str) -> tuple[int, str, str]:
    """Return the status, and who the caller is by which proof."""
    reply = client.ask("", "GET", "/v1/whoami", **headers)
    body = reply.json()
    return reply.status, body.get("identity", ""), body.get("proof", "")


@pytest.mark.parametrize(
    ("identity", "domain"), [(MINTER, "prod"), (PARTNER, "partner")], ids=["ours", "a partner's"]
)
def test_a_workloads_certificate_is_the_caller(mesh: Mesh, identity: str, domain: str) -> None:
    """Two trust domains in one file of authorities; also under an authority between that the client sends along."""
    between = make(root("between"), mesh.roots[domain], mesh.now)
    found = []

    for chain in (
        (mesh.workload(identity, mesh.roots[domain]),),
        (mesh.workload(identity, between), between),
    ):
        with mesh.client(*chain) as client:
            found.append(whoami(client))

    assert found == [(200, identity, "client_certificate")] * 2


def test_an_authority_of_one_domain_does_not_speak_for_another(mesh: Mesh) -> None:
    """The listener lets both in; the access file knows whose each is."""
    with mesh.client(mesh.workload(MINTER, mesh.roots["partner"])) as client:
        found = whoami(client)

    assert found == (401, "", "")


def test_a_reference_is_minted_and_redeemed_by_certificates_alone(mesh: Mesh, stack: Stack) -> None:
    """No token anywhere but the operator's, who registers the store over a connection without a certificate."""
    prod = mesh.roots["prod"]
    with (
        mesh.client() as bare,
        mesh.client(mesh.workload(MINTER, prod)) as minter,
        mesh.client(mesh.workload(WORKER, prod)) as worker,
    ):
        store = Service(stack, bare).active_store()
        wanted = {"store_hash": store, "audience": WORKER, "access": "redeem"}
        minted = minter.ask("", "POST", "/v1/references", wanted)
        body = {"reference": minted.json()["reference"]}
        stolen = minter.ask("", "POST", "/v1/references/redeem", body)
        redeemed = worker.ask("", "POST", "/v1/references/redeem", body)

    assert (minted.status, stolen.status, redeemed.status) == (201, 403, 200)
    assert set(redeemed.json()["headers"]) == {"authToken"}


def test_a_token_needs_no_certificate_and_counts_before_one(mesh: Mesh, stack: Stack) -> None:
    """And without either there is no caller."""
    operator = stack.identities.person("ops-anna")
    with (
        mesh.client() as bare,
        mesh.client(mesh.workload(MINTER, mesh.roots["prod"])) as minter,
    ):
        by_token = [
            client.ask(operator, "GET", "/v1/whoami").json()["identity"]
            for client in (bare, minter)
        ]
        nobody = whoami(bare)
        wrong = minter.ask("nobody", "GET", "/v1/whoami").status

    assert by_token == ["corp:ops-anna"] * 2
    assert nobody == (401, "", "")
    assert wrong == 401


@pytest.mark.parametrize("what", ["an unknown authority", "expired", "TLS 1.2"])
def test_a_bad_handshake_gets_no_answer(mesh: Mesh, what: str) -> None:
    """Not even a problem: there is no HTTP before the handshake."""
    prod = mesh.roots["prod"]
    by = mesh.authority("unknown") if what == "an unknown authority" else prod
    life = timedelta(minutes=-1) if what == "expired" else timedelta(hours=1)
    context = mesh.context(mesh.workload(MINTER, by, life))
    if what == "TLS 1.2":
        context.maximum_version = ssl.TLSVersion.TLSv1_2

    with pytest.raises(ssl.SSLError, match="alert"):
        mesh.answer(context)


def test_a_connection_does_not_outlive_its_certificate(mesh: Mesh) -> None:
    """The handshake was good; the request after the certificate's end is not."""
    svid = mesh.workload(MINTER, mesh.roots["prod"], timedelta(seconds=2))
    with mesh.client(svid) as client:
        first = whoami(client)
        wait_until("the certificate has expired", lambda: whoami(client)[0] == 401, 10)
        connections = client._pool.num_connections

    assert first == (200, MINTER, "client_certificate")
    assert connections == 1


def test_a_trusted_proxy_tells_whom_it_has_verified(mesh: Mesh) -> None:
    """Its word counts only on its own connection, and only the last of several."""
    claimed, said = f"By={PROXY};URI={MINTER}", f"By={PROXY};URI={WORKER}"
    prod = mesh.roots["prod"]
    with (
        mesh.client(mesh.workload(PROXY, prod)) as proxy,
        mesh.client(mesh.workload(MINTER, prod)) as minter,
        mesh.client() as bare,
    ):
        told = whoami(proxy, X_Forwarded_Client_Cert=said)
        appended = whoami(proxy, X_Forwarded_Client_Cert=f"{claimed},{said}")
        silent = whoami(proxy)
        pretending = whoami(minter, X_Forwarded_Client_Cert=said)
        nobody = whoami(bare, X_Forwarded_Client_Cert=said)

    assert told == appended == (200, WORKER, "forwarded_certificate")
    assert pretending == (200, MINTER, "client_certificate")
    assert silent == nobody == (401, "", "")


def test_a_header_that_comes_twice_or_in_another_spelling_is_not_misread(mesh: Mesh) -> None:
    """The lines of one header are one list; a name with underscores is no name at all."""
    request = (
        "GET /v1/whoami HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        "{name}: By={proxy};URI={first}\r\nX-Forwarded-Client-Cert: By={proxy};URI={second}\r\n\r\n"
    )
    context = mesh.context(mesh.workload(PROXY, mesh.roots["prod"]))
    answers = []

    for name in ("X-Forwarded-Client-Cert", "x-forwarded-client-cert", "X_Forwarded_Client_Cert"):
        text = request.format(name=name, proxy=PROXY, first=MINTER, second=WORKER)
        with mesh.connect(context) as connection:
            connection.sendall(text.encode("ascii"))
            answers.append(b"".join(iter(lambda: connection.recv(4096), b"")))

    for twice in answers[:2]:
        assert WORKER.encode() in twice
        assert MINTER.encode() not in twice
    assert answers[2].startswith(b"HTTP/1.1 400 ")


def test_a_renewed_server_certificate_is_served_without_a_restart(mesh: Mesh) -> None:
    """The next connection has it."""
    before = mesh.served()

    renewed = mesh.renew_server()

    assert before != renewed
    assert mesh.served() == renewed


def test_a_replaced_bundle_is_in_force_while_running(mesh: Mesh) -> None:
    """Workloads of the new authority are known, and those of the old one no more, also on connections that are open."""
    old = mesh.workload(CHANGING, mesh.roots["changing"])
    new = mesh.workload(CHANGING, mesh.roots["next"])
    with mesh.client(old) as before, mesh.client(new) as after:
        at_first = whoami(before)[0], whoami(after)[0]
        mesh.write_bundle("changing", mesh.roots["next"])
        wait_until("the new authority counts", lambda: whoami(after)[0] == 200, 10)
        at_last = whoami(before)[0], whoami(after)[0]

    assert at_first == (200, 401)
    assert at_last == (401, 200)
