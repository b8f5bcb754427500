"""Who is calling by the certificate of the connection."""

import ssl
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from service.web.transport import peer_certificates
from tests.support.access import MESHED, PROXY, key_of, token_of
from tests.support.svids import Svid, make, root
from tests.support.tls import ALWAYS, Handshakes, workload
from tests.support.world import MINTER, OPERATOR, World
from tests.web.answers import assert_problem
from tests.web.calling import COMPANIES, Api
from tests.web.meshing import EVIL, FORWARDED, OTHER, ROOT, Meshed, reason_of, whoami

BETWEEN = make(root("between", life=ALWAYS, begins=-ALWAYS), ROOT)
BY, URI = f"By={PROXY}", f"URI={MESHED}"


@pytest.fixture(scope="module")
def handshakes(tmp_path_factory: pytest.TempPathFactory) -> Handshakes:
    """A TLS listener that takes the certificates of both authorities."""
    return Handshakes(tmp_path_factory.mktemp("tls"), ROOT, OTHER)


@pytest.fixture(scope="module")
def peers(handshakes: Handshakes) -> Iterator[Mapping[str, ssl.SSLSocket]]:
    """Connections that stay open: of a workload, of the proxy, and of somebody without a certificate."""
    with (
        handshakes.peer(workload(MESHED, BETWEEN), BETWEEN) as meshed,
        handshakes.peer(workload(PROXY, ROOT)) as proxy,
        handshakes.peer() as nobody,
    ):
        yield {MESHED: meshed, PROXY: proxy, "nobody": nobody}


@pytest.fixture
def api(world: World) -> Api:
    """The API with that access file."""
    api = Api(world)
    api.access = Meshed(world.clock)
    return api


def test_a_certificate_alone_is_the_caller(api: Api, peers: Mapping[str, ssl.SSLSocket]) -> None:
    """With the authority between that the client sent along; the proof ends with the certificate."""
    answer = whoami(api, peers[MESHED]).get_json()

    assert (answer["identity"], answer["issuer"]) == (MESHED, "mesh")
    assert answer["proof"] == "client_certificate"
    assert answer["expires_at"].startswith("2036-")


def test_the_chain_is_read_as_it_was_sent(handshakes: Handshakes) -> None:
    """The peer's own first, then the rest in order; nothing that only we know is added."""
    leaf = workload(MESHED, BETWEEN)

    with handshakes.peer(leaf, BETWEEN, OTHER) as peer:
        chain = peer_certificates({"gunicorn.socket": peer})
    with handshakes.peer(direct := workload(MESHED, ROOT)) as peer:
        alone = peer_certificates({"gunicorn.socket": peer})

    assert chain == (leaf.der, BETWEEN.der, OTHER.der)
    assert alone == (direct.der,)


@pytest.mark.parametrize("environ", [{}, {"gunicorn.socket": None}, {"gunicorn.socket": "x"}])
def test_a_connection_without_tls_has_no_certificate(environ: dict[str, Any]) -> None:
    """Plain HTTP, or another server beneath."""
    assert peer_certificates(environ) == ()


def test_a_connection_without_a_certificate_proves_nothing(
    api: Api, peers: Mapping[str, ssl.SSLSocket]
) -> None:
    """It needs a token then."""
    nothing = whoami(api, peers["nobody"])
    reason = reason_of(api, nothing)

    assert reason == "no_proof"
    headers = {"Authorization": f"Bearer {token_of(MINTER)}"}
    assert whoami(api, peers["nobody"], headers).get_json()["identity"] == MINTER


@pytest.mark.parametrize(
    ("leaf", "reason"),
    [
        (workload(MESHED, OTHER), "certificate_chain"),
        (workload("spiffe://unknown.example/x", ROOT), "certificate_trust_domain_unknown"),
        (workload(MESHED, ROOT, usages=None), "certificate_no_leaf"),
        (workload(PROXY, OTHER), "certificate_chain"),
    ],
    ids=["another domain's authority", "unknown domain", "no leaf", "a proxy by another domain"],
)
def test_what_the_listener_lets_in_is_not_yet_the_caller(
    api: Api, handshakes: Handshakes, leaf: Svid, reason: str
) -> None:
    """The listener trusts both authorities for a connection; only the access file says for whom each may speak."""
    with handshakes.peer(leaf) as peer:
        answer = whoami(api, peer, {FORWARDED: URI})

    assert reason_of(api, answer) == reason


@pytest.mark.parametrize("peer", [MESHED, PROXY, "nobody"])
@pytest.mark.parametrize(
    ("headers", "identity", "proof"),
    [
        ({"Authorization": f"Bearer {token_of(MINTER)}"}, MINTER, "workload_token"),
        ({"Broker-Key": key_of(OPERATOR)}, OPERATOR, "api_key"),
    ],
)
def test_a_proof_in_a_header_counts_before_the_certificate(
    api: Api,
    peers: Mapping[str, ssl.SSLSocket],
    peer: str,
    headers: dict[str, str],
    identity: str,
    proof: str,
) -> None:
    """It belongs to this request, the certificate to the connection."""
    answer = whoami(api, peers[peer], headers | {FORWARDED: f"URI={EVIL}"}).get_json()

    assert (answer["identity"], answer["proof"]) == (identity, proof)


@pytest.mark.parametrize("peer", [MESHED, PROXY])
@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ({"Authorization": "Bearer nobody"}, "token_unknown"),
        ({"Authorization": ""}, "no_proof"),
        ({"Authorization": "Basic eDp5"}, "no_proof"),
        ({"Broker-Key": ""}, "key_unknown"),
        ({"Broker-Key": "nobody"}, "key_unknown"),
        ({"Broker-Key": key_of(OPERATOR), "Authorization": ""}, "two_proofs"),
    ],
)
def test_a_proof_in_a_header_that_fails_is_not_rescued_by_the_certificate(
    api: Api,
    peers: Mapping[str, ssl.SSLSocket],
    peer: str,
    headers: dict[str, str],
    reason: str,
) -> None:
    """Whoever meant to be somebody else is told so, and not served as the connection's owner."""
    answer = whoami(api, peers[peer], headers | {FORWARDED: f"{BY};{URI}"})

    assert reason_of(api, answer) == reason


def test_the_proxys_route_takes_a_certificate_too(
    api: Api, peers: Mapping[str, ssl.SSLSocket]
) -> None:
    """The hot path finds its caller in the same way; here it is then refused for its reference."""
    overrides, headers = {"gunicorn.socket": peers[MESHED]}, {"Broker-Reference": "x"}

    answer = api.ask("GET", COMPANIES, None, headers, environ_overrides=overrides)

    assert_problem(answer, "reference_invalid")
