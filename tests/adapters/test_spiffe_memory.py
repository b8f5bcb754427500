"""What is remembered of certificates, and what a bundle is."""

from datetime import timedelta

import pytest

from service.adapters import spiffe
from service.adapters.spiffe import BundleError, Svids, TrustDomain, parse_bundle
from service.core.caller import Caller
from service.core.errors import UnauthenticatedError
from tests.support.clock import ManualClock
from tests.support.svids import DOMAIN, IDENTITY, Shape, Svid, make, root, uri

ROOT = make(root())


class Verifier:
    """Verifies chains under ``ROOT`` at a time that the test moves."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.svids = Svids({DOMAIN: TrustDomain("mesh", parse_bundle(ROOT.pem))}, self.clock)

    def __call__(self, *chain: Svid) -> Caller:
        return self.svids.verify([link.der for link in chain])


@pytest.fixture
def verify() -> Verifier:
    """A verifier that has seen nothing."""
    return Verifier()


def test_a_certificate_that_was_seen_gives_the_same_caller(verify: Verifier) -> None:
    """The second request of a connection costs a digest and a look."""
    leaf = make(Shape(), ROOT)

    assert verify(leaf) is verify(leaf)


def test_a_certificate_is_remembered_until_it_expires_and_not_beyond(verify: Verifier) -> None:
    """A connection can outlive its certificate, so the time is looked at for every request."""
    leaf = make(Shape(life=timedelta(minutes=10)), ROOT)
    first = verify(leaf)

    verify.clock.move(timedelta(minutes=10) - timedelta(microseconds=1))
    remembered = verify(leaf)
    verify.clock.move(timedelta(seconds=2))

    assert remembered is first
    with pytest.raises(UnauthenticatedError) as refused:
        verify(leaf)
    assert refused.value.reason == "certificate_chain"


def test_a_refused_chain_is_not_remembered(verify: Verifier) -> None:
    """Garbage does not take the place of what is good, and what was too early holds when its time has come."""
    early = make(Shape(begins=timedelta(minutes=1)), ROOT)

    for _ in range(2):
        with pytest.raises(UnauthenticatedError):
            verify(early)
    held = len(verify.svids._seen)
    verify.clock.move(timedelta(minutes=1))

    assert held == 0
    assert verify(early).identity == IDENTITY


def test_only_so_many_certificates_are_remembered(
    verify: Verifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The oldest go first, so memory is bounded however many certificates a workload goes through."""
    monkeypatch.setattr(spiffe, "_REMEMBERED", 2)
    leaves = [make(Shape(names=uri(f"{IDENTITY}-{number}")), ROOT) for number in range(3)]

    callers = [verify(leaf) for leaf in leaves]

    assert len(verify.svids._seen) == 2
    assert verify(leaves[2]) is callers[2]
    assert verify(leaves[0]) is not callers[0]
    assert len(verify.svids._seen) == 2


def test_one_leaf_is_remembered_with_what_was_sent_behind_it(verify: Verifier) -> None:
    """A chain that holds says nothing of the same leaf in another chain: here only one has the authority between."""
    between = make(root("between"), ROOT)
    leaf = make(Shape(), between)
    whole = verify(leaf, between)

    with pytest.raises(UnauthenticatedError):
        verify(leaf)
    assert verify(leaf, between) is whole


def test_what_one_bundle_held_says_nothing_of_the_next(verify: Verifier) -> None:
    """A reload makes a new verifier, and with it a new memory."""
    leaf = make(Shape(), ROOT)
    verify(leaf)
    replaced = Svids({DOMAIN: TrustDomain("mesh", parse_bundle(make(root()).pem))}, verify.clock)

    with pytest.raises(UnauthenticatedError):
        replaced.verify([leaf.der])


@pytest.mark.parametrize(
    ("identity", "known"),
    [
        (IDENTITY, True),
        (f"spiffe://{DOMAIN}", False),
        (f"spiffe://{DOMAIN}/x/../y", False),
        ("spiffe://other.example/x", False),
        ("corp:ops-anna", False),
        ("", False),
    ],
)
def test_a_proxy_can_vouch_only_for_workloads_of_our_trust_domains(
    verify: Verifier, identity: str, *, known: bool
) -> None:
    """What a proxy says is an id like any other, and has no end."""
    if known:
        expected = Caller(identity, "mesh", "forwarded_certificate")
        assert verify.svids.vouched(identity) == expected
        return

    with pytest.raises(UnauthenticatedError) as refused:
        verify.svids.vouched(identity)
    assert refused.value.reason == "certificate_trust_domain_unknown"


PEM = ROOT.pem
BUNDLES = {
    "nothing": b"",
    "a blank line": b"\n",
    "no PEM": b"garbage",
    "DER": ROOT.der,
    "a cut certificate": PEM[:-40],
    "a certificate that is none": b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    "a good one and one that is none": PEM
    + b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    "something else in PEM": PEM.replace(b"CERTIFICATE", b"PUBLIC KEY"),
    "no text": b"\xff\xfe" * 100,
    "a JWK set": b'{"keys": []}',
}


@pytest.mark.parametrize("what", BUNDLES)
def test_a_bundle_that_is_none_is_refused(what: str) -> None:
    """As a whole: half a bundle would lock out half of the workloads."""
    with pytest.raises(BundleError, match=r"^a trust bundle is one or more certificates in PEM$"):
        parse_bundle(BUNDLES[what])


def test_a_bundle_may_have_comments_and_the_same_authority_twice(verify: Verifier) -> None:
    """As tools that join files make them."""
    content = b"# root of prod.example\n" + PEM + b"\r\n# again\n" + PEM
    svids = Svids({DOMAIN: TrustDomain("mesh", parse_bundle(content))}, verify.clock)

    assert svids.verify([make(Shape(), ROOT).der]).identity == IDENTITY
