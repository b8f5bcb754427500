"""X.509-SVIDs: which chains prove a workload, and which do not, whoever signed them."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from service.adapters.spiffe import Svids, TrustDomain, parse_bundle
from service.core.caller import Caller
from service.core.errors import UnauthenticatedError
from tests.support.clock import START, ManualClock
from tests.support.svids import CLIENT, DOMAIN, IDENTITY, SERVER, Shape, Svid, make, root, uri

ROOT, NEXT, OTHER = make(root()), make(root()), make(root("other"))
BETWEEN = make(root("between", names=uri(f"spiffe://{DOMAIN}"), path_length=0), ROOT)
LEAF = make(Shape(), ROOT)
NAMED = ((NameOID.COMMON_NAME, "order-sync"),)
DNS = x509.DNSName("order-sync.commerce.svc")
MINUTE = timedelta(minutes=1)


def svids(*authorities: Svid, clock: ManualClock | None = None) -> Svids:
    """Return a verifier that knows two trust domains: ours by these authorities, and another."""
    ours = parse_bundle(b"".join(authority.pem for authority in authorities or (ROOT, NEXT)))
    domains = {
        DOMAIN: TrustDomain("mesh", ours),
        "other.example": TrustDomain("other", parse_bundle(OTHER.pem)),
    }
    return Svids(domains, clock or ManualClock())


def reason(verifier: Svids, *chain: Svid | bytes) -> str:
    """Return why a chain is refused; empty if it is not."""
    try:
        verifier.verify([link.der if isinstance(link, Svid) else link for link in chain])
    except UnauthenticatedError as refused:
        return f"{refused.reason}: {refused.detail}"
    return ""


def test_a_leaf_proves_its_one_uri() -> None:
    """Identity, issuer and end of the proof are the certificate's."""
    caller = svids().verify([LEAF.der])

    ends = START + timedelta(hours=1)
    assert caller == Caller(IDENTITY, "mesh", "client_certificate", ends)


# what → the leaf, with whatever is sent behind it
HELD: dict[str, tuple[Svid, ...]] = {
    "under an authority between": (make(Shape(), BETWEEN), BETWEEN),
    "with the root sent too": (make(Shape(), BETWEEN), BETWEEN, ROOT),
    "with others' certificates behind it": (LEAF, OTHER, make(Shape(), OTHER)),
    "under the next root": (make(Shape(), NEXT),),
    "with a DNS name beside the URI": (make(Shape(names=(DNS, *uri(IDENTITY))), ROOT),),
    "with a subject": (make(Shape(subject=NAMED), ROOT),),
    "for clients only": (make(Shape(extended=(CLIENT,)), ROOT),),
    "for whatever it likes": (make(Shape(extended=None), ROOT),),
    "with an RSA key": (make(Shape(key=rsa.generate_private_key(65537, 2048)), ROOT),),
    "with a larger curve": (make(Shape(key=ec.generate_private_key(ec.SECP384R1())), ROOT),),
    "in its last second": (make(Shape(life=timedelta(seconds=1)), ROOT),),
}


@pytest.mark.parametrize("what", HELD)
def test_a_chain_that_holds_proves_the_workload(what: str) -> None:
    """What authorities of meshes really issue, in the middle of a rotation as well."""
    assert reason(svids(), *HELD[what]) == ""


UNSIGNED = make(Shape())
UNHEARD = ((x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3"), b"\5\0"), True),)
FORGED_BETWEEN = make(root("between"), OTHER)
REFUSED: dict[str, tuple[str, tuple[Svid | bytes, ...]]] = {
    # 1: the name
    "no names": ("unreadable", (make(Shape(names=None, subject=NAMED), ROOT),)),
    "a DNS name only": ("not_one_uri", (make(Shape(names=(DNS,)), ROOT),)),
    "two URIs": ("not_one_uri", (make(Shape(names=uri(IDENTITY, f"{IDENTITY}-2")), ROOT),)),
    "the same URI twice": ("not_one_uri", (make(Shape(names=uri(IDENTITY, IDENTITY)), ROOT),)),
    "a URI of another scheme": (
        "trust_domain_unknown",
        (make(Shape(names=uri(f"https://{DOMAIN}/x")), ROOT),),
    ),
    "a trust domain alone": (
        "trust_domain_unknown",
        (make(Shape(names=uri(f"spiffe://{DOMAIN}")), ROOT),),
    ),
    "the id as a DNS name": (
        "not_one_uri",
        (make(Shape(names=(x509.DNSName(IDENTITY),)), ROOT),),
    ),
    "the id as the subject": (
        "not_one_uri",
        (make(Shape(names=(DNS,), subject=((NameOID.COMMON_NAME, IDENTITY),)), ROOT),),
    ),
    # 2: the trust domain
    "an unknown trust domain": (
        "trust_domain_unknown",
        (make(Shape(names=uri("spiffe://unknown.example/x")), ROOT),),
    ),
    "a domain beneath ours": (
        "trust_domain_unknown",
        (make(Shape(names=uri(f"spiffe://x.{DOMAIN}/x")), ROOT),),
    ),
    # 3: the authority
    "another trust domain's authority": ("chain", (make(Shape(), OTHER),)),
    "another trust domain's authority, with our root": ("chain", (make(Shape(), OTHER), ROOT)),
    "our authority for another trust domain": (
        "chain",
        (make(Shape(names=uri("spiffe://other.example/x")), ROOT),),
    ),
    "nobody's authority": ("chain", (make(Shape(), make(root())),)),
    "nobody's authority, sent along": ("chain", (make(Shape(), NOBODY := make(root())), NOBODY)),
    "signed by itself": ("chain", (UNSIGNED,)),
    "an authority between that is not sent": ("chain", (make(Shape(), BETWEEN),)),
    "the authority between of another domain": (
        "chain",
        (make(Shape(), FORGED_BETWEEN), FORGED_BETWEEN),
    ),
    "a namesake between": ("chain", (make(Shape(), BETWEEN), FORGED_BETWEEN)),
    "signed by a leaf": ("chain", (make(Shape(), LEAF), LEAF)),
    "signed by what is too far down": (
        "chain",
        (make(Shape(), DEEP := make(root("deep"), BETWEEN)), DEEP, BETWEEN),
    ),
    "an expired authority between": (
        "chain",
        (make(Shape(), PAST := make(root("past", life=-MINUTE), ROOT)), PAST),
    ),
    # 4: the leaf
    "an authority": ("chain", (make(Shape(authority=True), ROOT),)),
    "an authority that signs": (
        "chain",
        (make(Shape(authority=True, usages=("digital_signature", "key_cert_sign")), ROOT),),
    ),
    "no authority, and signs certificates": (
        "chain",
        (make(Shape(usages=("digital_signature", "key_cert_sign")), ROOT),),
    ),
    "signs revocations": (
        "no_leaf",
        (make(Shape(usages=("digital_signature", "crl_sign")), ROOT),),
    ),
    "a key that does not sign": ("no_leaf", (make(Shape(usages=("key_encipherment",)), ROOT),)),
    "a key for nothing in particular": ("no_leaf", (make(Shape(usages=None), ROOT),)),
    "for servers only": ("chain", (make(Shape(extended=(SERVER,)), ROOT),)),
    "for code": ("chain", (make(Shape(extended=(ExtendedKeyUsageOID.CODE_SIGNING,)), ROOT),)),
    "with something critical that nobody knows": ("chain", (make(Shape(more=UNHEARD), ROOT),)),
    # 5: its time
    "expired": ("chain", (make(Shape(life=-MINUTE), ROOT),)),
    "expired a second ago": ("chain", (make(Shape(life=timedelta(seconds=-1)), ROOT),)),
    "not valid yet": ("chain", (make(Shape(begins=MINUTE), ROOT),)),
    # no certificate at all
    "nothing": ("unreadable", ()),
    "no bytes": ("unreadable", (b"",)),
    "garbage": ("unreadable", (b"\x30\x03garbage",)),
    "PEM": ("unreadable", (LEAF.pem,)),
    "cut": ("unreadable", (LEAF.der[:-1],)),
    "more behind it": ("unreadable", (LEAF.der + b"\0",)),
    "two in one": ("unreadable", (LEAF.der + ROOT.der,)),
    "garbage behind it": ("unreadable", (LEAF, b"garbage")),
    "the root itself": ("not_one_uri", (make(root(names=(DNS,))),)),
}


@pytest.mark.parametrize("what", REFUSED)
def test_a_chain_that_does_not_hold_proves_nothing(what: str) -> None:
    """One sentence for all of them; the audit trail knows which check it was."""
    expected, chain = REFUSED[what]

    said = f"certificate_{expected}: The proof of identity does not hold."
    assert reason(svids(), *chain) == said


def test_an_authority_that_left_the_bundle_counts_no_more() -> None:
    """Both roots hold during a rotation, and the old one does not after it."""
    old, new = make(Shape(), ROOT), make(Shape(), NEXT)
    during, after = svids(ROOT, NEXT), svids(NEXT)

    assert [reason(during, old), reason(during, new)] == ["", ""]
    assert [bool(reason(after, old)), reason(after, new)] == [True, ""]


def test_an_authority_between_may_be_the_anchor() -> None:
    """A bundle names who is trusted; it need not be a root."""
    assert reason(svids(BETWEEN), make(Shape(), BETWEEN)) == ""
    assert reason(svids(BETWEEN), make(Shape(), ROOT)).startswith("certificate_chain: ")


def test_an_expired_root_holds_nothing() -> None:
    """Although it stands in the bundle."""
    past = make(root("past", life=-MINUTE))

    assert reason(svids(past), make(Shape(), past)).startswith("certificate_chain: ")


def _damaged(good: Svid, bit: int) -> Iterator[bytes]:
    """Yield a certificate with one bit changed, at every place behind its version.

    NOTE: how many bits of the signature's last byte are unused is signed by nobody, and changes nothing.
    """
    version = good.der.index(b"\xa0\x03\x02\x01\x02")
    unused = good.der.rindex(good.certificate.signature) - 1
    for place in range(version + 5, len(good.der)):
        if place != unused:
            changed = bytearray(good.der)
            changed[place] ^= 1 << bit
            yield bytes(changed)


# The library warns of a serial number that the damage made negative.
@pytest.mark.filterwarnings("ignore:Parsed a serial number")
@pytest.mark.parametrize("bit", range(8))
def test_a_certificate_with_one_bit_changed_proves_nothing(bit: int) -> None:
    """Wherever it is, in the leaf or in the authority between."""
    leaf, verifier = make(Shape(), BETWEEN), svids()
    sent = [(changed, BETWEEN.der) for changed in _damaged(leaf, bit)]
    sent += [(leaf.der, changed) for changed in _damaged(BETWEEN, bit)]
    refused = 0

    for chain in sent:
        refused += bool(reason(verifier, *chain))

    assert refused == len(sent)
