"""JWK sets: taken whole, or refused whole with the rule that was broken."""

import json
from dataclasses import FrozenInstanceError
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given
from hypothesis import strategies as st

from service.adapters.jwk_sets import JwkSetError, parse_jwk_set
from tests.adapters.tokens import EC_KEY, ED_KEY, RSA_KEY, b64, jwk_set, public_jwk

RSA_JWK = public_jwk("rsa", RSA_KEY)
EC_JWK = public_jwk("ec", EC_KEY)
ED_JWK = public_jwk("ed", ED_KEY)
SHORT_KEY = rsa.generate_private_key(65537, 1024)  # noqa: S505 — to be refused
ODD_MODULUS = b64(b"\x7f" + b"\xff" * 255)  # of 2047 bits


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


def test_neither_a_set_nor_what_a_key_verifies_can_be_changed() -> None:
    """A set is replaced as a whole, and a key never verifies more than when it was read."""
    keys = parse_jwk_set(jwk_set(EC_JWK))

    with pytest.raises(FrozenInstanceError):
        keys.keys["ec"].algorithms = ("ES256", "none")  # type: ignore[misc]  # what is tested
    with pytest.raises(FrozenInstanceError):
        keys.keys = {}  # type: ignore[misc]  # what is tested


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


def test_a_key_without_a_name_is_for_tokens_that_name_none() -> None:
    """Its name is the empty text, which is a name as good as any other."""
    keys = parse_jwk_set(jwk_set(_without(EC_JWK, "kid")))

    assert keys.find(None) is keys.find("") is not None
    assert keys.find("ec") is None


def test_a_set_of_64_keys_is_taken() -> None:
    """Which is more than any honest issuer has in force at once."""
    keys = parse_jwk_set(jwk_set(*[EC_JWK | {"kid": str(number)} for number in range(64)])).keys

    assert sorted(keys, key=int) == [str(number) for number in range(64)]


NOT_JSON = "a JWK set is strict JSON"
NO_KEYS = "a JWK set has 'keys' with 1 to 64 members"
NO_OBJECT = "a key of a JWK set is an object with a string 'kid'"
SAME_KID = "two keys of a JWK set have the same 'kid'"
TYPE = "a key is RSA, EC on P-256 or Ed25519"
PURPOSE = "a key is for verifying signatures"
ALGORITHM = "a key's 'alg' fits its type"
UNREADABLE = "a key of a JWK set is not readable"
WEAK = "an RSA key has at least 2048 bits and an exponent from 65537"
REFUSED = {
    "not JSON": (b"{", NOT_JSON),
    "twice the same member": (b'{"keys": [], "keys": []}', NOT_JSON),
    "a list": (b"[]", NO_KEYS),
    "no keys": (b"{}", NO_KEYS),
    "an empty list": (jwk_set(), NO_KEYS),
    "keys no list": (b'{"keys": {}}', NO_KEYS),
    "an object of one key": (json.dumps({"keys": {"ec": EC_JWK}}).encode(), NO_KEYS),
    "too many": (jwk_set(*[EC_JWK | {"kid": str(number)} for number in range(65)]), NO_KEYS),
    "a key that is none": (b'{"keys": ["x"]}', NO_OBJECT),
    "a kid that is none": (jwk_set(EC_JWK | {"kid": 1}), NO_OBJECT),
    "one that is none among good ones": (json.dumps({"keys": [EC_JWK, "x"]}).encode(), NO_OBJECT),
    "one kid that is none": (jwk_set(ED_JWK, EC_JWK | {"kid": 1}), NO_OBJECT),
    "twice the same kid": (jwk_set(EC_JWK, ED_JWK | {"kid": "ec"}), SAME_KID),
    "twice without kid": (jwk_set(_without(EC_JWK, "kid"), _without(ED_JWK, "kid")), SAME_KID),
    "without kid and with an empty one": (
        jwk_set(_without(EC_JWK, "kid"), ED_JWK | {"kid": ""}),
        SAME_KID,
    ),
    "symmetric": (jwk_set({"kty": "oct", "k": "c2VjcmV0", "kid": "s"}), TYPE),
    "no type": (jwk_set(_without(EC_JWK, "kty")), TYPE),
    "no curve": (jwk_set(_without(EC_JWK, "crv")), TYPE),
    "another curve": (jwk_set(public_jwk("x", ec.generate_private_key(ec.SECP384R1()))), TYPE),
    "Ed448": (jwk_set(ED_JWK | {"crv": "Ed448"}), TYPE),
    "a curve that is a list": (jwk_set(EC_JWK | {"crv": []}), TYPE),
    "RSA with an empty list for a curve": (jwk_set(RSA_JWK | {"crv": []}), TYPE),
    "a type that is a list": (jwk_set(EC_JWK | {"kty": ["EC"]}), TYPE),
    "RSA with a curve": (jwk_set(RSA_JWK | {"crv": "P-256"}), TYPE),
    "operations a number": (jwk_set(RSA_JWK | {"key_ops": 5}), PURPOSE),
    "operations a text": (jwk_set(RSA_JWK | {"key_ops": "verify"}), PURPOSE),
    "operations null": (jwk_set(RSA_JWK | {"key_ops": None}), PURPOSE),
    "a use that is a list": (jwk_set(RSA_JWK | {"use": ["sig"]}), PURPOSE),
    "for encryption": (jwk_set(RSA_JWK | {"use": "enc"}), PURPOSE),
    "for encryption by its operations": (
        jwk_set(RSA_JWK | {"use": "enc", "key_ops": ["verify"]}),
        PURPOSE,
    ),
    "for signing": (jwk_set(RSA_JWK | {"use": "sig", "key_ops": ["sign"]}), PURPOSE),
    "an algorithm of another type": (jwk_set(RSA_JWK | {"alg": "ES256"}), ALGORITHM),
    "an algorithm that is a list": (jwk_set(RSA_JWK | {"alg": ["RS256"]}), ALGORITHM),
    "a weak algorithm": (jwk_set(RSA_JWK | {"alg": "RS1"}), ALGORITHM),
    "a short RSA key": (jwk_set(public_jwk("weak", SHORT_KEY)), WEAK),
    "an RSA key one bit too short": (jwk_set(RSA_JWK | {"n": ODD_MODULUS}), WEAK),
    "a small exponent": (jwk_set(RSA_JWK | {"e": "Aw"}), WEAK),
    "an exponent a little too small": (jwk_set(RSA_JWK | {"e": b64(b"\xff\xff")}), WEAK),
    "a point that is not on the curve": (jwk_set(EC_JWK | {"x": ED_JWK["x"]}), UNREADABLE),
    "no modulus": (jwk_set(_without(RSA_JWK, "n")), UNREADABLE),
    "a number that is none": (jwk_set(RSA_JWK | {"n": 5}), UNREADABLE),
    "a short key": (jwk_set(ED_JWK | {"x": "AAAA"}), UNREADABLE),
}


@pytest.mark.parametrize(("content", "rule"), REFUSED.values(), ids=REFUSED.keys())
def test_a_set_that_breaks_a_rule_is_refused_whole(content: bytes, rule: str) -> None:
    """One bad key spoils the set, so that nobody believes it is in force; the rule is named and nothing is quoted."""
    with pytest.raises(JwkSetError) as caught:
        parse_jwk_set(content)

    assert str(caught.value) == rule
    assert caught.value.__context__ is None or caught.value.__suppress_context__


@given(st.binary(max_size=200))
def test_any_bytes_are_refused_in_the_same_way(content: bytes) -> None:
    """A file that is no JWK set is an error of the file."""
    with pytest.raises(JwkSetError):
        parse_jwk_set(content)
