"""Problems: the one table from errors to HTTP, as RFC 9457 documents with fixed texts.

Nothing that a caller sent is ever part of a problem, and an error that is not in the table is a plain 500.
"""

import json
import math
from dataclasses import dataclass
from http import HTTPStatus

import structlog
from werkzeug import Response
from werkzeug.exceptions import HTTPException

from service.core import errors
from service.core.errors import BrokerError
from service.web.rate_fields import add_rate_fields
from service.web.visit import Visit

TYPE = "urn:b2b-broker:problem:"
MEDIA_TYPE = "application/problem+json"
PROXY_NAME = "b2b-broker"


@dataclass(frozen=True, slots=True)
class Problem:
    """One row of the table.

    Attributes:
        name: The last part of the type.
        status: The HTTP status.
        title: What kind of problem it is.
        proxy_error: The error type of RFC 9209 §2.3 that the proxy names it by.
    """

    name: str
    status: int
    title: str
    proxy_error: str = "http_request_denied"


PROBLEMS: dict[type[BrokerError], Problem] = {
    errors.MalformedError: Problem("malformed", 400, "Malformed request", "http_request_error"),
    errors.AmbiguousTargetError: Problem("ambiguous_target", 400, "Ambiguous target"),
    errors.UnauthenticatedError: Problem("unauthenticated", 401, "Not authenticated"),
    errors.TooManyFailuresError: Problem("too_many_failures", 429, "Slow down"),
    errors.RateLimitedError: Problem("rate_limited", 429, "Slow down"),
    errors.ForbiddenError: Problem("forbidden", 403, "Not allowed"),
    errors.NeverProxiedError: Problem("never_proxied", 403, "Never forwarded"),
    errors.ScopeError: Problem("outside_request_scope", 403, "Outside the request scope"),
    errors.StoreUnknownError: Problem("store_unknown", 404, "Unknown store"),
    errors.AccessorUnknownError: Problem("accessor_unknown", 404, "Unknown accessor"),
    errors.KeyUnknownError: Problem("key_unknown", 404, "Unknown key"),
    errors.KeyInUseError: Problem("key_in_use", 409, "Key in use"),
    errors.StoreNotActiveError: Problem("store_not_active", 409, "Store not active"),
    errors.StoreLockedError: Problem("store_locked", 423, "Store locked"),
    errors.CredentialNeededError: Problem("credential_needed", 409, "Credential needed"),
    errors.CredentialRefusedError: Problem("credential_refused", 409, "Credential refused"),
    errors.ReferenceInvalidError: Problem("reference_invalid", 410, "Reference not valid"),
    errors.UpstreamRateLimitedError: Problem(
        "upstream_rate_limited", 429, "Slow down", "http_upstream_error"
    ),
    errors.UpstreamTimeoutError: Problem(
        "upstream_timeout", 504, "Upstream timed out", "http_response_timeout"
    ),
    errors.UpstreamUnreachableError: Problem(
        "upstream_unreachable", 502, "Upstream not reachable", "destination_unavailable"
    ),
    errors.UpstreamRefusedError: Problem(
        "upstream_refused", 502, "Upstream refused", "http_protocol_error"
    ),
    errors.UpstreamAnswerError: Problem(
        "upstream_answer", 502, "Upstream answered badly", "http_protocol_error"
    ),
    errors.ForeignTokenError: Problem(
        "foreign_token", 502, "Token of another store", "http_protocol_error"
    ),
    errors.TokenLeakError: Problem(
        "token_in_answer", 502, "Answer withheld", "http_protocol_error"
    ),
    errors.TokenRejectedError: Problem(
        "token_rejected", 503, "Token rejected by the upstream", "http_upstream_error"
    ),
    errors.IssuingPausedError: Problem("issuing_paused", 503, "Issuing paused"),
    errors.StoreBusyError: Problem("store_busy", 503, "Store busy"),
    errors.IssuerAwayError: Problem(
        "authentication_unavailable", 503, "Authentication not available", "proxy_internal_error"
    ),
    errors.IntegrityError: Problem("quarantined", 409, "Altered in storage"),
    errors.LockedError: Problem("locked", 503, "Locked", "proxy_internal_error"),
    errors.StorageError: Problem(
        "storage_unavailable", 503, "Storage not available", "proxy_internal_error"
    ),
    errors.AuditError: Problem(
        "audit_unavailable", 503, "Audit trail not available", "proxy_internal_error"
    ),
}
WRONG_FIELDS = Problem("wrong_fields", 422, "Wrong fields", "http_request_error")
WRONG_MEDIA_TYPE = Problem("wrong_media_type", 415, "Wrong media type", "http_request_error")
INTERNAL = Problem("internal", 500, "Internal error", "proxy_internal_error")
# What Flask itself refuses, before any route of ours is reached.
ROUTING = {
    400: Problem("malformed", 400, "Malformed request", "http_request_error"),
    404: Problem("not_found", 404, "No such resource"),
    405: Problem("method_not_allowed", 405, "Method not allowed"),
    413: Problem("too_large", 413, "Too large", "http_request_error"),
    414: Problem("target_too_long", 414, "Target too long", "http_request_error"),
    431: Problem("headers_too_large", 431, "Headers too large", "http_request_error"),
}


class WrongFieldsError(Exception):
    """The body is JSON, but not what this operation takes.

    Attributes:
        fields: For each wrong field, where it is and which rule it breaks; never what it held.
    """

    def __init__(self, fields: list[dict[str, str]]) -> None:
        super().__init__()
        self.fields = fields


class WrongMediaTypeError(Exception):
    """The body is not announced as JSON."""


def answer_broker_error(visit: Visit, error: BrokerError) -> Response:
    """Return the problem of one of our errors."""
    problem = next((PROBLEMS[kind] for kind in type(error).__mro__ if kind in PROBLEMS), INTERNAL)
    visit.reason = error.reason
    extra: dict[str, object] = {}
    if isinstance(
        error,
        errors.StoreNotActiveError
        | errors.StoreLockedError
        | errors.CredentialRefusedError
        | errors.KeyInUseError,
    ):
        # What an operator needs to act on: a status or one of the fixed reasons.
        extra["reason"] = error.reason
    response = problem_response(visit, problem, error.detail, extra)
    if error.retry_after is not None:
        seconds = max(1, math.ceil(error.retry_after.total_seconds()))
        response.headers["Retry-After"] = str(seconds)
    if isinstance(error, errors.RateLimitedError) and error.allowance is not None:
        add_rate_fields(response.headers, error.allowance)
    if isinstance(error, errors.UnauthenticatedError):
        response.headers["WWW-Authenticate"] = 'Bearer realm="b2b-broker"'
    return response


def answer_wrong_fields(visit: Visit, error: WrongFieldsError) -> Response:
    """Return the problem of a body with wrong fields."""
    return problem_response(
        visit, WRONG_FIELDS, "Some fields are missing, unknown or wrong.", {"errors": error.fields}
    )


def answer_wrong_media_type(visit: Visit) -> Response:
    """Return the problem of a body that is not JSON."""
    return problem_response(visit, WRONG_MEDIA_TYPE, "The body is application/json.", {})


def answer_http_exception(visit: Visit, error: HTTPException) -> Response:
    """Return the problem of something that Flask refused."""
    status = error.code or 500
    problem = ROUTING.get(status)
    if problem is None:
        phrase = HTTPStatus(status).phrase if 400 <= status < 500 else INTERNAL.title  # noqa: PLR2004 — 4xx
        problem = Problem("refused", status, phrase) if status < 500 else INTERNAL  # noqa: PLR2004 — 5xx
    response = problem_response(visit, problem, f"{problem.title}.", {})
    for name, value in error.get_headers():
        if name == "Allow":
            response.headers[name] = value
    return response


def answer_unexpected(visit: Visit, error: Exception) -> Response:
    """Return the problem of a defect, and log where it is, without any values."""
    structlog.get_logger().error("unexpected_error", kind=type(error).__name__, exc_info=error)
    return problem_response(visit, INTERNAL, "The broker failed; the log tells more.", {})


def raw_problem(status: int) -> bytes:
    """Return a whole HTTP answer, for a request that was refused before there was one."""
    problem = ROUTING.get(status, INTERNAL)
    content = json.dumps(
        {
            "type": TYPE + problem.name,
            "title": problem.title,
            "status": problem.status,
            "detail": f"{problem.title}.",
            "request_id": "",
        }
    )
    head = (
        f"HTTP/1.1 {problem.status} {HTTPStatus(problem.status).phrase}\r\nContent-Type: {MEDIA_TYPE}\r\n"
        f"Content-Length: {len(content)}\r\nCache-Control: no-store\r\nConnection: close\r\n"
        # It may have been for the proxy.
        f"Proxy-Status: {PROXY_NAME}; error={problem.proxy_error}\r\n\r\n"
    )
    return (head + content).encode("ascii")


def problem_response(
    visit: Visit, problem: Problem, detail: str, extra: dict[str, object]
) -> Response:
    """Return a problem document."""
    visit.problem = problem.name
    body = {
        "type": TYPE + problem.name,
        "title": problem.title,
        "status": problem.status,
        "detail": detail,
        "request_id": visit.request_id,
        **extra,
    }
    response = Response(json.dumps(body), problem.status, content_type=MEDIA_TYPE)
    response.headers["Cache-Control"] = "no-store"
    if visit.proxied:
        response.headers["Proxy-Status"] = f"{PROXY_NAME}; error={problem.proxy_error}"
    return response
