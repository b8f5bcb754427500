"""JWT-SVIDs: workload tokens of a SPIFFE trust domain, which need neither an issuer nor a time of issue."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from service.adapters.jwk_sets import JwkSetError, parse_jwk_set, parse_spiffe_bundle
from service.adapters.workload_tokens import TokenIssuer, WorkloadTokens
from service.core.caller import Caller
from service.core.errors import UnauthenticatedError
from service.core.secret import Secret
from tests.adapters.forging import CLUSTER_SET, COMPANY_SET, outcome
from tests.adapters.svid_tokens import (
    MESH_KEY,
    MESH_SET,
    NEXT_KEY,
    OTHER_KEY,
    ROOT,
    bundle,
    forged_svids,
    honest_svids,
    signing,
    svid,
)
from tests.adapters.tokens import (
    AUDIENCE,
    CLUSTER,
    COMPANY,
    EC_KEY,
    Forge,
    claims,
    jwk_set,
    public_jwk,
    token,
)
from tests.support.clock import ManualClock
from tests.support.svids import DOMAIN, IDENTITY

ELSEWHERE = "spiffe://other.example/x"
ISSUERS = (
    TokenIssuer("corp", "oidc", COMPANY, AUDIENCE, parse_jwk_set(COMPANY_SET)),
    TokenIssuer("k8s", "kubernetes", CLUSTER, AUDIENCE, parse_jwk_set(CLUSTER_SET)),
    TokenIssuer("mesh", "spiffe", DOMAIN, AUDIENCE, parse_spiffe_bundle(MESH_SET)),
    TokenIssuer(
        "other",
        "spiffe",
        "other.example",
        "other-audience",
        parse_spiffe_bundle(bundle(signing("other", OTHER_KEY))),
    ),
)


def _now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
def tokens() -> WorkloadTokens:
    """A verifier that knows a company, a cluster and two trust domains."""
    return WorkloadTokens(ISSUERS, _now)


def test_a_jwt_svid_proves_its_subject(tokens: WorkloadTokens) -> None:
    """The identity is the SPIFFE id as it is, and the proof ends with the token."""
    end = int(time.time()) + 300

    caller = tokens.verify(Secret(svid(exp=end)))

    ends = datetime.fromtimestamp(end, UTC)
    assert caller == Caller(IDENTITY, "mesh", "workload_token", ends, (IDENTITY,))


# what → header and claims, with times relative to now
TOLERATED: dict[str, Callable[[int], tuple[dict[str, Any], dict[str, Any]]]] = {
    "neither issuer nor time of issue": lambda _: ({}, {"iat": None}),
    "an unknown issuer": lambda _: ({}, {"iss": "https://spire.prod.example"}),
    "the trust domain as issuer": lambda _: ({}, {"iss": f"spiffe://{DOMAIN}"}),
    "an empty issuer": lambda _: ({}, {"iss": ""}),
    "type JOSE": lambda _: ({"typ": "JOSE"}, {}),
    "no type": lambda _: ({"typ": None}, {}),
    "an audience that is no list": lambda _: ({}, {"aud": AUDIENCE}),
    "an audience in a list": lambda _: ({}, {"aud": [AUDIENCE]}),
    "a full day without a time of issue": lambda now: ({}, {"iat": None, "exp": now + 86_390}),
    "a full day": lambda now: ({}, {"iat": now - 10, "exp": now - 10 + 86_400}),
    "expired within the leeway": lambda now: ({}, {"iat": None, "exp": now - 2}),
    "an id of its own": lambda now: ({}, {"jti": "1f2a", "nbf": now - 5}),
    "another path": lambda _: ({}, {"sub": f"spiffe://{DOMAIN}/spire/agent/x509pop/0123"}),
}


@pytest.mark.parametrize("what", TOLERATED)
def test_what_spire_sends_is_accepted(tokens: WorkloadTokens, what: str) -> None:
    """The standard asks for subject, audience and end only (JWT-SVID §3)."""
    header, changes = TOLERATED[what](int(time.time()))

    caller = tokens.verify(Secret(svid(header, **changes)))

    assert (caller.identity, caller.issuer) == (changes.get("sub", IDENTITY), "mesh")


def test_each_trust_domain_has_its_own_keys_and_audience(tokens: WorkloadTokens) -> None:
    """What one domain signs says nothing of the other's workloads, nor to the other's audience."""
    right = svid({"kid": "other"}, OTHER_KEY, sub=ELSEWHERE, aud="other-audience")
    wrong = {
        "our key for their workload": svid(sub=ELSEWHERE, aud="other-audience"),
        "our key under their kid": svid({"kid": "other"}, sub=ELSEWHERE, aud="other-audience"),
        "their key for ours": svid({"kid": "other"}, OTHER_KEY),
        "their key under our kid": svid({}, OTHER_KEY),
        "our audience": svid({"kid": "other"}, OTHER_KEY, sub=ELSEWHERE),
        "their audience": svid(aud="other-audience"),
    }

    outcomes = {what: outcome(tokens.verify, text) for what, text in wrong.items()}

    assert tokens.verify(Secret(right)).identity == ELSEWHERE
    assert set(outcomes.values()) == {"UnauthenticatedError"}


def test_an_issuer_that_is_named_wins_and_its_rules_hold(tokens: WorkloadTokens) -> None:
    """A token of the company stays one, whatever its subject looks like: it can never become a workload of the mesh."""
    named = Forge("ES256", EC_KEY).sign({"alg": "ES256", "kid": "ec"}, claims(sub=IDENTITY))
    no_issue = Forge("ES256", EC_KEY).sign(
        {"alg": "ES256", "kid": "ec"}, claims(sub=IDENTITY, iat=None)
    )
    as_jose = token("ES256", claims(sub=IDENTITY), typ="JOSE")

    caller = tokens.verify(Secret(named))

    assert (caller.identity, caller.issuer) == (f"corp:{IDENTITY}", "corp")
    for text in (no_issue, as_jose, svid(iss=COMPANY)):
        with pytest.raises(UnauthenticatedError):
            tokens.verify(Secret(text))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (lambda _: svid(sub="spiffe://unknown.example/x"), "issuer_unknown"),
        (lambda _: svid(sub=f"spiffe://{DOMAIN}"), "issuer_unknown"),
        (lambda _: svid({"typ": "at+jwt"}), "header"),
        (lambda _: svid({"jku": "https://evil.example"}), "header"),
        (lambda _: svid({"kid": "ec"}, EC_KEY), "key_unknown"),
        (lambda _: svid({}, OTHER_KEY), "InvalidSignatureError"),
        (lambda _: svid(aud=["other", AUDIENCE]), "audience"),
        (lambda _: svid(aud=None), "MissingRequiredClaimError"),
        (lambda _: svid(exp=None), "MissingRequiredClaimError"),
        (lambda now: svid(iat=None, exp=now + 86_400 + 60), "too_long_lived"),
        (lambda now: svid(iat=now - 10, exp=now - 10 + 86_401), "too_long_lived"),
        (lambda now: svid(iat=now + 60), "ImmatureSignatureError"),
    ],
)
def test_the_audit_trail_knows_why(
    tokens: WorkloadTokens, text: Callable[[int], str], reason: str
) -> None:
    """Each check refuses what it is for, and nothing else has to."""
    with pytest.raises(UnauthenticatedError) as refused:
        tokens.verify(Secret(text(int(time.time()))))

    assert refused.value.reason == f"token_{reason}"
    assert refused.value.detail == "The proof of identity does not hold."


def test_no_forged_jwt_svid_is_accepted(tokens: WorkloadTokens) -> None:
    """Another domain's, another audience's, too long-lived, by another key, with a header that names one."""
    outcomes = {what: outcome(tokens.verify, text) for what, text in forged_svids().items()}
    honest = {outcome(tokens.verify, text) for text in honest_svids().values()}

    assert {what: how for what, how in outcomes.items() if how != "UnauthenticatedError"} == {}
    assert len(outcomes) >= 100
    assert honest == {"accepted"}


def test_a_jwt_svid_without_a_time_of_issue_is_not_remembered_beyond_its_end() -> None:
    """At the end of its life it is checked again, by the real time."""
    clock = ManualClock(_now())
    tokens = WorkloadTokens(ISSUERS, clock)
    text = Secret(svid(iat=None, exp=int(time.time()) + 20))
    first = tokens.verify(text)
    remembered = tokens.verify(text)
    clock.move(timedelta(minutes=1))

    again = tokens.verify(text)

    assert remembered is first
    assert again == first
    assert again is not first


def test_a_bundle_gives_the_keys_of_tokens_and_leaves_certificates_alone() -> None:
    """``use`` tells them apart; an authority's certificate key signs no tokens (SPIFFE Bundle §4)."""
    found = parse_spiffe_bundle(MESH_SET)

    assert set(found.keys) == {"mesh", "next"}


def test_a_bundle_may_hold_authorities_that_we_could_not_read() -> None:
    """Their keys are of kinds that no token here is signed with, and are of no concern."""
    odd = {"use": "x509-svid", "kty": "EC", "crv": "P-521", "x": "!", "y": "!", "x5c": ["!"]}

    found = parse_spiffe_bundle(jwk_set(odd, odd, signing("mesh", MESH_KEY)))

    assert set(found.keys) == {"mesh"}


def test_a_plain_jwk_set_serves_as_a_bundle() -> None:
    """As the discovery endpoint of a SPIRE server publishes it."""
    plain = parse_spiffe_bundle(
        jwk_set(signing("mesh", MESH_KEY, "sig"), signing("next", NEXT_KEY, None))
    )

    assert set(plain.keys) == {"mesh", "next"}


REFUSED_BUNDLES = {
    "not JSON": b"{",
    "no keys": b'{"spiffe_sequence": 1}',
    "an empty list": b'{"keys": []}',
    "another use": bundle(signing("mesh", MESH_KEY, "enc")),
    "a use that is a list": bundle(signing("mesh", MESH_KEY) | {"use": ["jwt-svid"]}),
    "a use in upper case": bundle(signing("mesh", MESH_KEY, "JWT-SVID")),
    "the same kid twice": bundle(signing("mesh", MESH_KEY), signing("mesh", NEXT_KEY)),
    "a symmetric key": bundle({"kty": "oct", "k": "AAAA", "kid": "s", "use": "jwt-svid"}),
    "a key that is none": bundle({"use": "jwt-svid", "kid": "x"}),
    "keys no objects": b'{"keys": ["jwt-svid"]}',
    "too many": bundle(*(signing(str(number), MESH_KEY) for number in range(64))),
}


@pytest.mark.parametrize("what", REFUSED_BUNDLES)
def test_a_bundle_that_breaks_a_rule_is_refused_whole(what: str) -> None:
    """One bad key spoils it, so that nobody believes it is in force."""
    with pytest.raises(JwkSetError):
        parse_spiffe_bundle(REFUSED_BUNDLES[what])


def test_uses_of_spiffe_mean_nothing_elsewhere() -> None:
    """A company's set with such a key is not what its operator thinks."""
    for use in ("jwt-svid", "x509-svid"):
        with pytest.raises(JwkSetError):
            parse_jwk_set(jwk_set(public_jwk("x", MESH_KEY) | {"use": use}))


def test_the_authoritys_own_key_signs_no_token() -> None:
    """Even if it is the only key of the bundle beside one that signs tokens, and the token names none."""
    one = parse_spiffe_bundle(bundle(signing("mesh", MESH_KEY)))
    tokens = WorkloadTokens([TokenIssuer("mesh", "spiffe", DOMAIN, AUDIENCE, one)], _now)

    assert tokens.verify(Secret(svid({"kid": None}))).identity == IDENTITY
    with pytest.raises(UnauthenticatedError):
        tokens.verify(Secret(svid({"kid": None}, ROOT.key)))
