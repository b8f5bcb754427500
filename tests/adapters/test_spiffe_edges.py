"""Certificates and bundles at the edge of what the library reads, and chains that end before their leaf does."""

import base64
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from service.adapters.access_source import AccessFile
from service.adapters.issuer_links import IssuerLinks
from service.adapters.jwk_sets import JwkSetError, parse_spiffe_bundle
from service.adapters.spiffe import BundleError, Svids, TrustDomain, parse_bundle
from service.core.clock import Clock
from service.core.errors import UnauthenticatedError
from tests.adapters.meshed_files import BY_CERTIFICATE, Files, same_time
from tests.adapters.svid_tokens import bundle
from tests.support.clock import ManualClock
from tests.support.svids import DOMAIN, Shape, Svid, make, root

ROOT = make(root())
LEAF = make(Shape(), ROOT)


def _svids(clock: Clock, top: Svid = ROOT) -> Svids:
    return Svids({DOMAIN: TrustDomain("mesh", parse_bundle(top.pem))}, clock)


def _version_5(der: bytes) -> bytes:
    return der.replace(b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x04", 1)


def _strange_name() -> bytes:
    names = x509.UnrecognizedExtension(
        x509.ObjectIdentifier("2.5.29.17"), bytes.fromhex("3004a3023000")
    )
    subject = ((NameOID.COMMON_NAME, "x"),)
    return make(Shape(names=None, subject=subject, more=((names, False),)), ROOT).der


def _two_lists_of_names() -> bytes:
    placeholder, names = bytes([6, 3, 0x55, 0x1D, 99]), bytes([6, 3, 0x55, 0x1D, 17])
    again = x509.UnrecognizedExtension(x509.ObjectIdentifier("2.5.29.99"), b"\x30\x00")
    return make(Shape(more=((again, False),)), ROOT).der.replace(placeholder, names)


def _pem(der: bytes) -> bytes:
    body = base64.encodebytes(der)
    return b"-----BEGIN CERTIFICATE-----\n" + body + b"-----END CERTIFICATE-----\n"


@pytest.mark.parametrize(
    "chain",
    [
        (_version_5(LEAF.der),),
        (LEAF.der, _version_5(LEAF.der)),
        (_strange_name(),),
        (_two_lists_of_names(),),
    ],
    ids=["version 5", "version 5 behind a good leaf", "a name of a strange kind", "two lists"],
)
def test_a_certificate_that_the_library_cannot_read_is_refused_like_any_other(
    chain: tuple[bytes, ...],
) -> None:
    """Whoever has a good certificate could else cause errors with what it sends behind it."""
    with pytest.raises(UnauthenticatedError):
        _svids(ManualClock()).verify(chain)


def test_a_chain_through_an_authority_with_constraints_on_uris_is_refused() -> None:
    """The verifier does not know them, and does not pass over what it does not know."""
    constraints = x509.NameConstraints([x509.UniformResourceIdentifier(DOMAIN)], None)
    between = make(root("between", more=((constraints, True),)), ROOT)

    with pytest.raises(UnauthenticatedError):
        _svids(ManualClock()).verify([make(Shape(), between).der, between.der])


def test_a_bundle_that_the_library_cannot_read_shows_as_a_problem(tmp_path: Path) -> None:
    """The version before stays in force, and the refusal is told."""
    files = Files(tmp_path)
    told: list[bool] = []
    path = files.write(files.issuers(BY_CERTIFICATE))
    source = AccessFile(path, same_time, IssuerLinks(), told.append)
    files.named("bundle.pem").write_bytes(_pem(_version_5(ROOT.der)))

    source.reload()

    assert told == [False]
    assert "PEM" in source.problem


def test_a_half_written_bundle_is_refused_as_a_whole() -> None:
    """Half of the authorities would lock out half of the workloads."""
    with pytest.raises(BundleError):
        parse_bundle(ROOT.pem + make(root()).pem[:-40])


def test_a_bundle_without_a_key_for_tokens_is_refused() -> None:
    """It could verify nobody, and nobody would know why."""
    with pytest.raises(JwkSetError):
        parse_spiffe_bundle(bundle())


def test_a_chain_is_not_remembered_beyond_the_end_of_what_signed_the_leaf() -> None:
    """A chain is as good as its weakest link, also the second time."""
    clock = ManualClock()
    between = make(root("between", life=timedelta(minutes=5)), ROOT)
    chain = [make(Shape(), between).der, between.der]
    svids = _svids(clock)
    svids.verify(chain)
    clock.move(timedelta(minutes=6))

    with pytest.raises(UnauthenticatedError):
        svids.verify(chain)


def test_a_chain_is_not_remembered_beyond_the_end_of_its_authority() -> None:
    """The authority in the bundle counts as well."""
    clock = ManualClock()
    top = make(root(life=timedelta(minutes=5)))
    leaf = make(Shape(), top)
    svids = _svids(clock, top)
    svids.verify([leaf.der])
    clock.move(timedelta(minutes=6))

    with pytest.raises(UnauthenticatedError):
        svids.verify([leaf.der])
