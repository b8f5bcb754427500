"""Who is asking: an identity that has been proven, never one that is merely claimed."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

Proof = Literal["workload_token", "api_key", "client_certificate", "forwarded_certificate", "own"]
"""``own`` is the broker itself, in its own maintenance; no request ever comes with it."""


@dataclass(frozen=True, slots=True)
class Caller:
    """A workload or operator whose identity was proven for this request.

    Attributes:
        identity: The string that policy, references and the audit trail use, such as ``k8s:commerce/order-sync``.
        issuer: The name of the access file's issuer that vouches for it.
        proof: How it was proven.
        expires_at: When the proof ends; None for one that does not.
        names: What the identity is made of beside the issuer, as it was proven: for a service account its namespace and its name. None of
            them can hold a separator of the identity where that would make it ambiguous, so nobody has to take the identity apart again.
    """

    identity: str
    issuer: str
    proof: Proof
    expires_at: datetime | None = None
    names: tuple[str, ...] = ()
