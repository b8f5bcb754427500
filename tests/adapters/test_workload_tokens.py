"""Workload tokens that hold: every algorithm, both kinds of issuer, and the memory of those that were seen."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from service.adapters import workload_tokens
from service.adapters.jwk_sets import parse_jwk_set
from service.adapters.workload_tokens import TokenIssuer, WorkloadTokens
from service.core.caller import Caller
from service.core.errors import UnauthenticatedError
from service.core.secret import Secret
from tests.adapters.tokens import (
    AUDIENCE,
    COMPANY,
    ISSUERS,
    KEYS,
    RSA_KEY,
    claims,
    jwk_set,
    pod,
    public_jwk,
    token,
)
from tests.support.clock import ManualClock


def _now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
def tokens() -> WorkloadTokens:
    """A verifier of the company's and the cluster's tokens."""
    return WorkloadTokens(ISSUERS, _now)


@pytest.mark.parametrize("algorithm", ["RS256", "PS256", "ES256", "EdDSA"])
def test_a_token_of_each_algorithm_proves_its_subject(
    tokens: WorkloadTokens, algorithm: str
) -> None:
    """The identity is the issuer's name and the subject."""
    payload = claims()

    caller = tokens.verify(Secret(token(algorithm, payload)))

    ends = datetime.fromtimestamp(payload["exp"], UTC)
    assert caller == Caller("corp:ops-anna", "corp", "workload_token", ends, ("ops-anna",))


def test_a_service_accounts_token_proves_namespace_and_name(tokens: WorkloadTokens) -> None:
    """As Kubernetes projects it into a pod."""
    caller = tokens.verify(Secret(token(payload=pod())))

    assert (caller.identity, caller.issuer) == ("k8s:commerce/order-sync", "k8s")


# what → how its claims differ, with times relative to now
TOLERATED: dict[str, Callable[[int], dict[str, Any]]] = {
    "an audience in a list": lambda _: {"aud": [AUDIENCE]},
    "expired within the leeway": lambda now: {"iat": now - 600, "exp": now - 3},
    "not before within the leeway": lambda now: {"nbf": now + 3},
    "issued within the leeway": lambda now: {"iat": now + 3},
    "a full day": lambda now: {"iat": now - 10, "exp": now - 10 + 86_400},
    "fractions of seconds": lambda now: {"iat": now + 0.5, "exp": now + 600.5},
    "claims of no interest": lambda _: {"email": "a@b.example", "roles": ["x"], "jti": "1"},
    "a subject with signs": lambda _: {"sub": "auth0|a.b_c@d:e/f+g=h-i"},
    "the longest subject": lambda _: {"sub": "s" * 200},
}


@pytest.mark.parametrize("what", TOLERATED)
def test_what_honest_issuers_send_is_accepted(tokens: WorkloadTokens, what: str) -> None:
    """Strict is not the same as picky."""
    payload = claims(**TOLERATED[what](int(time.time())))

    assert tokens.verify(Secret(token(payload=payload))).issuer == "corp"


@pytest.mark.parametrize("header", [{"typ": None}, {"typ": "at+jwt"}])
def test_usual_headers_are_accepted(tokens: WorkloadTokens, header: dict[str, Any]) -> None:
    """RFC 9068 tokens, and those without a type."""
    assert tokens.verify(Secret(token(header=header))).identity == "corp:ops-anna"


def test_a_token_that_names_no_key_gets_the_only_one_there_is() -> None:
    """With one key nothing can be confused."""
    only = parse_jwk_set(jwk_set(public_jwk("rsa", RSA_KEY)))
    one = WorkloadTokens([TokenIssuer("corp", "oidc", COMPANY, AUDIENCE, only)], _now)

    assert one.verify(Secret(token(kid=None))).identity == "corp:ops-anna"


def test_a_token_that_was_seen_gives_the_same_caller(tokens: WorkloadTokens) -> None:
    """The second time costs a digest and a look."""
    text = token("ES256")

    assert tokens.verify(Secret(text)) is tokens.verify(Secret(text))


def test_a_token_is_not_remembered_beyond_its_end() -> None:
    """At the end of its life it is checked again, by the real time, and refused."""
    clock = ManualClock(_now())
    tokens = WorkloadTokens(ISSUERS, clock)
    text = token(payload=claims(exp=int(time.time()) + 20))
    first = tokens.verify(Secret(text))
    remembered = tokens.verify(Secret(text))
    clock.move(timedelta(minutes=1))

    again = tokens.verify(Secret(text))

    assert remembered is first
    assert again == first
    assert again is not first


def test_a_refused_token_is_not_remembered(tokens: WorkloadTokens) -> None:
    """Garbage does not take the place of what is good."""
    for _ in range(2):
        with pytest.raises(UnauthenticatedError):
            tokens.verify(Secret("garbage"))

    assert len(tokens._seen) == 0


def test_only_so_many_tokens_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest go first, so memory is bounded."""
    monkeypatch.setattr(workload_tokens, "_REMEMBERED", 2)
    tokens = WorkloadTokens(ISSUERS, _now)
    texts = [token("ES256", claims(sub=f"s{number}")) for number in range(3)]

    callers = [tokens.verify(Secret(text)) for text in texts]

    assert len(tokens._seen) == 2
    assert tokens.verify(Secret(texts[2])) is callers[2]
    assert tokens.verify(Secret(texts[0])) is not callers[0]


def test_the_keys_of_one_issuer_do_not_verify_for_another() -> None:
    """An issuer is known by its own set."""
    alone = parse_jwk_set(jwk_set(public_jwk("ec", RSA_KEY)))
    issuers = [TokenIssuer("corp", "oidc", COMPANY, AUDIENCE, alone)]

    with pytest.raises(UnauthenticatedError) as caught:
        WorkloadTokens(issuers, _now).verify(Secret(token("RS256", kid="rsa")))

    assert caught.value.reason == "token_key_unknown"
    assert KEYS.find("rsa") is not None
