"""Public keys of issuers, from JWK sets.

A set is taken whole or refused whole. What is refused: anything but RSA, EC and OKP public keys (a symmetric key in a set that verifies
signatures invites confusion of algorithms), keys for other uses, RSA below 2048 bits or with a small exponent, duplicate ``kid``, and
sets too large to be honest.

The bundle of a SPIFFE trust domain is a JWK set too. There ``use`` says what a key is for; only those for JWT-SVIDs are looked at, and
what is of an unknown kind is passed over, as the standard wants it. Issuers that give their JWT keys as a plain set leave ``use`` out, or
say ``sig``.

Source: RFC 7517; SPIFFE Trust Domain and Bundle §4; RFC 8725 §3.1, §3.5; security.md §2.2.
"""

import json
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt import PyJWK
from jwt.exceptions import PyJWTError

from service.core.strict_json import BadJsonError, parse_json

_MOST_KEYS = 64
_SMALLEST_RSA_BITS = 2048
_SMALLEST_EXPONENT = 65537
_ALGORITHMS = {
    ("RSA", ""): ("RS256", "PS256"),
    ("EC", "P-256"): ("ES256",),
    ("OKP", "Ed25519"): ("EdDSA",),
}
_KEY_TYPES = {"RSA", "EC", "OKP"}


class JwkSetError(ValueError):
    """The set is refused; the text names the rule."""


@dataclass(frozen=True, slots=True)
class VerifyingKey:
    """One public key and the algorithms that it may verify."""

    key: PyJWK
    algorithms: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class JwkSet:
    """The keys of one issuer by ``kid``; a key without one has the empty string."""

    keys: dict[str, VerifyingKey]

    def find(self, kid: str | None) -> VerifyingKey | None:
        """Return the key that a token names; a token that names none gets the only key of a set of one."""
        if kid is None:
            return next(iter(self.keys.values())) if len(self.keys) == 1 else None
        return self.keys.get(kid)


def parse_spiffe_bundle(content: bytes) -> JwkSet:
    """Return the keys that sign a trust domain's JWT-SVIDs.

    Raises:
        JwkSetError: It breaks a rule of this module.
    """
    entries = [
        {**entry, "use": "sig"}
        for entry in _entries(content)
        if entry.get("use", "sig") in ("jwt-svid", "sig") and entry.get("kty") in _KEY_TYPES
    ]
    if not entries:
        raise JwkSetError("a trust domain's JWK set has a key for JWT-SVIDs")
    return _key_set(entries)


def parse_jwk_set(content: bytes) -> JwkSet:
    """Return the keys of a JWK set document.

    Raises:
        JwkSetError: It breaks a rule of this module.
    """
    return _key_set(_entries(content))


def _entries(content: bytes) -> list[dict[str, Any]]:
    try:
        document = parse_json(content)
    except BadJsonError:
        raise JwkSetError("a JWK set is strict JSON") from None
    entries = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(entries, list) or not 0 < len(entries) <= _MOST_KEYS:
        raise JwkSetError(f"a JWK set has 'keys' with 1 to {_MOST_KEYS} members")
    if not all(isinstance(e, dict) and isinstance(e.get("kid", ""), str) for e in entries):
        raise JwkSetError("a key of a JWK set is an object with a string 'kid'")
    return entries


def _key_set(entries: list[dict[str, Any]]) -> JwkSet:
    keys: dict[str, VerifyingKey] = {}
    for entry in entries:
        kid, key = _parse_key(entry)
        if kid in keys:
            raise JwkSetError("two keys of a JWK set have the same 'kid'")
        keys[kid] = key
    return JwkSet(keys)


def _parse_key(entry: dict[str, Any]) -> tuple[str, VerifyingKey]:
    algorithms = _ALGORITHMS.get((str(entry.get("kty")), str(entry.get("crv", ""))))
    if algorithms is None:
        raise JwkSetError("a key is RSA, EC on P-256 or Ed25519")
    operations = entry.get("key_ops", ["verify"])
    for_verifying = isinstance(operations, list) and "verify" in operations
    if entry.get("use", "sig") != "sig" or not for_verifying:
        raise JwkSetError("a key is for verifying signatures")
    named = entry.get("alg")
    if named is not None:
        if named not in algorithms:
            raise JwkSetError("a key's 'alg' fits its type")
        algorithms = (named,)
    # Only public members are passed on, so that a private key published by mistake is not loaded.
    public: dict[str, Any] = {
        name: entry[name] for name in ("kty", "crv", "n", "e", "x", "y") if name in entry
    }
    try:
        key = PyJWK(public, algorithm=algorithms[0])
    except (PyJWTError, ValueError, TypeError, KeyError, json.JSONDecodeError):
        raise JwkSetError("a key of a JWK set is not readable") from None
    _refuse_weak(key)
    return entry.get("kid", ""), VerifyingKey(key, algorithms)


def _refuse_weak(key: PyJWK) -> None:
    if isinstance(key.key, RSAPublicKey):
        exponent = key.key.public_numbers().e
        if key.key.key_size < _SMALLEST_RSA_BITS or exponent < _SMALLEST_EXPONENT:
            raise JwkSetError("an RSA key has at least 2048 bits and an exponent from 65537")
