"""SPIFFE: workload identities as URIs, and the X.509 documents (SVIDs) that prove them.

The checks of an X.509-SVID, numbered; each block of code carries its number:

 1. the leaf has exactly one URI name, and it is a SPIFFE id with a path (a trust domain by itself is no workload)
 2. the id's trust domain is one that the access file names
 3. the chain ends at an authority of *that* trust domain's bundle, whomever the TLS listener trusts beside it
 4. the leaf is a leaf: no certificate authority, and its key signs; and it is for clients
 5. nothing in the chain has expired, looked at again for every request, because a connection can outlive its certificate

All failures look alike from outside. A chain that passed is remembered by its SHA-256 until the first of its certificates expires.

Source: SPIFFE-ID §2; X509-SVID §2 to §5; RFC 5280 §6.
"""

import hashlib
import re
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cryptography import x509
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from service.core.caller import Caller
from service.core.clock import Clock
from service.core.errors import UnauthenticatedError

Chain = Sequence[bytes]
"""Certificates in DER: the leaf, then what signed it, as the peer sent them."""

_SCHEME = "spiffe://"
_TRUST_DOMAIN = re.compile(r"[a-z0-9._-]{1,255}", re.ASCII)
_SEGMENT = re.compile(r"(?!\.{1,2}$)[A-Za-z0-9._-]+", re.ASCII)
# As long as an identity may be anywhere in the broker; SPIFFE itself allows more.
_LONGEST = 300
_REMEMBERED = 1_000
# What reading a certificate may raise; only some of it is a ValueError.
_UNREADABLE = (
    ValueError,
    x509.InvalidVersion,
    x509.ExtensionNotFound,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)


class BundleError(ValueError):
    """The trust bundle is refused; the text names the rule."""


def trust_domain_of(identity: str) -> str | None:
    """Return the trust domain of a workload's SPIFFE id, or None for anything else."""
    if len(identity) > _LONGEST or not identity.startswith(_SCHEME):
        return None
    domain, *segments = identity.removeprefix(_SCHEME).split("/")
    if not segments or not all(_SEGMENT.fullmatch(segment) for segment in segments):
        return None
    return domain if _TRUST_DOMAIN.fullmatch(domain) else None


@dataclass(frozen=True, slots=True)
class TrustDomain:
    """One trust domain of the access file.

    Attributes:
        issuer: The name of the entry.
        authorities: Whose signatures count.
    """

    issuer: str
    authorities: Store


def parse_bundle(content: bytes) -> Store:
    """Return the authorities of a trust bundle: PEM certificates.

    Raises:
        BundleError: It has none, or is not readable.
    """
    try:
        authorities = x509.load_pem_x509_certificates(content)
    except _UNREADABLE:
        authorities = []
    # A file that is just being written may end within a certificate, which the parser passes over.
    if not authorities or len(authorities) != content.count(b"-----BEGIN CERTIFICATE-----"):
        raise BundleError("a trust bundle is one or more certificates in PEM")
    return Store(authorities)


class Svids:
    """Verifies X.509-SVIDs of a fixed set of trust domains."""

    def __init__(self, trust_domains: Mapping[str, TrustDomain], clock: Clock) -> None:
        """Take the trust domains by name."""
        self._trust_domains = trust_domains
        self._clock = clock
        self._seen: OrderedDict[bytes, Caller] = OrderedDict()

    def verify(self, chain: Chain) -> Caller:
        """Return the caller whose certificate this is.

        Raises:
            UnauthenticatedError: A check failed; ``reason`` says which, for the audit trail only.
        """
        digest = hashlib.sha256(b"".join(chain)).digest()
        caller = self._seen.get(digest)
        if caller is not None and caller.expires_at and caller.expires_at > self._clock():  # 5
            return caller
        caller = self._verify(chain)
        self._seen[digest] = caller
        while len(self._seen) > _REMEMBERED:
            self._seen.popitem(last=False)
        return caller

    def vouched(self, identity: str) -> Caller:
        """Return the caller that a trusted proxy says it verified.

        Raises:
            UnauthenticatedError: That is no workload of a trust domain of ours.
        """
        return Caller(identity, self._trust_domain(identity).issuer, "forwarded_certificate")

    def _verify(self, chain: Chain) -> Caller:
        try:
            leaf, *between = (x509.load_der_x509_certificate(link) for link in chain)
            identity, signs = _identity(leaf), _signs(leaf)
        except _UNREADABLE:
            raise _refused("unreadable") from None
        trust_domain = self._trust_domain(identity)
        verified = _verified(leaf, between, trust_domain.authorities, self._clock)  # 3, 4, 5
        if not signs:  # 4
            raise _refused("no_leaf")
        ends_at = min(link.not_valid_after_utc for link in verified)
        return Caller(identity, trust_domain.issuer, "client_certificate", ends_at)

    def _trust_domain(self, identity: str) -> TrustDomain:
        found = self._trust_domains.get(trust_domain_of(identity) or "")  # 1, 2
        if found is None:
            raise _refused("trust_domain_unknown")
        return found


def _identity(leaf: x509.Certificate) -> str:
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    if len(uris) != 1:  # 1
        raise _refused("not_one_uri")
    return uris[0]


def _verified(
    leaf: x509.Certificate, between: Sequence[x509.Certificate], authorities: Store, clock: Clock
) -> list[x509.Certificate]:
    """Return the chain up to its authority; the verifier's own rules for leaves cover clients and certificate authorities."""
    verifier = PolicyBuilder().store(authorities).time(clock()).build_client_verifier()
    try:
        return verifier.verify(leaf, list(between)).chain
    except VerificationError:
        raise _refused("chain") from None


def _signs(leaf: x509.Certificate) -> bool:
    """Tell whether a key is for signing, and not for signing certificates (X509-SVID §4.3)."""
    try:
        usage = leaf.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return False
    return usage.digital_signature and not usage.key_cert_sign and not usage.crl_sign


def _refused(reason: str) -> UnauthenticatedError:
    return UnauthenticatedError(
        "The proof of identity does not hold.", reason=f"certificate_{reason}"
    )
