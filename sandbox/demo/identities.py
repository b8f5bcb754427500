"""A stand-in for the cluster and the identity provider: keys, JWK sets and the workload tokens that they would issue."""

import json
import time
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

AUDIENCE = "b2b-broker"
CLUSTER = "https://kubernetes.default.svc.cluster.local"
COMPANY = "https://idp.example"
_LIFE_SECONDS = 12 * 3600


class Issuer:
    """One issuer with one signing key."""

    def __init__(self, url: str, kid: str) -> None:
        self.url = url
        self.kid = kid
        self._key = ec.generate_private_key(ec.SECP256R1())

    def write_jwk_set(self, path: Path) -> Path:
        """Write the public key as a JWK set."""
        public = json.loads(ECAlgorithm.to_jwk(self._key.public_key()))
        keys = {"keys": [{**public, "kid": self.kid, "alg": "ES256", "use": "sig"}]}
        path.write_text(json.dumps(keys), "utf-8")
        return path

    def token(self, claims: dict[str, Any], life_seconds: int = _LIFE_SECONDS) -> str:
        """Return a token with these claims and the usual ones."""
        now = int(time.time())
        usual = {"iss": self.url, "aud": AUDIENCE, "iat": now, "exp": now + life_seconds}
        return jwt.encode(usual | claims, self._key, algorithm="ES256", headers={"kid": self.kid})


class Identities:
    """A cluster with service accounts and a company with people."""

    def __init__(self) -> None:
        self.cluster = Issuer(CLUSTER, "cluster-1")
        self.company = Issuer(COMPANY, "company-1")

    def workload(self, namespace: str, name: str) -> str:
        """Return the token of a service account, as the kubelet would project it."""
        claims = {
            "sub": f"system:serviceaccount:{namespace}:{name}",
            "aud": [AUDIENCE],
            "kubernetes.io": {
                "namespace": namespace,
                "serviceaccount": {"name": name, "uid": "6f1d2c9e-0000-4000-8000-000000000000"},
            },
        }
        return self.cluster.token(claims)

    def person(self, subject: str) -> str:
        """Return the token of a person."""
        return self.company.token({"sub": subject})
