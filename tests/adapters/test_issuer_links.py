"""A cluster's keys and its word on tokens, over real TLS, as the access file asks for them."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from sandbox.demo.identities import Identities
from service.adapters.access_file import AccessFileError, AccessSnapshot, read_access_file
from service.adapters.issuer_links import IssuerLinks
from service.core.errors import IssuerAwayError, UnauthenticatedError
from service.core.secret import Secret
from tests.support.cluster import JWKS_PATH, REVIEW_PATH, Cluster, running_cluster

OWN_TOKEN = "the broker's own token"


class Fleet:
    """A cluster, an access file that trusts it, and workloads in it."""

    def __init__(self, folder: Path, cluster: Cluster) -> None:
        self.folder = folder
        self.cluster = cluster
        self.own_token = folder / "own-token"
        self.own_token.write_text(OWN_TOKEN, "utf-8")
        self.links = IssuerLinks()

    def access(self, **issuer: Any) -> AccessSnapshot:
        """Return the snapshot of an access file with the cluster as its issuer."""
        server = {
            "url": self.cluster.url,
            "ca_file": self.cluster.ca_file,
            "token_file": str(self.own_token),
        }
        entry = {
            "name": "k8s",
            "type": "kubernetes",
            "issuer": self.cluster.issuer.url,
            "audience": "b2b-broker",
            "jwks": {"url": self.cluster.url + JWKS_PATH},
            "api_server": server,
            **issuer,
        }
        path = self.folder / "fleet.yaml"
        path.write_text(yaml.safe_dump({"version": 1, "issuers": [entry], "grants": []}), "utf-8")
        return read_access_file(str(path), lambda: datetime.now(UTC), self.links)

    def token(self) -> Secret:
        """Return the token of a workload."""
        identities = Identities()
        identities.cluster = self.cluster.issuer
        return Secret(identities.workload("commerce", "order-sync"))

    def asked(self, path: str) -> int:
        """Return how often the API server was asked for a path."""
        return self.cluster.asked.count(path)


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    """A running fake API server and an access file for it."""
    with running_cluster(tmp_path, OWN_TOKEN) as cluster:
        yield Fleet(tmp_path, cluster)


def test_a_service_account_is_verified_offline_with_keys_that_are_fetched_once(
    fleet: Fleet,
) -> None:
    """Own certificate authority, own token; a second token needs no second fetch, nor does a reload of the file."""
    access = fleet.access()

    identities = {access.by_token(fleet.token()).identity for _ in range(5)}
    fleet.access().by_token(fleet.token())

    assert identities == {"k8s:commerce/order-sync"}
    assert (fleet.asked(JWKS_PATH), fleet.asked(REVIEW_PATH)) == (1, 0)


def test_a_deleted_workload_is_refused_where_the_cluster_is_asked(fleet: Fleet) -> None:
    """Its token still verifies offline."""
    token = fleet.token()
    fleet.cluster.deleted.add(token.reveal())

    assert fleet.access().by_token(token).identity == "k8s:commerce/order-sync"
    with pytest.raises(UnauthenticatedError) as refused:
        fleet.access(token_review=True).by_token(token)

    assert refused.value.reason == "token_review_negative"


def test_a_good_token_is_reviewed_once_in_a_while(fleet: Fleet) -> None:
    """Ten seconds long the answer holds, in which thousands of requests may come."""
    access, token = fleet.access(token_review=True), fleet.token()

    for _ in range(20):
        access.by_token(token)

    assert fleet.asked(REVIEW_PATH) == 1


@pytest.mark.parametrize("token_review", [True, False])
def test_a_cluster_that_refuses_us_is_not_the_callers_fault(
    fleet: Fleet, *, token_review: bool
) -> None:
    """The broker's own token is wrong: 503 and not 401, for keys and for reviews."""
    access, token = fleet.access(token_review=token_review), fleet.token()
    if token_review:
        access.by_token(token)  # the keys are here; what is refused next is the review
        token = fleet.token()
    fleet.own_token.write_text("another", "utf-8")

    with pytest.raises(IssuerAwayError):
        access.by_token(token)


def test_the_broker_reads_its_own_token_for_every_request(fleet: Fleet) -> None:
    """The kubelet replaces it while the broker runs; one that cannot be read is the broker's fault."""
    access = fleet.access(token_review=True)
    fleet.own_token.unlink()
    with pytest.raises(IssuerAwayError):
        access.by_token(fleet.token())
    problem = fleet.links.problems()
    fleet.own_token.write_text(OWN_TOKEN, "utf-8")
    fleet.links = IssuerLinks()

    fleet.access(token_review=True).by_token(fleet.token())

    assert problem == "own_token_unreadable"


def test_another_certificate_authority_is_not_trusted(fleet: Fleet, tmp_path: Path) -> None:
    """Whoever answers in the API server's place gives no keys."""
    (tmp_path / "other").mkdir()
    with running_cluster(tmp_path / "other", OWN_TOKEN) as other:
        server = {
            "url": fleet.cluster.url,
            "ca_file": other.ca_file,
            "token_file": str(fleet.own_token),
        }

        with pytest.raises(IssuerAwayError):
            fleet.access(api_server=server).by_token(fleet.token())


@pytest.mark.parametrize(
    "jwks",
    [
        {"url": "http://localhost/keys"},
        {"url": "https://localhost/keys", "file": "/x"},
        {},
        {"file": "/x", "ca_file": "/y"},
        {"url": "https://user:pw@localhost/keys"},
        {"url": "file:///etc/passwd"},
    ],
)
def test_keys_come_from_one_place_over_https(fleet: Fleet, jwks: dict[str, str]) -> None:
    """What an access file may not name as the place of an issuer's keys."""
    with pytest.raises(AccessFileError, match="jwks"):
        fleet.access(jwks=jwks)
