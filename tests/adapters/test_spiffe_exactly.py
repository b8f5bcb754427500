"""X.509-SVIDs to the last detail: when the memory of one ends, how many there are, and the word for each refusal at the edges."""

from datetime import timedelta

import pytest

from service.adapters.spiffe import BundleError, Svids, TrustDomain, parse_bundle, trust_domain_of
from service.core.caller import Caller
from service.core.errors import UnauthenticatedError
from tests.support.clock import START, ManualClock
from tests.support.svids import DOMAIN, IDENTITY, Shape, make, root, uri

ROOT = make(root())
LEAF = make(Shape(), ROOT)
VERSION_5 = LEAF.der.replace(b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x04", 1)
CALLER = Caller(IDENTITY, "mesh", "client_certificate")


@pytest.fixture
def clock() -> ManualClock:
    """The time, which the test moves."""
    return ManualClock()


@pytest.fixture
def svids(clock: ManualClock) -> Svids:
    """A verifier that has seen nothing."""
    return Svids({DOMAIN: TrustDomain("mesh", parse_bundle(ROOT.pem))}, clock)


def test_in_its_last_moment_a_certificate_is_verified_and_not_remembered(
    svids: Svids, clock: ManualClock
) -> None:
    """The moment of its end is the last in which it is valid (RFC 5280 §4.1.2.5)."""
    first = svids.verify([LEAF.der])
    assert first.expires_at is not None

    clock.now = first.expires_at
    again = svids.verify([LEAF.der])

    assert again == first
    assert again is not first


def test_a_proof_ends_with_the_first_end_in_its_chain(svids: Svids) -> None:
    """What was sent along and signed nothing does not count."""
    short, long = timedelta(minutes=5), timedelta(minutes=90)
    between = make(root("between", life=short), ROOT)
    leaf = make(Shape(life=long), between)
    lone = make(Shape(life=short), ROOT)

    below_short = svids.verify([leaf.der, between.der])
    below_root = svids.verify([lone.der])
    beside = svids.verify([LEAF.der, between.der])

    ends = [caller.expires_at for caller in (below_short, below_root, beside)]
    assert ends == [START + short, START + short, LEAF.certificate.not_valid_after_utc]


def test_a_thousand_certificates_are_remembered(svids: Svids) -> None:
    """As many workloads as that are connected at once, if at all."""
    svids._seen.update({str(number).encode(): CALLER for number in range(999)})
    first = next(iter(svids._seen))

    svids.verify([LEAF.der])
    full = (len(svids._seen), first in svids._seen)
    svids.verify([make(Shape(), ROOT).der])

    assert full == (1_000, True)
    assert (len(svids._seen), first in svids._seen) == (1_000, False)


@pytest.mark.parametrize(
    ("identity", "domain"),
    [
        ("spiffe://a/x", "a"),
        ("spiffe://amz059._-/amzAMZ059._-", "amz059._-"),
        ("spiffe://a/...", "a"),
        ("spiffe://a/.a", "a"),
    ],
)
def test_every_sign_of_an_id_may_stand_in_it(identity: str, domain: str) -> None:
    """The shortest as well."""
    assert trust_domain_of(identity) == domain


@pytest.mark.parametrize(
    ("chain", "reason"),
    [
        ((VERSION_5,), "unreadable"),
        ((LEAF.der, VERSION_5), "unreadable"),
        ((make(Shape(names=uri(IDENTITY, IDENTITY)), ROOT).der,), "not_one_uri"),
        ((make(Shape(usages=None), ROOT).der,), "no_leaf"),
        ((make(Shape(usages=None)).der,), "chain"),
        ((make(Shape(names=uri("spiffe://x/y"))).der,), "trust_domain_unknown"),
    ],
)
def test_the_audit_trail_knows_which_check_it_was(
    svids: Svids, chain: tuple[bytes, ...], reason: str
) -> None:
    """And whoever logs a trace sees nothing of what was beneath."""
    with pytest.raises(UnauthenticatedError) as refused:
        svids.verify(chain)

    assert refused.value.reason == f"certificate_{reason}"
    assert refused.value.detail == "The proof of identity does not hold."
    assert refused.value.__suppress_context__ or refused.value.__context__ is None


@pytest.mark.parametrize(
    "content",
    [
        b"",
        ROOT.pem[:-40],
        ROOT.pem + ROOT.pem[:-40],
        ROOT.pem[:-40] + ROOT.pem,
        ROOT.pem.replace(b"CERTIFICATE", b"X509 CRL"),
    ],
    ids=["nothing", "cut", "the second cut", "the first cut", "something else"],
)
def test_a_bundle_is_whole_or_refused_by_its_rule(content: bytes) -> None:
    """However much of it could be read."""
    with pytest.raises(BundleError) as refused:
        parse_bundle(content)

    assert str(refused.value) == "a trust bundle is one or more certificates in PEM"
