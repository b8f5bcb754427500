"""What the upstream's answers mean, in one table.

The upstream says the same thing in several ways (upstream.md §1.1, §2.2 to §2.4): success only when the status is 2xx *and* the body's
``code`` is 2xx or absent *and* there is no ``errMsg``; a wrong password and a forbidden role are both HTTP 400 and differ only by their
text; a token comes in three shapes. Whatever is not recognised is unknown, never guessed.
"""

import base64
import binascii
import json
import re
from datetime import datetime, timedelta
from typing import Any

from service.core.clock import from_millis
from service.core.errors import (
    CredentialRefusedError,
    ForeignTokenError,
    UpstreamAnswerError,
    UpstreamError,
    UpstreamRateLimitedError,
    UpstreamRefusedError,
)
from service.core.records import TokenStyle
from service.core.secret import Secret
from service.core.strict_json import BadJsonError, parse_json

_TOKEN = re.compile(r"[\x21-\x7e]{16,8192}", re.ASCII)
_REFUSALS = (
    (re.compile("email or password .*incorrect", re.IGNORECASE), "credential_incorrect"),
    (re.compile("role forbidden", re.IGNORECASE), "role_forbidden"),
)
# Documented with 400; the others are where one would expect it.
_REFUSING = (400, 401, 403)
# Statuses with which the application itself says no before it does anything. Others (408, 409, 425, 499 …) may come from a
# gateway whose application went on.
_SAID_NO = (400, 401, 403, 404, 405, 413, 415, 422)
# Seen with 422, and known to go away by itself (upstream.md §3): the upstream got as far as saving.
_PERHAPS_SAVED = re.compile("saving error", re.IGNORECASE)
_REJECTED_CODE = re.compile(rb'\s*\{\s*"code"\s*:\s*(?:401|40101)\b')
_PERHAPS_MISMATCHED = (500, 502, 503)
MISMATCHED = "token_mismatched"
"""The reason of a token that the upstream fails with while it is well enough to refuse a request without any: most likely the token belongs
to another store, but a part of the upstream may be down just as well."""
_DEFAULT_WAIT = timedelta(seconds=10)
_END_OF_TIME = 10**11
_HTTP_DATE = "%a, %d %b %Y %H:%M:%S GMT"
_LONGEST_WAIT = timedelta(minutes=5)


def issued_token(status: int, body: bytes, store_hash: str, retry_after: str | None) -> Secret:
    """Return the token of an answer to ``POST /api/io/auth/backend``.

    Raises:
        CredentialRefusedError: ``credential_incorrect`` or ``role_forbidden``.
        ForeignTokenError: The token names another store.
        UpstreamError: Everything else; its ``processed`` tells whether a token may have been made.
    """
    fields = success(status, body, retry_after)
    token = _token_of(fields.get("data"))
    if token is None or not _TOKEN.fullmatch(token):
        raise _unusable()
    if _store_claim(token) not in (None, store_hash):
        raise ForeignTokenError(
            "The upstream answered with a token of another store.", reason="token_of_another_store"
        )
    return Secret(token)


def success(status: int, body: bytes, retry_after: str | None) -> dict[str, Any]:
    """Return the body of a successful answer.

    Raises:
        CredentialRefusedError: The upstream refused e-mail and password, or the role.
        UpstreamError: It is not a successful answer.
    """
    fields = _envelope(body)
    text = _error_text(status, fields)
    code = fields.get("code", 200) if fields is not None else None
    if status // 100 == 2 and fields is not None and _is_2xx(code) and not text:  # noqa: PLR2004 — 2xx
        return fields
    raise _failure(status, code, text, retry_after)


def credential_rejected(status: int, body: bytes) -> bool:
    """Tell whether an answer to an ordinary request says that the token itself is not accepted (upstream.md §2.3)."""
    if status == 403:  # noqa: PLR2004 — Forbidden
        return b"token" in body.lower()
    # An error may come with status 200 (upstream.md §2.4); the envelope begins with its code.
    return status == 401 or _REJECTED_CODE.match(body) is not None  # noqa: PLR2004 — Unauthorized


def token_suspected(status: int, head: bytes, style: TokenStyle) -> bool:
    """Tell whether an answer may mean that the token itself is not accepted, so that it is worth a check.

    Args:
        status: Of the answer.
        head: The beginning of its body.
        style: Of the token. A mismatch of the unified pair is answered with a server error (upstream.md §2.1), which a check tells
            from an outage.
    """
    return perhaps_mismatched(status, style) or credential_rejected(status, head)


def perhaps_mismatched(status: int, style: TokenStyle) -> bool:
    """Tell whether an answer may be what the upstream says to a token and a store hash that do not match (upstream.md §2.1)."""
    return style == "x_auth_token" and status in _PERHAPS_MISMATCHED


def bounded_wait(retry_after: str | None) -> timedelta:
    """Return how long to wait according to a ``Retry-After`` in seconds, within sensible bounds.

    Args:
        retry_after: A number of seconds, however large; everything else counts as nothing said.
    """
    if retry_after is None or not re.fullmatch(r"[0-9]{1,100}", retry_after.strip()):
        return _DEFAULT_WAIT
    longest = int(_LONGEST_WAIT.total_seconds())
    return timedelta(seconds=min(max(int(retry_after), 1), longest))


def seconds_of(retry_after: str | None, date: str | None) -> str | None:
    """Return a ``Retry-After`` in seconds, also when it is a date; then it counts from the answer's own, so that no clock matters.

    Source: RFC 9110 §10.2.3.
    """
    try:
        begin, end = (datetime.strptime(text or "", _HTTP_DATE) for text in (date, retry_after))  # noqa: DTZ007 — both are GMT
    except ValueError:  # one of them is no date
        return retry_after
    return str(max(0, int((end - begin).total_seconds())))


def _failure(
    status: int, code: object, text: str, retry_after: str | None
) -> UpstreamError | CredentialRefusedError:
    said = code if _is_2xx(status) else status
    for pattern, reason in _REFUSALS:
        if said in _REFUSING and pattern.search(text):
            return CredentialRefusedError("The upstream refused the credential.", reason=reason)
    if status == 429:  # noqa: PLR2004 — Too Many Requests
        return UpstreamRateLimitedError(
            "The upstream asks for a slower pace.",
            reason="upstream_rate_limited",
            retry_after=bounded_wait(retry_after),
        )
    if text and said in _SAID_NO and not _PERHAPS_SAVED.search(text):
        return UpstreamRefusedError(
            "The upstream says that the request is not valid.", reason="upstream_refused"
        )
    return _unusable()


def _unusable() -> UpstreamAnswerError:
    return UpstreamAnswerError(
        "The upstream's answer cannot be relied on.", reason="upstream_answer_unusable"
    )


def _envelope(body: bytes) -> dict[str, Any] | None:
    try:
        fields = parse_json(body)
    except BadJsonError:
        return None
    return fields if isinstance(fields, dict) else None


def _error_text(status: int, fields: dict[str, Any] | None) -> str:
    """Return the error text of any of the envelopes, as one string; empty when there is none."""
    if fields is None:
        return ""
    data = fields.get("data")
    message = data.get("errMsg") if isinstance(data, dict) else None
    if not message and not (_is_2xx(status) and _is_2xx(fields.get("code", 200))):
        meta = fields.get("meta")
        message = meta.get("message") if isinstance(meta, dict) else None
        message = message or fields.get("message") or fields.get("detail") or fields.get("title")
    message = message or fields.get("errMsg") or ""
    return message if isinstance(message, str) else json.dumps(message)


def _token_of(data: object) -> str | None:
    """Return the token from ``data[0].token``, ``data.token`` or ``data.token[0]``."""
    holder = data[0] if isinstance(data, list) and len(data) == 1 else data
    token = holder.get("token") if isinstance(holder, dict) else None
    if isinstance(token, list) and len(token) == 1:
        token = token[0]
    return token if isinstance(token, str) else None


def expiry_of(token: Secret) -> datetime | None:
    """Return when a token says that it ends; None for one that says nothing, as is usual (upstream.md §1.5).

    The token is not verified, and need not be: it came from the upstream itself, and ending early only means renewing early.
    """
    expiry = _claims(token.reveal()).get("exp")
    if isinstance(expiry, bool) or not isinstance(expiry, int | float):
        return None
    return from_millis(int(expiry) * 1000) if 0 < expiry < _END_OF_TIME else None


def is_server_token(token: str, store_hash: str) -> bool:
    """Tell whether a token says that it is a server-to-server token of a store; a buyer's names channels as well (upstream.md §1.5)."""
    claims = _claims(token)
    return claims.get("store_hash") == store_hash and "channel_ids" not in claims


def _store_claim(token: str) -> object:
    """Return what an unverified token says of its store; None if it says nothing readable."""
    return _claims(token).get("store_hash")


def _claims(token: str) -> dict[str, Any]:
    parts = token.split(".")
    if len(parts) != 3:  # noqa: PLR2004 — a JWT has three parts
        return {}
    try:
        claims = parse_json(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (BadJsonError, binascii.Error):
        return {}
    return claims if isinstance(claims, dict) else {}


def _is_2xx(code: object) -> bool:
    return isinstance(code, int) and 200 <= code < 300  # noqa: PLR2004 — 2xx
