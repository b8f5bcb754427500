"""An access file's snapshot in memory: a few identities, each with a workload token and an API key. Fulfils ``Access``."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from cryptography import x509

from service.core.caller import Caller
from service.core.errors import UnauthenticatedError
from service.core.policy import Policy
from service.core.secret import Secret
from tests.support.clock import START
from tests.support.world import MINTER, OPERATOR, POLICY, WORKER

STRANGER = "k8s:elsewhere/nobody"
"""Can prove who it is, and no grant names it."""
MESHED = "spiffe://prod.example/ns/commerce/sa/order-sync"
PROXY = "spiffe://prod.example/ns/edge/sa/envoy"
"""Named in the settings: its word about client certificates counts."""
IDENTITIES = (OPERATOR, MINTER, WORKER, STRANGER)
TOKEN_ENDS = START + timedelta(hours=1)


def token_of(identity: str) -> str:
    """Return the workload token of an identity."""
    return f"token-{hashlib.sha256(identity.encode()).hexdigest()}"


def key_of(identity: str) -> str:
    """Return the API key of an identity."""
    return f"key-{hashlib.sha256(identity.encode()).hexdigest()}"


class FakeAccess:
    """Knows the callers of ``IDENTITIES`` and nobody else."""

    def __init__(self, policy: Policy = POLICY) -> None:
        self.policy = replace(policy, digest=hashlib.sha256(repr(policy).encode()).hexdigest())

    def by_token(self, token: Secret) -> Caller:
        """See ``Access.by_token``."""
        for identity in IDENTITIES:
            if token.reveal() == token_of(identity):
                return Caller(identity, "cluster", "workload_token", TOKEN_ENDS)
        raise UnauthenticatedError("The proof of identity does not hold.", reason="token_unknown")

    def by_key(self, key: Secret) -> Caller:
        """See ``Access.by_key``."""
        for identity in IDENTITIES:
            if key.reveal() == key_of(identity):
                return Caller(identity, "key", "api_key")
        raise UnauthenticatedError("The proof of identity does not hold.", reason="key_unknown")

    def by_certificate(self, chain: Sequence[bytes]) -> Caller:
        """See ``Access.by_certificate``; a certificate with one URI name proves it."""
        leaf = x509.load_der_x509_certificate(chain[0])
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        (uri,) = names.get_values_for_type(x509.UniformResourceIdentifier)
        return Caller(uri, "mesh", "client_certificate", TOKEN_ENDS)

    def vouched(self, identity: str) -> Caller:
        """See ``Access.vouched``."""
        if identity.startswith("spiffe://prod.example/"):
            return Caller(identity, "mesh", "forwarded_certificate")
        raise UnauthenticatedError(
            "The proof of identity does not hold.", reason="certificate_trust_domain_unknown"
        )
