"""What the broker is given to read: who may call, its certificate, its keys, and what it proves itself with to those that wrap them."""

import base64
import hashlib
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from sandbox.demo.identities import Identities
from sandbox.demo.stack import ROOT, make_keyring, write_access
from service.adapters.signing_key import new_signing_key
from tests.leaks.canaries import Canaries
from tests.support.key_services import Kms, Vault
from tests.support.svids import Shape, Svid, make, root
from tests.support.tls import ALWAYS

_KEYS = """\
  - name: key
    type: api_key
    keys: [{{name: ci, sha256: "{digest}"}}]
grants:
  - name: ci looks
    callers: ["key:ci"]
    stores: ["*"]
    actions: ["store.read", "reference.read"]
"""


def write_access_with_key(folder: Path, identities: Identities, api_key: str) -> Path:
    """Write the demo's access file with an API key, and with no limit on requests."""
    path = write_access(folder, identities)
    keys = _KEYS.format(digest=hashlib.sha256(api_key.encode()).hexdigest())
    text = re.sub(r"\n      requests: .*", "", path.read_text("utf-8"))
    path.write_text(text.replace("grants:\n", keys, 1), "utf-8")
    return path


def make_certificate(folder: Path, canaries: Canaries) -> Svid:
    """Write the broker's certificate and key, and return the authority."""
    authority = make(root("leaks", begins=-ALWAYS, life=ALWAYS))
    name = (x509.DNSName("localhost"),)
    svid = make(Shape(name, subject=(), begins=-ALWAYS, life=ALWAYS), authority)
    svid.write(folder, "tls")
    authority.write(folder, "leaks")
    number = svid.key.private_numbers().private_value  # type: ignore[union-attr]  # an elliptic curve's
    canaries.add("the TLS key's number", number.to_bytes(32))
    encoding, form = serialization.Encoding.DER, serialization.PrivateFormat.PKCS8
    der = svid.key.private_bytes(encoding, form, serialization.NoEncryption())
    canaries.add("the TLS key", der)
    return authority


def make_ring(folder: Path, vault: Vault, kms: Kms, canaries: Canaries) -> Mapping[str, str]:
    """Make a keyring of a plain key, which is primary, and one that each of the services wraps; and return its settings."""
    keyring = make_keyring(folder)
    for path in keyring.glob("*.key"):
        canaries.add("a key of the ring", base64.b64decode(path.read_bytes()))
    canaries.add("the Vault token", vault.token)
    canaries.add("the AWS secret access key", kms.secret_access_key)
    _keep(folder / "vault-token", vault.token)
    _keep(
        folder / "aws-credentials",
        f"[default]\naws_access_key_id = {kms.access_key_id}\naws_secret_access_key = {kms.secret_access_key}\n",
    )
    settings = {
        "BROKER_KEYRING_DIR": str(keyring),
        "BROKER_VAULT_URL": vault.url,
        "BROKER_VAULT_TOKEN_FILE": str(folder / "vault-token"),
        "BROKER_AWS_KMS_KEY": kms.key,
        "BROKER_AWS_REGION": kms.region,
        "BROKER_AWS_KMS_URL": kms.url,
        "BROKER_AWS_CREDENTIALS_FILE": str(folder / "aws-credentials"),
    }
    for key_id, wrap in (("by-vault", "vault"), ("by-kms", "aws-kms")):
        subprocess.run(  # noqa: S603 — arguments of our own
            [
                *(sys.executable, "-m", "service.cli", "keys", "new", str(keyring)),
                *("--id", key_id, "--wrap", wrap),
            ],
            env={"PYTHONPATH": str(ROOT), **settings},
            check=True,
            capture_output=True,
        )
    for plaintext in vault.plaintexts + kms.plaintexts:
        canaries.add("a wrapped key of the ring", plaintext)
    return settings


def make_signing_key(folder: Path, canaries: Canaries) -> Mapping[str, str]:
    """Write the key that signs the heads of the audit trail, and return its setting."""
    private, public = new_signing_key()
    path = folder / "audit.pem"
    _keep(path, private.decode("ascii"))
    (folder / "audit.pem.pub").write_bytes(public)
    key = serialization.load_pem_private_key(private, None)
    encoding, form = serialization.Encoding, serialization.PrivateFormat
    none = serialization.NoEncryption()
    # Apart, because every such key begins alike.
    canaries.add("the audit signing key", key.private_bytes(encoding.Raw, form.Raw, none))
    return {"BROKER_AUDIT_SIGNING_KEY_FILE": str(path)}


def _keep(path: Path, content: str) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "w", encoding="ascii") as file:
        file.write(content)
