"""Makes JWT-SVIDs, honest and forged, and the bundles of their trust domains."""

import json
import time
from collections.abc import Callable
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from tests.adapters.tokens import (
    AUDIENCE,
    CLUSTER,
    COMPANY,
    EC_KEY,
    LIFE,
    OTHER_RSA_KEY,
    RSA_KEY,
    Forge,
    b64,
    claims,
    public_jwk,
)
from tests.support.svids import DOMAIN, IDENTITY, Svid, make, root

Cases = dict[str, str]
MESH_KEY, NEXT_KEY = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
OTHER_KEY = ec.generate_private_key(ec.SECP256R1())
ROOT = make(root())
_HEADER = {"alg": "ES256", "kid": "mesh", "typ": "JWT"}


def bundle(*keys: dict[str, Any], root: Svid = ROOT, **members: Any) -> bytes:
    """Return a bundle document as SPIRE writes it: the authority of certificates, then the keys of tokens."""
    certificate = public_jwk("", root.key) | {"use": "x509-svid", "x5c": [_standard(root.der)]}
    del certificate["kid"]
    document = {"keys": [certificate, *keys], "spiffe_sequence": 7, "spiffe_refresh_hint": 300}
    return json.dumps(document | members).encode()


def _standard(content: bytes) -> str:
    # x5c is in standard base64, unlike the rest (RFC 7517 §4.7).
    return b64(content).replace("-", "+").replace("_", "/") + "=" * (-len(content) % 3)


def signing(kid: str, key: Any, use: str | None = "jwt-svid") -> dict[str, Any]:
    """Return a key of a bundle that signs tokens."""
    jwk = public_jwk(kid, key)
    return jwk if use is None else jwk | {"use": use}


MESH_SET = bundle(signing("mesh", MESH_KEY), signing("next", NEXT_KEY))


def svid_claims(**changes: Any) -> dict[str, Any]:
    """Return the claims of an honest JWT-SVID with changes; None takes one away."""
    now = int(time.time())
    honest = {"sub": IDENTITY, "aud": [AUDIENCE], "exp": now + LIFE, "iat": now}
    return {name: value for name, value in (honest | changes).items() if value is not None}


def svid(header: dict[str, Any] | None = None, key: Any = MESH_KEY, **changes: Any) -> str:
    """Return a JWT-SVID; members of its header and claims are changed or (with None) removed."""
    members = _HEADER | (header or {})
    chosen = {name: value for name, value in members.items() if value is not None}
    algorithm = "ES256" if isinstance(key, ec.EllipticCurvePrivateKey) else "RS256"
    return Forge(algorithm, key).sign(chosen, svid_claims(**changes))


def _subjects() -> Cases:
    forms: tuple[Any, ...] = (
        "spiffe://other.example/ns/commerce/sa/order-sync",
        f"spiffe://x.{DOMAIN}/x",
        f"spiffe://{DOMAIN}.evil.example/x",
        f"spiffe://{DOMAIN}",
        f"spiffe://{DOMAIN}/",
        f"spiffe://{DOMAIN}//x",
        f"spiffe://{DOMAIN}/x/",
        f"spiffe://{DOMAIN}/./x",
        f"spiffe://{DOMAIN}/../x",
        f"spiffe://{DOMAIN}/*",
        f"spiffe://{DOMAIN}/x%2fy",
        f"spiffe://{DOMAIN}/x?y",
        f"spiffe://{DOMAIN}/x#y",
        f"spiffe://{DOMAIN}/x\n",
        f"spiffe://{DOMAIN}/x\0",
        f"spiffe://{DOMAIN}:443/x",
        f"spiffe://user@{DOMAIN}/x",
        f"spiffe://{DOMAIN.upper()}/x",
        f"SPIFFE://{DOMAIN}/x",
        f"https://{DOMAIN}/x",
        f" {IDENTITY}",
        f"{IDENTITY} ",
        f"spiffe://{DOMAIN}/" + "x" * 300,
        DOMAIN,
        "corp:ops-anna",
        "ops-anna",
        [IDENTITY],
        {IDENTITY: 1},
        "",
        0,
        True,
    )
    return {f"sub {form!r}"[:70]: svid(sub=form) for form in forms} | {"no sub": svid(sub=None)}


def _times() -> Cases:
    now = int(time.time())
    changes: tuple[dict[str, Any], ...] = (
        {"exp": None},
        {"exp": None, "iat": None},
        {"exp": now - 11, "iat": now - 300},
        {"exp": now - 11, "iat": None},
        {"exp": now + 86_400 + 60, "iat": None},
        {"exp": now + 86_400 + 60},
        {"exp": now + 600, "iat": now - 86_400},
        {"exp": now + 10**9, "iat": now + 10**9},
        {"exp": 10**15, "iat": None},
        {"exp": 10**15, "iat": 10**15 - 60},
        {"exp": True, "iat": None},
        {"exp": str(now + 300)},
        {"exp": [now + 300]},
        {"iat": str(now)},
        {"iat": True},
        {"iat": now + 60},
        {"iat": []},
        {"nbf": now + 60},
        {"nbf": "soon"},
    )
    return {f"{change}": svid(**change) for change in changes}


def _audiences() -> Cases:
    forms: tuple[Any, ...] = (
        *(None, [], "", "other", ["other"], [AUDIENCE, "other"], ["other", AUDIENCE]),
        *([AUDIENCE, AUDIENCE], AUDIENCE.upper(), f"{AUDIENCE} ", {AUDIENCE: 1}, 1, [[AUDIENCE]]),
        *(IDENTITY, f"spiffe://{DOMAIN}/b2b-broker"),
    )
    return {f"aud {form!r}": svid(aud=form) for form in forms}


def _headers() -> Cases:
    types: tuple[Any, ...] = (
        "jwt",
        "at+jwt",
        "jose",
        "JOSE+JSON",
        "JWT-SVID",
        "",
        [],
        1,
        {"JOSE": 1},
    )
    algorithms: tuple[Any, ...] = (None, "none", "es256", "ES384", "RS256", "EdDSA", [])
    kids: tuple[Any, ...] = (None, "", "Mesh", "other", "rsa", "cluster", 0, ["mesh"])
    headers: list[dict[str, Any]] = [{"typ": form} for form in types]
    headers += [
        {"jwk": public_jwk("mesh", MESH_KEY)},
        *({name: "http://127.0.0.1:9/keys"} for name in ("jku", "x5u")),
        *({name: [_standard(ROOT.der)]} for name in ("x5c", "x5t")),
        *({"crit": ["exp"]}, {"b64": False}, {"zip": "DEF"}, {"cty": "JWT"}, {"sub": IDENTITY}),
        *({"alg": form} for form in algorithms),
        *({"kid": form} for form in kids),
    ]
    return {f"{header}"[:70]: svid(header) for header in headers}


def _keys() -> Cases:
    keys = {
        "the company's": EC_KEY,
        "the company's RSA": RSA_KEY,
        "the cluster's": OTHER_RSA_KEY,
        "another domain's": OTHER_KEY,
        "the certificates'": ROOT.key,
    }
    headers: tuple[dict[str, Any], ...] = (
        {},
        {"kid": "next"},
        {"kid": "ec"},
        {"kid": "rsa"},
        {"kid": ""},
        {"kid": None},
    )
    cases = {
        f"{what} key, {header}": svid(header, key)
        for what, key in keys.items()
        for header in headers
    }
    cases["the next key under this kid"] = svid({"kid": "mesh"}, NEXT_KEY)
    for issuer in (COMPANY, CLUSTER):
        cases[f"of {issuer} by the mesh"] = svid(iss=issuer)
        cases[f"of {issuer} by the mesh, for its subject"] = svid(iss=issuer, sub="ops-anna")
    unknown = claims(iss="https://unknown.example", sub=IDENTITY)
    for kid, algorithm, key in (("ec", "ES256", EC_KEY), ("mesh", "ES256", EC_KEY)):
        header = {"alg": algorithm, "kid": kid}
        cases[f"by the company without its name, kid {kid}"] = Forge(algorithm, key).sign(
            header, unknown
        )
    return cases


def forged_svids() -> Cases:
    """Return JWT-SVIDs that prove nothing; whatever is not the subject of a case is honest."""
    families: tuple[Callable[[], Cases], ...] = (_subjects, _times, _audiences, _headers, _keys)
    return {what: text for make_family in families for what, text in make_family().items()}


def honest_svids() -> Cases:
    """Return JWT-SVIDs made in the same ways with nothing wrong."""
    now = int(time.time())
    return {
        "a JWT-SVID": svid(),
        "a JWT-SVID by the next key": svid({"kid": "next"}, NEXT_KEY),
        "a JWT-SVID that lives a day": svid(iat=None, exp=now + 86_390),
    }
