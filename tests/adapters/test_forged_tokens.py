"""Tokens that prove nothing: each is refused in the same words, whatever is wrong with it."""

import hashlib
import hmac
import json
import socket
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from service.adapters.jwk_sets import parse_jwk_set, parse_spiffe_bundle
from service.adapters.jwks_source import JwksSource
from service.adapters.workload_tokens import KeySource, TokenIssuer, WorkloadTokens
from service.core.errors import UnauthenticatedError
from service.core.secret import Secret
from tests.adapters.asking import Monotonic
from tests.adapters.forging import CLUSTER_SET, COMPANY_SET, FAMILIES, accepted, outcome
from tests.adapters.svid_tokens import MESH_SET
from tests.adapters.tokens import (
    AUDIENCE,
    CLUSTER,
    COMPANY,
    EC_KEY,
    ISSUERS,
    OTHER_RSA_KEY,
    RSA_KEY,
    Forge,
    b64,
    claims,
    pod,
    public_jwk,
    token,
)
from tests.support.svids import DOMAIN

TOKENS = WorkloadTokens(ISSUERS, lambda: datetime.now(UTC))
NOW = int(time.time())
GOOD = token()
HEADER, PAYLOAD, SIGNATURE = GOOD.split(".")
PUBLIC_PEM = RSA_KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
PUBLIC_DER = RSA_KEY.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
USUAL = {"alg": "RS256", "typ": "JWT", "kid": "rsa"}


def _unsigned(algorithm: object, signature: str = "") -> str:
    header = json.dumps({"alg": algorithm, "kid": "rsa"}).encode()
    return f"{b64(header)}.{PAYLOAD}.{signature}"


def _hmac(key: bytes, algorithm: str = "HS256") -> str:
    # Signed by hand: PyJWT refuses to use a public key as an HMAC secret, an attacker does not.
    text = f"{b64(json.dumps({'alg': algorithm, 'kid': 'rsa'}).encode())}.{PAYLOAD}"
    return f"{text}.{b64(hmac.digest(key, text.encode(), hashlib.sha256))}"


def _raw(payload: bytes, header: bytes = json.dumps(USUAL).encode()) -> str:
    return Forge().sign(header, payload)


def _members(text: str) -> bytes:
    """Return honest claims with raw JSON members behind them."""
    return json.dumps(claims())[:-1].encode() + f", {text}}}".encode()


def _without(name: str) -> dict[str, Any]:
    return claims(**{name: None})


def _bound(**changes: Any) -> dict[str, Any]:
    honest: dict[str, Any] = {"namespace": "commerce", "serviceaccount": {"name": "order-sync"}}
    return pod(bound=honest | changes)


FORGED = {
    # no signature, or one of another kind
    **{f"alg {name}": _unsigned(name) for name in ("none", "None", "NONE", "nOnE", "", None)},
    **{f"alg {name} with a signature": _unsigned(name, SIGNATURE) for name in ("none", "NONE")},
    "alg missing": token(alg=None),
    "alg a list": token(alg=["RS256"]),
    "alg in lower case": token(alg="rs256"),
    "alg of another key": token("RS256", kid="ec"),
    "alg RS384": token(alg="RS384"),
    "alg RS256 on PS256": token("PS256", alg="RS256"),
    "HS256 with the public PEM": _hmac(PUBLIC_PEM),
    "HS256 with the public DER": _hmac(PUBLIC_DER),
    "HS256 with the modulus": _hmac(public_jwk("rsa", RSA_KEY)["n"].encode()),
    "HS256 called RS256": _hmac(PUBLIC_PEM, "RS256"),
    # another key
    "another key under the same kid": Forge("RS256", OTHER_RSA_KEY).sign(USUAL, claims()),
    "another type of key under the same kid": Forge("ES256", EC_KEY).sign(USUAL, claims()),
    "kid missing": token(kid=None),
    "kid unknown": token(kid="rsa2"),
    "kid in upper case": token(kid="RSA"),
    "kid a number": token(kid=1),
    "kid empty": token(kid=""),
    "kid a path": token(kid="../../etc/passwd"),
    # headers that would name a key, or change the rules
    "jwk": token(jwk=public_jwk("rsa", OTHER_RSA_KEY)),
    **{f"{name}": token(header={name: "https://evil.example/keys"}) for name in ("jku", "x5u")},
    **{f"{name}": token(header={name: ["MIIB"]}) for name in ("x5c", "x5t", "x5t#S256")},
    "crit": token(crit=["exp"]),
    "b64": token(b64=False),
    "zip": token(zip="DEF"),
    "cty": token(cty="JWT"),
    "an unknown header": token(foo="bar"),
    "typ of something else": token(typ="logout+jwt"),
    "typ in lower case": token(typ="jwt"),
    "typ a list": token(typ=[]),
    "typ an object": token(typ={"JWT": 1}),
    "typ a number": token(typ=0),
    # the issuer
    "iss missing": token(payload=_without("iss")),
    "iss unknown": token(payload=claims(iss="https://evil.example")),
    "iss with a slash": token(payload=claims(iss=COMPANY + "/")),
    "iss in upper case": token(payload=claims(iss=COMPANY.upper())),
    "iss a list": token(payload=claims(iss=[COMPANY])),
    "iss an object": token(payload=claims(iss={})),
    # the audience
    "aud missing": token(payload=_without("aud")),
    "aud of another": token(payload=claims(aud="other")),
    "aud ours and another": token(payload=claims(aud=["b2b-broker", "other"])),
    "aud ours twice": token(payload=claims(aud=["b2b-broker", "b2b-broker"])),
    "aud empty": token(payload=claims(aud=[])),
    "aud in upper case": token(payload=claims(aud="B2B-BROKER")),
    "aud a number": token(payload=claims(aud=1)),
    "aud an object": token(payload=claims(aud={"b2b-broker": 1})),
    # times
    "exp missing": token(payload=_without("exp")),
    "iat missing": token(payload=_without("iat")),
    "expired": token(payload=claims(exp=NOW - 11, iat=NOW - 600)),
    "expired long ago": token(payload=claims(exp=1, iat=0)),
    "exp negative": token(payload=claims(exp=-1)),
    "exp text": token(payload=claims(exp=str(NOW + 600))),
    "exp true": token(payload=claims(exp=True)),
    "exp a list": token(payload=claims(exp=[NOW + 600])),
    "exp endless": _raw(json.dumps(_without("exp"))[:-1].encode() + b', "exp": 1e400}'),
    "exp far away": token(payload=claims(exp=10**15)),
    "iat endless": _raw(json.dumps(_without("iat"))[:-1].encode() + b', "iat": 1e400}'),
    "iat long ago": token(payload=claims(iat=0)),
    "iat endlessly long ago": token(payload=claims(iat=-(10**15))),
    "iat text": token(payload=claims(iat=str(NOW))),
    "iat tomorrow": token(payload=claims(iat=NOW + 86_400, exp=NOW + 86_500)),
    "nbf tomorrow": token(payload=claims(nbf=NOW + 86_400)),
    "nbf text": token(payload=claims(nbf="soon")),
    "a life of more than a day": token(payload=claims(iat=NOW, exp=NOW + 86_401)),
    # the subject
    "sub missing": token(payload=_without("sub")),
    "sub empty": token(payload=claims(sub="")),
    "sub a number": token(payload=claims(sub=1)),
    "sub a wildcard": token(payload=claims(sub="ops-*")),
    "sub with a space": token(payload=claims(sub="ops anna")),
    "sub with a line feed": token(payload=claims(sub="ops-anna\n")),
    "sub not ASCII": token(payload=claims(sub="öps-anna")),
    "sub too long": token(payload=claims(sub="s" * 201)),
    # form
    "empty": "",
    "one part": "abc",
    "two parts": f"{HEADER}.{PAYLOAD}",
    "four parts": f"{GOOD}.{SIGNATURE}",
    "encrypted (five parts)": f"{GOOD}.a.b",
    "padded": f"{HEADER}.{PAYLOAD}.{SIGNATURE}==",
    "header not canonical": f"{HEADER[:-1]}{chr(ord(HEADER[-1]) + 1)}.{PAYLOAD}.{SIGNATURE}",
    "signature not canonical": f"{GOOD[:-1]}{chr(ord(GOOD[-1]) + 1)}",
    "standard base64": f"{HEADER}.{PAYLOAD}.{SIGNATURE[:-4]}+/+/",
    "base64 of an impossible length": f"{HEADER}.{PAYLOAD}.{SIGNATURE[:-1]}",
    "signature cut": f"{HEADER}.{PAYLOAD}.{SIGNATURE[:-4]}",
    "signature of another token": f"{HEADER}.{b64(json.dumps(claims(sub='root')).encode())}.{SIGNATURE}",
    "signature missing": f"{HEADER}.{PAYLOAD}.",
    "blank before": f" {GOOD}",
    "line feed behind": f"{GOOD}\n",
    "huge": token(payload=claims(pad="x" * 8192)),
    "full-width letters": GOOD.replace("e", "\uff45", 1),
    # JSON
    "claims no object": _raw(b"[]"),
    "claims null": _raw(b"null"),
    "claims no JSON": _raw(b"{"),
    "claims not UTF-8": _raw(b'{"iss": "\xff"}'),
    "claims NaN": _raw(_members('"x": NaN')),
    "claims Infinity": _raw(_members('"x": -Infinity')),
    "claims sub twice": _raw(_members('"sub": "root"')),
    "claims nested deep": _raw(b'{"x":' * 700 + b"1" + b"}" * 700),
    "header alg twice": _raw(
        json.dumps(claims()).encode(), b'{"alg":"none","alg":"RS256","kid":"rsa"}'
    ),
    "header no object": _raw(json.dumps(claims()).encode(), b'"RS256"'),
    # Kubernetes
    "the cluster's claims by the company": token(payload=pod(iss=COMPANY, sub="a b")),
    "the company's claims by the cluster": token(payload=claims(iss=CLUSTER)),
    "pod of another namespace": token(payload=_bound(namespace="other")),
    "pod of another account": token(payload=_bound(serviceaccount={"name": "other"})),
    "pod without an account": token(payload=_bound(serviceaccount=None)),
    "pod account a text": token(payload=_bound(serviceaccount="order-sync")),
    "pod without a namespace": token(payload=_bound(namespace=None)),
    "pod claims a list": token(payload=pod(bound=["commerce"])),
    "pod claims missing": token(payload=pod(bound=None)),
    "pod sub of another kind": token(payload=pod(sub="system:node:commerce:order-sync")),
    "pod namespace with a slash": token(payload=pod("commerce/x", "order-sync")),
    "pod namespace with a colon": token(payload=pod("commerce:order", "sync")),
    "pod name in upper case": token(payload=pod("commerce", "Order-Sync")),
}


def test_the_token_that_the_forgeries_are_made_from_holds() -> None:
    """Otherwise the others would prove nothing."""
    assert TOKENS.verify(Secret(GOOD)).identity == "corp:ops-anna"


@pytest.mark.parametrize("forgery", FORGED)
def test_a_forged_token_proves_nothing(forgery: str) -> None:
    """The caller is told one sentence for all; the audit trail knows which check it was."""
    with pytest.raises(UnauthenticatedError) as caught:
        TOKENS.verify(Secret(FORGED[forgery]))

    assert caught.value.detail == "The proof of identity does not hold."
    assert caught.value.reason.startswith("token_")


@given(st.text(alphabet=st.characters(codec="latin-1"), max_size=300))
def test_any_text_is_refused_in_the_same_way(text: str) -> None:
    """Whatever stands in the header, the answer is 401 and never an error of ours."""
    with pytest.raises(UnauthenticatedError):
        TOKENS.verify(Secret(text))


@given(st.integers(0, len(GOOD) - 1), st.sampled_from("AZaz09-_."))
def test_a_token_changed_in_one_place_is_refused(position: int, sign: str) -> None:
    """Every character counts."""
    changed = f"{GOOD[:position]}{sign}{GOOD[position + 1 :]}"
    if changed == GOOD:
        return

    with pytest.raises(UnauthenticatedError):
        TOKENS.verify(Secret(changed))


class CountedKeys:
    """A set of keys behind an address that is asked by number, and its source."""

    def __init__(self, document: bytes, clock: Monotonic) -> None:
        self.asked = 0
        self.source = JwksSource(self._fetch, clock)
        self._document = document

    def _fetch(self) -> bytes:
        self.asked += 1
        return self._document


def _verifier(company: KeySource, cluster: KeySource) -> WorkloadTokens:
    issuers = [
        TokenIssuer("corp", "oidc", COMPANY, AUDIENCE, company),
        TokenIssuer("k8s", "kubernetes", CLUSTER, AUDIENCE, cluster),
        TokenIssuer("mesh", "spiffe", DOMAIN, AUDIENCE, parse_spiffe_bundle(MESH_SET)),
    ]
    return WorkloadTokens(issuers, lambda: datetime.now(UTC))


FROM_FILES = _verifier(parse_jwk_set(COMPANY_SET), parse_jwk_set(CLUSTER_SET))


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever opens a socket or looks up a name gets an error that no test expects.

    Threads of the session's own servers go on as before.
    """
    ours = threading.current_thread()

    def refusing(real: Callable[..., object]) -> Callable[..., object]:
        def refuse(*arguments: object, **options: object) -> object:
            if threading.current_thread() is ours:
                raise AssertionError("a token made us go to the network")
            return real(*arguments, **options)

        return refuse

    for name in ("socket", "create_connection", "getaddrinfo"):
        monkeypatch.setattr(socket, name, refusing(getattr(socket, name)))


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize("family", FAMILIES)
def test_no_member_of_a_family_of_forgeries_is_accepted(family: str) -> None:
    """Each is refused as unauthenticated; any other error would be a 500 that an attacker can cause."""
    outcomes = {what: outcome(FROM_FILES.verify, text) for what, text in FAMILIES[family]().items()}

    assert {what: how for what, how in outcomes.items() if how != "UnauthenticatedError"} == {}
    assert len(outcomes) >= 15


def test_what_the_forger_leaves_alone_is_accepted() -> None:
    """The same makers with nothing changed, and what is just within a limit: otherwise the others would prove nothing."""
    outcomes = {what: outcome(FROM_FILES.verify, text) for what, text in accepted().items()}

    assert {what: how for what, how in outcomes.items() if how != "accepted"} == {}


@pytest.mark.usefixtures("no_network")
def test_all_forgeries_together_fetch_an_issuers_keys_once_more() -> None:
    """Many name unknown keys, some an address; each issuer is asked at its own, for the first token and once in 30 s."""
    clock = Monotonic()
    company, cluster = CountedKeys(COMPANY_SET, clock), CountedKeys(CLUSTER_SET, clock)
    tokens = _verifier(company.source, cluster.source)
    honest = {outcome(tokens.verify, text) for text in accepted().values()}
    before = (company.asked, cluster.asked)
    clock.move(30)

    texts = [text for make in FAMILIES.values() for text in make().values()]
    forged = {outcome(tokens.verify, text) for text in texts}
    again = {outcome(tokens.verify, text) for text in accepted().values()}

    assert len(set(texts)) >= 1000
    assert (honest, forged, again) == ({"accepted"}, {"UnauthenticatedError"}, {"accepted"})
    assert before == (1, 1)
    assert company.asked == 2
    assert cluster.asked <= 2


@pytest.mark.parametrize(
    "change",
    [
        {"exp": 10**400, "iat": NOW + 0.5},
        {"exp": NOW + 60.5, "iat": -(10**400)},
        {"nbf": True},
        {"nbf": False},
        {"nbf": "1"},
        {"nbf": str(NOW - 5)},
    ],
)
def test_a_time_that_is_no_moment_is_refused(change: dict[str, Any]) -> None:
    """Also in a token that the issuer really signed: no number, or none of this age."""
    with pytest.raises(UnauthenticatedError):
        TOKENS.verify(Secret(token(payload=claims(**change))))


def test_text_that_is_no_text_is_refused() -> None:
    """Half a character makes no other error than any token that is none."""
    with pytest.raises(UnauthenticatedError):
        TOKENS.verify(Secret("\ud800"))
