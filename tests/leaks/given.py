"""What the broker is given to read: who may call, and its certificate."""

import hashlib
import re
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from sandbox.demo.identities import Identities
from sandbox.demo.stack import write_access
from tests.leaks.canaries import Canaries
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
