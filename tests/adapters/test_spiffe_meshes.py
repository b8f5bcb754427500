"""Chains in the shapes that real authorities give them: SPIRE, Istio, cert-manager, Consul."""

from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from service.adapters.spiffe import Svids, TrustDomain, parse_bundle
from tests.support.clock import ManualClock
from tests.support.svids import Shape, Svid, make, root, uri

COUNTRY, ORGANISATION = NameOID.COUNTRY_NAME, NameOID.ORGANIZATION_NAME
RSA_KEY = rsa.generate_private_key(65537, 2048)
OTHER_RSA_KEY = rsa.generate_private_key(65537, 2048)
AGREES = ("digital_signature", "key_encipherment", "key_agreement")
Made = tuple[str, Svid, tuple[Svid, ...]]
"""The identity, whom the bundle names, and what the workload sends."""


def _spire(*, between: bool) -> Made:
    domain, identity = "prod.example", "spiffe://prod.example/ns/commerce/sa/order-sync"
    name = ((COUNTRY, "US"), (ORGANISATION, "SPIFFE"))
    top = make(root(subject=name, names=uri(f"spiffe://{domain}")))
    unique = ((NameOID.X500_UNIQUE_IDENTIFIER, "0123456789abcdef0123456789abcdef"),)
    leaf = Shape(uri(identity), AGREES, subject=((COUNTRY, "US"), (ORGANISATION, "SPIRE"), *unique))
    if not between:
        return identity, top, (make(leaf, top),)
    serial = ((NameOID.SERIAL_NUMBER, "271828182845904523536"),)
    server = make(root(subject=(*name, *serial), names=uri(f"spiffe://{domain}")), top)
    return identity, top, (make(leaf, server), server)


def _istio(*, between: bool) -> Made:
    identity = "spiffe://cluster.local/ns/commerce/sa/order-sync"
    usages = ("digital_signature", "key_encipherment")
    top = make(root(subject=((ORGANISATION, "cluster.local"),), key=RSA_KEY))
    leaf = Shape(uri(identity), usages, subject=(), key=OTHER_RSA_KEY)
    if not between:
        return identity, top, (make(leaf, top),)
    name = ((ORGANISATION, "Istio"), (NameOID.COMMON_NAME, "Intermediate CA"))
    istiod = (x509.DNSName("istiod.istio-system.svc"),)
    signs = ("digital_signature", "content_commitment", "key_encipherment", "key_cert_sign")
    shape = root(subject=name, names=istiod, usages=signs, path_length=0)
    signer = make(shape, top)
    return identity, top, (make(leaf, signer), signer, top)


def _cert_manager() -> Made:
    identity = "spiffe://prod.example/ns/commerce/sa/order-sync"
    signs = ("digital_signature", "key_encipherment", "key_cert_sign")
    top = make(root(subject=((NameOID.COMMON_NAME, "csi-driver-spiffe-ca"),), usages=signs))
    leaf = make(Shape(uri(identity), ("digital_signature", "key_encipherment")), top)
    return identity, top, (leaf,)


def _consul() -> Made:
    domain = "1f2a3b4c-0000-4000-8000-000000000000.consul"
    identity = f"spiffe://{domain}/ns/default/dc/dc1/svc/order-sync"
    signs = ("digital_signature", "key_cert_sign", "crl_sign")
    name = ((NameOID.COMMON_NAME, "pri-1x.consul.ca.1f2a3b4c.consul"),)
    top = make(root(subject=name, names=uri(f"spiffe://{domain}"), usages=signs))
    usages = ("digital_signature", "data_encipherment", "key_encipherment", "key_agreement")
    return identity, top, (make(Shape(uri(identity), usages, life=timedelta(hours=72)), top),)


MESHES: dict[str, Made] = {
    "SPIRE": _spire(between=False),
    "SPIRE under another authority": _spire(between=True),
    "Istio": _istio(between=False),
    "Istio under an authority of one's own": _istio(between=True),
    "cert-manager": _cert_manager(),
    "Consul": _consul(),
}


@pytest.mark.parametrize("mesh", MESHES)
def test_a_meshs_workload_proves_who_it_is(mesh: str) -> None:
    """Strict is not the same as picky: what these authorities issue holds as it is."""
    identity, top, sent = MESHES[mesh]
    domain = identity.split("/")[2]
    svids = Svids({domain: TrustDomain("mesh", parse_bundle(top.pem))}, ManualClock())

    caller = svids.verify([link.der for link in sent])

    assert (caller.identity, caller.proof) == (identity, "client_certificate")
