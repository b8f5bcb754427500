"""Token values that look like the real ones (§1.5).

A real token's payload is the same for every token of one user and store. Here each token is signed
with a key of its own which is thrown away, so that every value is unique: nobody verifies
signatures, the ledger is what knows the tokens.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
from typing import Any

JWT_PARTS = 3


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


_HEADER = _base64url(b'{"typ":"JWT","alg":"HS256"}')


def make_token(
    email: str, store_hash: str, begin_at: int | None = None, end_at: int | None = None
) -> str:
    """Make a token value that no other call will make.

    Args:
        email: The claim of that name, in clear, as in the real ones.
        store_hash: The claim of that name.
        begin_at: Unix seconds; becomes `nbf` if there is an end.
        end_at: Unix seconds; becomes `exp`. Without it the token carries no time at all.
    """
    claims: dict[str, Any] = {"email": email, "store_hash": store_hash, "db": "default"}
    if end_at is not None:
        claims |= {"nbf": begin_at or 0, "exp": end_at}
    signed = f"{_HEADER}.{_base64url(json.dumps(claims, separators=(',', ':')).encode())}"
    signature = hmac.new(secrets.token_bytes(32), signed.encode(), hashlib.sha256).digest()
    return f"{signed}.{_base64url(signature)}"


def looks_like_jwt(value: str) -> bool:
    """Tell a token of the legacy style from an access token by its form."""
    return value.startswith("eyJ") and value.count(".") == JWT_PARTS - 1


def unverified_claims(token: str) -> dict[str, Any]:
    """Read the payload without believing it; empty when it cannot be read."""
    if not looks_like_jwt(token):
        return {}
    payload = token.split(".")[1]
    try:
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except ValueError:
        return {}
    return claims if isinstance(claims, dict) else {}
