"""A folder with an access file of trust domains, and everything that it names."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from service.adapters.access_file import AccessFileError, read_access_file
from tests.adapters.svid_tokens import MESH_SET
from tests.adapters.tokens import EC_KEY, jwk_set, public_jwk
from tests.support.svids import DOMAIN, Shape, Svid, make, root

NOW = datetime.now(UTC)
ROOT, NEXT, OTHER = (make(root(), now=NOW) for _ in range(3))
LEAF = make(Shape(), ROOT, NOW)
BY_CERTIFICATE = "bundle: {{file: {folder}/bundle.pem}}"
BY_TOKEN = "audience: b2b-broker\n    jwks: {{file: {folder}/bundle.json}}"
GRANTS = """\
grants:
  - {{name: workers, callers: ["spiffe://prod.example/ns/commerce/sa/*"], stores: ["*"], actions: [reference.redeem]}}
tests:
  - {{caller: "spiffe://prod.example/ns/commerce/sa/order-sync", action: reference.redeem, store: abc123, expect: allow}}
  - {{caller: "spiffe://prod.example/ns/other/sa/order-sync", action: reference.redeem, store: abc123, expect: deny}}
  - {{caller: "spiffe://prod.example/ns/commerce/sa/x/y", action: reference.redeem, store: abc123, expect: deny}}
"""


class Files:
    """A folder with an access file and what it names."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "access.yaml"
        self.write_bundle(ROOT)
        self.named("bundle.json").write_bytes(MESH_SET)
        self.named("corp-jwks.json").write_bytes(jwk_set(public_jwk("ec", EC_KEY)))

    def named(self, name: str) -> Path:
        """Return the path of a file that the access file names."""
        return self.folder / name

    def write_bundle(self, *authorities: Svid) -> None:
        """Replace the bundle of certificates."""
        self.named("bundle.pem").write_bytes(b"".join(svid.pem for svid in authorities))

    def issuers(self, *proofs: str, name: str = "mesh", domain: str = DOMAIN) -> str:
        """Return the entry of a trust domain."""
        lines = [f"name: {name}", "type: spiffe", f"trust_domain: {domain}"]
        parts = [*lines, *(proof.format(folder=self.folder) for proof in proofs)]
        return "  - " + "\n    ".join(parts) + "\n"

    def write(self, *entries: str) -> str:
        """Write the access file with these issuers, and return its path."""
        grants = GRANTS.format()
        self.path.write_text(f"version: 1\nissuers:\n{''.join(entries)}{grants}", "utf-8")
        return str(self.path)

    def refusal(self, *entries: str) -> str:
        """Return why the access file with these issuers is refused."""
        with pytest.raises(AccessFileError) as refused:
            read_access_file(self.write(*entries), same_time)
        assert "\n" not in str(refused.value)
        return str(refused.value)


def same_time() -> datetime:
    """Return the time at which everything here holds."""
    return NOW
