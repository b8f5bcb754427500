"""Workload tokens at their edges: each limit just met and just missed, and the check that refuses what misses it."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from service.adapters.jwk_sets import parse_jwk_set
from service.adapters.workload_tokens import TokenIssuer, WorkloadTokens
from service.core.caller import Caller
from service.core.errors import UnauthenticatedError
from service.core.secret import Secret
from tests.adapters.tokens import (
    AUDIENCE,
    COMPANY,
    ED_KEY,
    ISSUERS,
    RSA_KEY,
    Forge,
    claims,
    jwk_set,
    pod,
    public_jwk,
    token,
)
from tests.support.clock import ManualClock
from tests.support.svids import DOMAIN, IDENTITY

Make = Callable[[int], str]
CALLER = Caller("corp:x", "corp", "workload_token")
GOOD = token()
HEADER, PAYLOAD, SIGNATURE = GOOD.split(".")


def _now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
def tokens() -> WorkloadTokens:
    """A verifier of the company's, the cluster's and the mesh's tokens."""
    return WorkloadTokens(ISSUERS, _now)


def _of(payload: dict[str, Any], **members: Any) -> str:
    return token("EdDSA", payload, **members)


def _workload(**changes: Any) -> str:
    honest = {"iss": None, "sub": f"spiffe://{DOMAIN}/x"}
    return _of(claims(**(honest | changes)))


def _claiming(**changes: Any) -> Make:
    return lambda _: _of(claims(**changes))


def _named_by(issuer: Any) -> Make:
    return lambda _: _workload(iss=issuer)


def _running(namespace: str, name: str) -> Make:
    return lambda _: _of(pod(namespace, name))


# what → the token, at a time
HELD: dict[str, Make] = {
    "issued as late as the leeway allows": lambda now: _of(claims(iat=now + 10)),
    "good as late as the leeway allows": lambda now: _of(claims(nbf=now + 10)),
    "good since the beginning of time": _claiming(nbf=0),
    "a subject of one sign": _claiming(sub="s"),
    "a subject of all signs": _claiming(sub="amzAMZ059._@:/+=|-"),
    "a namespace of one sign": _running("a", "0"),
    "the longest names": _running("a" * 253, "z" + "-." * 125 + "90"),
    "names of two signs": _running("ab", "x1"),
    "names of all signs": _running("m0123456789-azm", "1.m-8"),
    "the type of an access token": lambda _: _of(claims(), typ="at+jwt"),
    "a workload's type": lambda _: _of(claims(iss=None, sub=IDENTITY), typ="JOSE"),
    "a workload that names an issuer": lambda _: _workload(iss="https://spire.example"),
}


@pytest.mark.parametrize("what", HELD)
def test_what_is_just_within_a_limit_holds(tokens: WorkloadTokens, what: str) -> None:
    """Strict is not the same as picky."""
    assert tokens.verify(Secret(HELD[what](int(time.time())))).proof == "workload_token"


def test_a_pods_caller_knows_its_names(tokens: WorkloadTokens) -> None:
    """By which the cluster is asked whether it still runs."""
    assert tokens.verify(Secret(_of(pod("a", "b")))).names == ("a", "b")


NO_TEXTS: tuple[Any, ...] = ([], {}, 0, False, [COMPANY])
NO_LABELS = ("", "-a", "a-", ".a", "a.", "A", "aA", "a_b", "a/b", "a:b", "a" * 254, "a\n", "\u00e4")
# what → the token, at a time, and the check that refuses it
REFUSED: dict[str, tuple[Make, str]] = {
    # 1, 2: form
    "two parts": (lambda _: f"{HEADER}.{PAYLOAD}", "malformed"),
    "too long": (lambda _: "a." * 2 + "a" * 8_189, "malformed"),
    "a length that no base64 has": (lambda _: f"{HEADER}.{PAYLOAD}.a", "malformed"),
    "unused bits": (lambda _: f"{HEADER}.{PAYLOAD}.ab", "malformed"),
    "no JSON": (lambda _: Forge().sign(b"{", claims()), "malformed"),
    "no JSON in the middle": (lambda _: Forge().sign({"alg": "RS256"}, b"{"), "malformed"),
    "no object": (lambda _: Forge().sign(b"[]", claims()), "malformed"),
    "a header nobody knows": (lambda _: token(x="y"), "header"),
    "a workload's type on a company's": (lambda _: token(typ="JOSE"), "header"),
    "a company's type on a workload's": (
        lambda _: _of(claims(iss=None, sub=IDENTITY), typ="at+jwt"),
        "header",
    ),
    # 3: the issuer
    "nobody's": (_claiming(iss="https://x"), "issuer_unknown"),
    "no issuer and no subject": (lambda _: _workload(sub=None), "issuer_unknown"),
    "the trust domain as issuer": (_claiming(iss=DOMAIN), "issuer_unknown"),
    "a subject as issuer": (
        _claiming(iss=None, sub=COMPANY),
        "issuer_unknown",
    ),
    **{f"an issuer that is {form!r}": (_named_by(form), "issuer_unknown") for form in NO_TEXTS},
    # 4: key and algorithm
    "no such key": (lambda _: token(kid="x"), "key_unknown"),
    "a key by number": (lambda _: token(kid=0), "key_unknown"),
    "a key by nothing": (lambda _: token(kid=""), "key_unknown"),
    "another key's algorithm": (lambda _: token(alg="ES256"), "algorithm"),
    "no algorithm": (lambda _: token(alg=None), "algorithm"),
    # 5: signature and times
    "another signature": (lambda _: f"{HEADER}.{PAYLOAD}.{'AAAA' * 64}", "InvalidSignatureError"),
    "expired": (lambda now: _of(claims(iat=now - 60, exp=now - 11)), "ExpiredSignatureError"),
    **{
        f"without {name}": (_claiming(**{name: None}), "MissingRequiredClaimError")
        for name in ("exp", "iat", "aud", "sub")
    },
    "a workload's without aud": (lambda _: _workload(aud=None), "MissingRequiredClaimError"),
    "a workload's without exp": (lambda _: _workload(exp=None), "MissingRequiredClaimError"),
    "good before the beginning of time": (_claiming(nbf=-1), "times"),
    "issued before the beginning of time": (_claiming(iat=-1), "times"),
    "the last moment of this age": (_claiming(exp=10**11 - 1), "too_long_lived"),
    "the first moment of another age": (_claiming(exp=10**11), "times"),
    "a moment that is true": (_claiming(nbf=True), "times"),
    # 6, 7: audience and life
    "ours and another": (_claiming(aud=[AUDIENCE, "x"]), "audience"),
    "ours twice": (_claiming(aud=[AUDIENCE, AUDIENCE]), "audience"),
    "a second more than a day": (
        lambda now: _of(claims(iat=now, exp=now + 86_401)),
        "too_long_lived",
    ),
    # 8: the identity
    "no subject": (_claiming(sub=""), "subject"),
    "a subject that is too long": (_claiming(sub="s" * 201), "subject"),
    **{
        f"a subject with {sign!r}": (_claiming(sub=f"a{sign}b"), "subject")
        for sign in "*,; \t\n\\\"'~%?#<>[]{}\0\u00e4\u0661"
    },
    **{f"a namespace {n!r}"[:30]: (_running(n, "x"), "kubernetes_claims") for n in NO_LABELS},
    **{f"an account {n!r}"[:30]: (_running("x", n), "kubernetes_claims") for n in NO_LABELS},
    "another subject": (lambda _: _of(pod(sub="system:serviceaccount:a:b")), "kubernetes_claims"),
    "no claims of the cluster": (lambda _: _of(pod(bound=[])), "kubernetes_claims"),
    "no account": (lambda _: _of(pod(bound={"namespace": "commerce"})), "kubernetes_claims"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_just_misses_a_limit_is_refused_by_the_check_for_it(
    tokens: WorkloadTokens, what: str
) -> None:
    """One sentence for the caller, and one word for the audit trail."""
    make, reason = REFUSED[what]

    with pytest.raises(UnauthenticatedError) as refused:
        tokens.verify(Secret(make(int(time.time()))))

    assert refused.value.detail == "The proof of identity does not hold."
    assert refused.value.reason == f"token_{reason}"
    # What is beneath may quote the token.
    assert refused.value.__cause__ is None
    assert refused.value.__suppress_context__ or refused.value.__context__ is None


def test_every_sign_of_base64url_may_stand_in_every_part() -> None:
    """Among them those that differ from plain base64."""
    # "?" and ">" at every third place become "_" and "-".
    signs = "???>>>???~~~000999AZaz"
    keys = parse_jwk_set(jwk_set(public_jwk(signs, RSA_KEY)))
    one = WorkloadTokens([TokenIssuer("corp", "oidc", COMPANY, AUDIENCE, keys)], _now)

    texts = [token(kid=signs, payload=claims(jti=f"{signs}{number}")) for number in range(30)]

    used = [set("".join(part)) for part in zip(*(text.split(".") for text in texts), strict=True)]
    assert all(set("_-") <= part for part in used)
    assert {one.verify(Secret(text)).identity for text in texts} == {"corp:ops-anna"}


def test_a_proof_ends_with_the_last_whole_second_of_its_token(tokens: WorkloadTokens) -> None:
    """PyJWT, too, cuts off the rest."""
    now = int(time.time())

    caller = tokens.verify(Secret(_of(claims(iat=now + 0.25, exp=now + 600.75))))

    assert caller.expires_at == datetime.fromtimestamp(now + 600, UTC)


def test_a_token_is_not_remembered_at_its_very_end() -> None:
    """The second in which it ends is not one in which it holds."""
    clock = ManualClock(_now())
    tokens = WorkloadTokens(ISSUERS, clock)
    text = Secret(token())
    first = tokens.verify(text)
    assert first.expires_at is not None

    clock.now = first.expires_at
    again = tokens.verify(text)

    assert again == first
    assert again is not first


def test_ten_thousand_tokens_are_remembered(tokens: WorkloadTokens) -> None:
    """A large installation has fewer callers than that; whoever has more does not fill the memory."""
    tokens._seen.update({str(number).encode(): CALLER for number in range(9_999)})
    first = next(iter(tokens._seen))

    tokens.verify(Secret(_of(claims(sub="x"))))
    full = (len(tokens._seen), first in tokens._seen)
    tokens.verify(Secret(_of(claims())))

    assert full == (10_000, True)
    assert (len(tokens._seen), first in tokens._seen) == (10_000, False)


def test_a_key_of_a_kind_that_an_algorithm_is_not_for_verifies_nothing() -> None:
    """Also where the company's only key stands under no name."""
    keys = parse_jwk_set(jwk_set(public_jwk("", ec.generate_private_key(ec.SECP256R1()))))
    one = WorkloadTokens([TokenIssuer("corp", "oidc", COMPANY, AUDIENCE, keys)], _now)

    with pytest.raises(UnauthenticatedError) as refused:
        one.verify(Secret(Forge("EdDSA", ED_KEY).sign({"alg": "EdDSA"}, claims())))

    assert refused.value.reason == "token_algorithm"
