"""What an answer must be: a problem of RFC 9457 with nothing of the input in it."""

import re
from urllib.parse import unquote

from werkzeug.test import TestResponse

CANARY = "canary7zq"
"""Part of every bad input. Lower-case letters and digits, so that it fits everywhere."""

# The problems of the API: name → status, title.
PROBLEMS = {
    "malformed": (400, "Malformed request"),
    "ambiguous_target": (400, "Ambiguous target"),
    "unauthenticated": (401, "Not authenticated"),
    "too_many_failures": (429, "Slow down"),
    "rate_limited": (429, "Slow down"),
    "credential_needed": (409, "Credential needed"),
    "token_rejected": (503, "Token rejected by the upstream"),
    "issuing_paused": (503, "Issuing paused"),
    "forbidden": (403, "Not allowed"),
    "never_proxied": (403, "Never forwarded"),
    "outside_request_scope": (403, "Outside the request scope"),
    "not_found": (404, "No such resource"),
    "store_unknown": (404, "Unknown store"),
    "key_unknown": (404, "Unknown key"),
    "key_in_use": (409, "Key in use"),
    "accessor_unknown": (404, "Unknown accessor"),
    "method_not_allowed": (405, "Method not allowed"),
    "store_locked": (423, "Store locked"),
    "store_not_active": (409, "Store not active"),
    "credential_refused": (409, "Credential refused"),
    "quarantined": (409, "Altered in storage"),
    "reference_invalid": (410, "Reference not valid"),
    "too_large": (413, "Too large"),
    "target_too_long": (414, "Target too long"),
    "wrong_media_type": (415, "Wrong media type"),
    "wrong_fields": (422, "Wrong fields"),
    "upstream_rate_limited": (429, "Slow down"),
    "headers_too_large": (431, "Headers too large"),
    "internal": (500, "Internal error"),
    "foreign_token": (502, "Token of another store"),
    "token_in_answer": (502, "Answer withheld"),
    "upstream_answer": (502, "Upstream answered badly"),
    "upstream_refused": (502, "Upstream refused"),
    "upstream_unreachable": (502, "Upstream not reachable"),
    "authentication_unavailable": (503, "Authentication not available"),
    "audit_unavailable": (503, "Audit trail not available"),
    "locked": (503, "Locked"),
    "storage_unavailable": (503, "Storage not available"),
    "store_busy": (503, "Store busy"),
    "upstream_timeout": (504, "Upstream timed out"),
}
_HEADERS_OF_STATUS = {"WWW-Authenticate": {401}, "Allow": {405}}


def assert_problem(answer: TestResponse, name: str) -> None:
    """Assert that an answer is exactly this problem, whole and well-formed."""
    status, title = PROBLEMS[name]
    body = answer.get_json()
    assert (answer.status_code, body["type"]) == (status, f"urn:b2b-broker:problem:{name}")
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.headers["Cache-Control"] == "no-store"
    assert (body["title"], body["status"]) == (title, status)
    assert isinstance(body["detail"], str)
    assert body["detail"]
    assert body["request_id"] == answer.headers["X-Request-Id"]
    for header, statuses in _HEADERS_OF_STATUS.items():
        assert (header in answer.headers) == (status in statuses)
    if status == 401:
        assert answer.headers["WWW-Authenticate"] == 'Bearer realm="b2b-broker"'


def assert_retry_after(answer: TestResponse, seconds: int) -> None:
    """Assert that the answer says when to come back."""
    assert answer.headers["Retry-After"] == str(seconds)


def says_canary(answer: TestResponse) -> list[str]:
    """Return where in an answer the canary stands, in whatever spelling."""
    parts = {"body": answer.text, **{f"header {n}": f"{n}: {v}" for n, v in answer.headers.items()}}
    return [where for where, text in parts.items() if CANARY in _plain(text)]


def _plain(text: str) -> str:
    escapes_undone = re.sub(
        r"\\u00([0-9a-fA-F]{2})", lambda match: chr(int(match[1], 16)), unquote(text)
    )
    return escapes_undone.lower()
