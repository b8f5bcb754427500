"""A good access file with every kind of entry, and how it is refused when a part of it is changed."""

import copy
import json
from typing import Any

from service.adapters.access_schema import AccessDocument, AccessFileError, parse_document

URL = "https://x"
CLUSTER = {
    "name": "k8s",
    "type": "kubernetes",
    "issuer": URL,
    "audience": "a",
    "jwks": {"url": URL},
    "api_server": {"url": URL},
}
COMPANY = {
    "name": "corp",
    "type": "oidc",
    "issuer": "https://y",
    "audience": "a",
    "jwks": {"file": "f"},
}
MESH = {
    "name": "mesh",
    "type": "spiffe",
    "trust_domain": "prod.example",
    "bundle": {"file": "f"},
    "audience": "a",
    "jwks": {"file": "f"},
}
MACHINES = {"name": "key", "type": "api_key", "keys": [{"name": "ci", "sha256": "0" * 64}]}
MINTER = {
    "name": "minter",
    "callers": ["corp:m"],
    "stores": ["abc"],
    "actions": ["reference.mint"],
    "limits": {"audiences": ["corp:w"], "requests": ["GET /x"]},
}
READER = {"name": "reader", "callers": ["corp:r"], "stores": ["*"], "actions": ["store.read"]}
TEST = {
    "caller": "corp:m",
    "action": "reference.mint",
    "store": "abc",
    "with": {"access": "proxy"},
    "expect": "allow",
}
GOOD: dict[str, Any] = {
    "version": 1,
    "issuers": [CLUSTER, COMPANY, MESH, MACHINES],
    "grants": [MINTER, READER],
    "tests": [TEST],
}
GONE = object()


def parsed(**changes: Any) -> AccessDocument:
    """Return the good file with values changed, or taken away by ``GONE``; ``issuers__0__name`` is a place in it."""
    document = copy.deepcopy(GOOD)
    for place, value in changes.items():
        *path, last = [int(part) if part.isdigit() else part for part in place.split("__")]
        entry: Any = document
        for part in path:
            entry = entry[part]
        if value is GONE:
            del entry[last]
        else:
            entry[last] = value
    # JSON is YAML, and has no aliases.
    return parse_document(json.dumps(document).encode())


def refusal(**changes: Any) -> str:
    """Return how the good file is refused with these changes; empty if it is not."""
    try:
        parsed(**changes)
    except AccessFileError as refused:
        return str(refused)
    return ""


def written(place: str) -> str:
    """Return a place as a refusal writes it: an issuer's type stands behind its number."""
    parts = place.split("__")
    if parts[0] == "issuers" and len(parts) > 1:
        parts.insert(2, GOOD["issuers"][int(parts[1])]["type"])
    return ".".join(parts)
