"""``access.yaml`` that is good: DESIGN §8's example, and what its parts mean."""

import hashlib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from service.adapters.access_file import AccessSnapshot, read_access_file
from service.core.errors import UnauthenticatedError
from service.core.policy import Limits, MintAsk
from service.core.secret import Secret
from tests.adapters.tokens import EC_KEY, claims, jwk_set, pod, public_jwk, token

KEY = "canary-api-key-0123456789"
EXAMPLE = """\
version: 1
issuers:
  - name: k8s
    type: kubernetes
    issuer: https://kubernetes.default.svc.cluster.local
    audience: b2b-broker
    jwks: {{file: {jwks}}}
    token_review: false
  - name: corp
    type: oidc
    issuer: https://idp.example
    audience: b2b-broker
    jwks: {{file: {jwks}}}
  - name: key
    type: api_key
    keys: [{{name: ci, sha256: "{digest}"}}]
grants:
  - name: order-sync mints for the order worker
    callers: ["k8s:commerce/order-sync"]
    stores: ["*"]
    actions: [reference.mint]
    limits:
      access: [proxy]
      audiences: ["k8s:commerce/order-worker"]
      max_ttl: 15m
      max_uses: 100
      requests: ["GET /api/v3/io/companies/**", "GET /api/v3/io/orders/**"]
  - name: platform operators
    callers: ["corp:ops-*"]
    stores: ["*"]
    actions: ["store.*", "reference.revoke", "reference.read", "policy.read"]
tests:
  - {{caller: "k8s:commerce/order-sync", action: reference.mint, store: abc123,
     with: {{access: proxy, audience: "k8s:commerce/order-worker", ttl: 5m}}, expect: allow}}
  - {{caller: "k8s:commerce/order-sync", action: reference.mint, store: abc123, with: {{access: redeem}}, expect: deny}}
"""


def _now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """DESIGN §8's example, with key sets from files and without SPIFFE."""
    jwks = tmp_path / "jwks.json"
    jwks.write_bytes(jwk_set(public_jwk("ec", EC_KEY)))
    digest = hashlib.sha256(KEY.encode()).hexdigest()
    path = tmp_path / "access.yaml"
    path.write_text(EXAMPLE.format(jwks=jwks, digest=digest), "utf-8")
    return path


@pytest.fixture
def snapshot(path: Path) -> AccessSnapshot:
    """What was read."""
    return read_access_file(str(path), _now)


def test_the_example_of_the_design_loads(snapshot: AccessSnapshot, path: Path) -> None:
    """Both grants, with their limits, and the digest of the file."""
    first, second = snapshot.policy.grants

    assert first.limits == Limits(
        access=("proxy",),
        audiences=("k8s:commerce/order-worker",),
        max_ttl=timedelta(minutes=15),
        max_uses=100,
        requests=("GET /api/v3/io/companies/**", "GET /api/v3/io/orders/**"),
    )
    assert second.limits == Limits()
    assert snapshot.policy.digest == hashlib.sha256(path.read_bytes()).hexdigest()


def test_its_policy_decides(snapshot: AccessSnapshot) -> None:
    """What the tests of the file promise holds for real questions."""
    ask = MintAsk(audience="k8s:commerce/order-worker", max_uses=5)
    decide = snapshot.policy.decide

    assert decide("k8s:commerce/order-sync", "reference.mint", "abc123", ask).allowed
    assert not decide("k8s:commerce/other", "reference.mint", "abc123", ask).allowed
    assert decide("corp:ops-anna", "store.write", "abc123").allowed


def test_its_issuers_prove_callers(snapshot: AccessSnapshot) -> None:
    """A pod, a person, and a machine with a key."""
    worker = snapshot.by_token(Secret(token("ES256", pod())))
    person = snapshot.by_token(Secret(token("ES256", claims())))
    machine = snapshot.by_key(Secret(KEY))

    identities = [caller.identity for caller in (worker, person, machine)]
    assert identities == ["k8s:commerce/order-sync", "corp:ops-anna", "key:ci"]


def test_whoever_is_not_in_it_proves_nothing(snapshot: AccessSnapshot) -> None:
    """Neither by token nor by key."""
    with pytest.raises(UnauthenticatedError):
        snapshot.by_token(Secret(token("ES256", claims(iss="https://other.example"))))
    with pytest.raises(UnauthenticatedError):
        snapshot.by_key(Secret("another-key-0123456789-x"))


@pytest.mark.parametrize(
    ("span", "expected"),
    [("1s", timedelta(seconds=1)), ("90m", timedelta(minutes=90)), ("24h", timedelta(days=1))],
)
def test_spans_are_numbers_with_a_unit(path: Path, span: str, expected: timedelta) -> None:
    """Seconds, minutes and hours."""
    text = path.read_text("utf-8").replace("max_ttl: 15m", f"max_ttl: {span}")
    path.write_text(text.partition("tests:")[0], "utf-8")

    assert read_access_file(str(path), _now).policy.grants[0].limits.max_ttl == expected


def test_an_empty_policy_loads_and_allows_nothing(tmp_path: Path) -> None:
    """Deny by default."""
    path = tmp_path / "empty.yaml"
    path.write_text("version: 1\nissuers: []\ngrants: []\n", "utf-8")

    assert read_access_file(str(path), _now).policy.grants == ()
