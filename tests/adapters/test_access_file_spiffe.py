"""``type: spiffe`` in the access file: by certificate, by token, or both."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from service.adapters.access_file import read_access_file
from service.core.caller import Caller
from service.core.errors import UnauthenticatedError
from service.core.secret import Secret
from tests.adapters.meshed_files import (
    BY_CERTIFICATE,
    BY_TOKEN,
    LEAF,
    NOW,
    OTHER,
    Files,
    same_time,
)
from tests.adapters.svid_tokens import svid
from tests.adapters.tokens import claims, pod, token
from tests.support.svids import IDENTITY, Shape, make

# DESIGN §8, word for word; the files are of this test, and the cluster's keys come from one.
EXAMPLE = """\
version: 1
issuers:                         # how callers prove who they are
  - name: k8s                    # gives identities k8s:<namespace>/<serviceaccount>
    type: kubernetes
    issuer: https://kubernetes.default.svc.cluster.local
    audience: b2b-broker
    jwks: {file: /etc/broker/corp-jwks.json}
    token_review: false          # true: also ask the API server, so that deleted pods' tokens stop at once
  - name: corp                   # gives corp:<sub>
    type: oidc
    issuer: https://idp.example
    audience: b2b-broker
    jwks: {file: /etc/broker/corp-jwks.json}
  - name: mesh                   # gives spiffe://… ids, from a client certificate or a JWT-SVID
    type: spiffe
    trust_domain: prod.example
    bundle: {file: /etc/broker/bundle.pem}
  - name: key                    # gives key:<name>; for development and machines without an identity provider
    type: api_key
    keys: [{name: ci, sha256: "<sha256>"}]
grants:                          # deny by default; a request needs one grant that allows all of it
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
  - {caller: "k8s:commerce/order-sync", action: reference.mint, store: abc123,
     with: {access: proxy, audience: "k8s:commerce/order-worker", ttl: 5m}, expect: allow}
  - {caller: "k8s:commerce/order-sync", action: reference.mint, store: abc123, with: {access: redeem}, expect: deny}
"""


@pytest.fixture
def files(tmp_path: Path) -> Files:
    """The files, with one authority."""
    return Files(tmp_path)


def _proves(files: Files, *proofs: str) -> list[str]:
    """Return what a trust domain with these entries proves: certificate, token, and a proxy's word."""
    snapshot = read_access_file(files.write(files.issuers(*proofs)), same_time)
    asked: dict[str, Callable[[], Caller]] = {
        "certificate": lambda: snapshot.by_certificate([LEAF.der]),
        "token": lambda: snapshot.by_token(Secret(svid())),
        "forwarded": lambda: snapshot.vouched(IDENTITY),
    }
    held = []
    for what, ask in asked.items():
        try:
            assert (ask().identity, ask().issuer) == (IDENTITY, "mesh")
        except UnauthenticatedError:
            continue
        held.append(what)
    return held


@pytest.mark.parametrize(
    ("proofs", "held"),
    [
        ((BY_CERTIFICATE,), ["certificate", "forwarded"]),
        ((BY_TOKEN,), ["token"]),
        ((BY_CERTIFICATE, BY_TOKEN), ["certificate", "token", "forwarded"]),
    ],
    ids=["bundle only", "jwks only", "both"],
)
def test_a_trust_domain_proves_what_its_entry_names(
    files: Files, proofs: tuple[str, ...], held: list[str]
) -> None:
    """Whoever names keys for tokens only has said nothing of certificates, and the other way round."""
    assert _proves(files, *proofs) == held


def test_the_example_of_the_design_loads_word_for_word(files: Files) -> None:
    """All four kinds of issuer, and each proves somebody."""
    key = "canary-api-key-0123456789"
    text = EXAMPLE.replace("<sha256>", hashlib.sha256(key.encode()).hexdigest())
    files.path.write_text(text.replace("/etc/broker", str(files.folder)), "utf-8")

    snapshot = read_access_file(str(files.path), same_time)

    callers: list[Caller] = [
        snapshot.by_token(Secret(token("ES256", pod()))),
        snapshot.by_token(Secret(token("ES256", claims()))),
        snapshot.by_certificate([LEAF.der]),
        snapshot.by_key(Secret(key)),
    ]
    identities = [caller.identity for caller in callers]
    assert identities == ["k8s:commerce/order-sync", "corp:ops-anna", IDENTITY, "key:ci"]


@pytest.mark.parametrize(
    ("proofs", "says"),
    [
        ((), "issuers.0.spiffe: spiffe has a bundle"),
        (("jwks: {{file: {folder}/bundle.json}}",), "jwks and audience go together"),
        (("audience: b2b-broker",), "jwks and audience go together"),
        ((BY_CERTIFICATE, "audience: b2b-broker"), "jwks and audience go together"),
        (
            ("audience: ''\n    jwks: {{file: {folder}/bundle.json}}",),
            "issuers.0.spiffe.audience: ",
        ),
        (
            ("audience: a\n    jwks: {{}}",),
            "issuers.0.spiffe.jwks: jwks has a file or",
        ),
        (("audience: a\n    jwks: {{url: 'http://x'}}",), "issuers.0.spiffe.jwks.url: "),
        (("bundle: {folder}/bundle.pem",), "issuers.0.spiffe.bundle: "),
        (("bundle: {{url: 'https://x'}}",), "issuers.0.spiffe.bundle."),
        ((BY_CERTIFICATE, "issuer: https://x"), "issuers.0.spiffe.issuer: "),
        ((BY_CERTIFICATE, "token_review: true"), "issuers.0.spiffe.token_review: "),
        (("bundle: {{file: {folder}/nothing.pem}}",), "nothing.pem cannot be read"),
        (("bundle: {{file: {folder}}}",), "cannot be read"),
        (
            ("bundle: {{file: {folder}/bundle.json}}",),
            "issuers: 'mesh': a trust bundle is one or more certificates in PEM",
        ),
        (
            ("audience: a\n    jwks: {{file: {folder}/bundle.pem}}",),
            "issuers: 'mesh': a JWK set is strict JSON",
        ),
        (("audience: a\n    jwks: {{file: {folder}/nothing.json}}",), "cannot be read"),
    ],
)
def test_an_entry_that_says_too_little_or_too_much_is_refused(
    files: Files, proofs: tuple[str, ...], says: str
) -> None:
    """With its place and the rule."""
    assert says in files.refusal(files.issuers(*proofs))


@pytest.mark.parametrize(
    "domain",
    ["Prod.example", "spiffe://prod.example", "prod.example/x", "prod.example:443", "'*'", "''"],
)
def test_a_trust_domain_is_a_name_and_no_more(files: Files, domain: str) -> None:
    """No scheme, no path, no port and no wildcard."""
    refusal = files.refusal(files.issuers(BY_CERTIFICATE, domain=domain))

    assert refusal.startswith("issuers.0.spiffe.trust_domain: ")


def test_a_trust_domain_stands_once(files: Files) -> None:
    """Two bundles for one name would make it a guess whom to trust."""
    both = files.issuers(BY_CERTIFICATE), files.issuers(BY_TOKEN, name="mesh2")

    assert files.refusal(*both) == "trust domains are unique"


KINDS = {
    "kubernetes": "issuer: https://x, audience: a, jwks: {{file: {folder}/corp-jwks.json}}",
    "oidc": "issuer: https://x, audience: a, jwks: {{file: {folder}/corp-jwks.json}}",
    "api_key": "keys: []",
    "spiffe": "trust_domain: other.example, bundle: {{file: {folder}/bundle.pem}}",
}


@pytest.mark.parametrize("kind", KINDS)
def test_no_issuer_is_called_spiffe(files: Files, kind: str) -> None:
    """Its identities would begin like those of trust domains: ``spiffe:`` and whatever its tokens say."""
    members = KINDS[kind].format(folder=files.folder)

    refusal = files.refusal(f"  - {{name: spiffe, type: {kind}, {members}}}\n")

    assert refusal.startswith(f"issuers.0.{kind}.name: ")
    assert files.write(f"  - {{name: spiffy, type: {kind}, {members}}}\n")
    assert read_access_file(str(files.path), same_time).policy.grants


def test_two_trust_domains_stand_beside_each_other(files: Files) -> None:
    """Each has its own authorities: one cannot sign for the other, although both are known."""
    files.named("other.pem").write_bytes(OTHER.pem)
    other = files.issuers(
        "bundle: {{file: {folder}/other.pem}}", name="partner", domain="other.example"
    )
    snapshot = read_access_file(files.write(files.issuers(BY_CERTIFICATE), other), same_time)

    with pytest.raises(UnauthenticatedError) as refused:
        snapshot.by_certificate([make(Shape(), OTHER, NOW).der])
    assert refused.value.reason == "certificate_chain"
    assert snapshot.by_certificate([LEAF.der]).issuer == "mesh"
