"""Makes workload tokens, honest and forged, byte by byte."""

import base64
import json
import time
from dataclasses import dataclass
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from service.adapters.jwk_sets import JwkSet, parse_jwk_set
from service.adapters.workload_tokens import TokenIssuer

AUDIENCE = "b2b-broker"
COMPANY = "https://idp.example"
LIFE = 7200
"""Seconds; tokens that are made when tests are collected have to hold to the end of a long run."""
CLUSTER = "https://kubernetes.default.svc.cluster.local"
RSA_KEY = rsa.generate_private_key(65537, 2048)
OTHER_RSA_KEY = rsa.generate_private_key(65537, 2048)
EC_KEY = ec.generate_private_key(ec.SECP256R1())
ED_KEY = ed25519.Ed25519PrivateKey.generate()
SIGNERS: dict[str, Any] = {"RS256": RSA_KEY, "PS256": RSA_KEY, "ES256": EC_KEY, "EdDSA": ED_KEY}


def b64(content: bytes) -> str:
    """Encode as JWS does."""
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode("ascii")


def public_jwk(kid: str, key: Any) -> dict[str, Any]:
    """Return a public key as a member of a JWK set."""
    public = key.public_key()
    text: str = (
        RSAAlgorithm.to_jwk(public)
        if isinstance(key, rsa.RSAPrivateKey)
        else ECAlgorithm.to_jwk(public)
        if isinstance(key, ec.EllipticCurvePrivateKey)
        else OKPAlgorithm.to_jwk(public)
    )
    return {**json.loads(text), "kid": kid}


def jwk_set(*keys: dict[str, Any]) -> bytes:
    """Return a JWK set document."""
    return json.dumps({"keys": list(keys)}).encode()


KEYS: JwkSet = parse_jwk_set(
    jwk_set(public_jwk("rsa", RSA_KEY), public_jwk("ec", EC_KEY), public_jwk("ed", ED_KEY))
)
ISSUERS = (
    TokenIssuer("corp", "oidc", COMPANY, AUDIENCE, KEYS),
    TokenIssuer("k8s", "kubernetes", CLUSTER, AUDIENCE, KEYS),
    TokenIssuer("mesh", "spiffe", "prod.example", AUDIENCE, KEYS),
)
KIDS = {"RS256": "rsa", "PS256": "rsa", "ES256": "ec", "EdDSA": "ed"}


def claims(**changes: Any) -> dict[str, Any]:
    """Return honest claims with changes; None takes one away."""
    now = int(time.time())
    honest = {"iss": COMPANY, "aud": AUDIENCE, "sub": "ops-anna", "iat": now, "exp": now + LIFE}
    return {name: value for name, value in (honest | changes).items() if value is not None}


_SAME = object()


def pod(
    namespace: str = "commerce", name: str = "order-sync", bound: Any = _SAME, **changes: Any
) -> dict[str, Any]:
    """Return the claims of a service account's token; ``bound`` replaces those of Kubernetes."""
    if bound is _SAME:
        bound = {"namespace": namespace, "serviceaccount": {"name": name, "uid": "u"}}
    subject = f"system:serviceaccount:{namespace}:{name}"
    usual = {"iss": CLUSTER, "sub": subject, "aud": [AUDIENCE], "kubernetes.io": bound}
    return claims(**(usual | changes))


@dataclass(frozen=True)
class Forge:
    """Signs what it is given, as it is given."""

    algorithm: str = "RS256"
    key: Any = RSA_KEY

    def sign(self, header: bytes | dict[str, Any], payload: bytes | dict[str, Any]) -> str:
        """Return a token whose signature holds for exactly these bytes."""
        parts = [
            b64(part if isinstance(part, bytes) else json.dumps(part).encode())
            for part in (header, payload)
        ]
        signer = jwt.get_algorithm_by_name(self.algorithm)
        text = ".".join(parts)
        return f"{text}.{b64(signer.sign(text.encode('ascii'), self.key))}"


def token(
    algorithm: str = "RS256",
    payload: dict[str, Any] | None = None,
    header: dict[str, Any] | None = None,
    **members: Any,
) -> str:
    """Return a token that is honestly signed; the header's members are changed or (with None) removed."""
    usual = {"alg": algorithm, "typ": "JWT", "kid": KIDS[algorithm]} | (header or {}) | members
    chosen = {name: value for name, value in usual.items() if value is not None}
    return Forge(algorithm, SIGNERS[algorithm]).sign(chosen, payload or claims())
