"""JWK sets: taken whole, or refused whole with the rule that was broken."""

import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given
from hypothesis import strategies as st

from service.adapters.jwk_sets import JwkSetError, parse_jwk_set
from tests.adapters.tokens import EC_KEY, ED_KEY, RSA_KEY, jwk_set, public_jwk

RSA_JWK = public_jwk("rsa", RSA_KEY)
EC_JWK = public_jwk("ec", EC_KEY)
ED_JWK = public_jwk("ed", ED_KEY)
SHORT_KEY = rsa.generate_private_key(65537, 1024)  # noqa: S505 — to be refused


def _without(jwk: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in jwk.items() if key != name}


def test_each_key_verifies_the_algorithms_of_its_type() -> None:
    """A key is bound to its type, whatever a token says."""
    keys = parse_jwk_set(jwk_set(RSA_JWK, EC_JWK, ED_JWK)).keys

    assert {kid: key.algorithms for kid, key in keys.items()} == {
        "rsa": ("RS256", "PS256"),
        "ec": ("ES256",),
        "ed": ("EdDSA",),
    }


def test_a_key_that_names_its_algorithm_verifies_no_other() -> None:
    """RFC 8725 §3.1."""
    keys = parse_jwk_set(jwk_set(RSA_JWK | {"alg": "PS256", "use": "sig", "key_ops": ["verify"]}))

    found = keys.find("rsa")
    assert found is not None
    assert found.algorithms == ("PS256",)


def test_a_private_key_published_by_mistake_is_taken_for_its_public_half() -> None:
    """The private members are not loaded."""
    from jwt.algorithms import ECAlgorithm

    private = json.loads(ECAlgorithm.to_jwk(EC_KEY))
    assert "d" in private

    found = parse_jwk_set(jwk_set(private | {"kid": "ec"})).find("ec")

    assert found is not None
    assert isinstance(found.key.key, ec.EllipticCurvePublicKey)


def test_a_key_is_found_by_its_name_and_the_only_one_without() -> None:
    """A token that names no key gets one only where there is no choice."""
    one = parse_jwk_set(jwk_set(EC_JWK))
    two = parse_jwk_set(jwk_set(EC_JWK, ED_JWK))

    assert one.find(None) is one.find("ec") is not None
    assert two.find(None) is None
    assert two.find("other") is None


REFUSED = {
    "not JSON": b"{",
    "twice the same member": b'{"keys": [], "keys": []}',
    "a list": b"[]",
    "no keys": b"{}",
    "an empty list": jwk_set(),
    "keys no list": b'{"keys": {}}',
    "too many": jwk_set(*[EC_JWK | {"kid": str(number)} for number in range(65)]),
    "a key that is none": b'{"keys": ["x"]}',
    "a kid that is none": jwk_set(EC_JWK | {"kid": 1}),
    "twice the same kid": jwk_set(EC_JWK, ED_JWK | {"kid": "ec"}),
    "twice without kid": jwk_set(_without(EC_JWK, "kid"), _without(ED_JWK, "kid")),
    "symmetric": jwk_set({"kty": "oct", "k": "c2VjcmV0", "kid": "s"}),
    "no type": jwk_set(_without(EC_JWK, "kty")),
    "another curve": jwk_set(public_jwk("p384", ec.generate_private_key(ec.SECP384R1()))),
    "Ed448": jwk_set(ED_JWK | {"crv": "Ed448"}),
    "a curve that is a list": jwk_set(EC_JWK | {"crv": []}),
    "RSA with an empty list for a curve": jwk_set(RSA_JWK | {"crv": []}),
    "a type that is a list": jwk_set(EC_JWK | {"kty": ["EC"]}),
    "operations a number": jwk_set(RSA_JWK | {"key_ops": 5}),
    "operations a text": jwk_set(RSA_JWK | {"key_ops": "verify"}),
    "operations null": jwk_set(RSA_JWK | {"key_ops": None}),
    "an algorithm that is a list": jwk_set(RSA_JWK | {"alg": ["RS256"]}),
    "a use that is a list": jwk_set(RSA_JWK | {"use": ["sig"]}),
    "RSA with a curve": jwk_set(RSA_JWK | {"crv": "P-256"}),
    "for encryption": jwk_set(RSA_JWK | {"use": "enc"}),
    "for signing": jwk_set(_without(RSA_JWK, "key_ops") | {"key_ops": ["sign"]}),
    "an algorithm of another type": jwk_set(RSA_JWK | {"alg": "ES256"}),
    "a weak algorithm": jwk_set(RSA_JWK | {"alg": "RS1"}),
    "a short RSA key": jwk_set(public_jwk("weak", SHORT_KEY)),
    "a small exponent": jwk_set(public_jwk("weak", rsa.generate_private_key(3, 2048))),
    "a point that is not on the curve": jwk_set(EC_JWK | {"x": ED_JWK["x"]}),
    "no modulus": jwk_set(_without(RSA_JWK, "n")),
    "a number that is none": jwk_set(RSA_JWK | {"n": 5}),
    "a short key": jwk_set(ED_JWK | {"x": "AAAA"}),
}


@pytest.mark.parametrize("what", REFUSED)
def test_a_set_that_breaks_a_rule_is_refused_whole(what: str) -> None:
    """One bad key spoils the set, so that nobody believes it is in force."""
    with pytest.raises(JwkSetError):
        parse_jwk_set(REFUSED[what])


@given(st.binary(max_size=200))
def test_any_bytes_are_refused_in_the_same_way(content: bytes) -> None:
    """A file that is no JWK set is an error of the file."""
    with pytest.raises(JwkSetError):
        parse_jwk_set(content)
