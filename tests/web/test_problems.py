"""Every error has its problem, every problem its place in the table, and a defect says nothing of itself."""

from datetime import timedelta

import pytest
from structlog.typing import EventDict
from werkzeug.exceptions import BadGateway, Gone, HTTPException, ImATeapot

from service.core import errors
from service.core.errors import BrokerError
from service.web import problems
from tests.web.answers import CANARY, PROBLEMS, assert_problem, assert_retry_after, says_canary
from tests.web.calling import COMPANIES, Api

NAMES = {
    errors.MalformedError: "malformed",
    errors.AmbiguousTargetError: "ambiguous_target",
    errors.UnauthenticatedError: "unauthenticated",
    errors.TooManyFailuresError: "too_many_failures",
    errors.RateLimitedError: "rate_limited",
    errors.CredentialNeededError: "credential_needed",
    errors.TokenRejectedError: "token_rejected",
    errors.IssuingPausedError: "issuing_paused",
    errors.ForbiddenError: "forbidden",
    errors.NeverProxiedError: "never_proxied",
    errors.ScopeError: "outside_request_scope",
    errors.StoreUnknownError: "store_unknown",
    errors.AccessorUnknownError: "accessor_unknown",
    errors.KeyUnknownError: "key_unknown",
    errors.KeyInUseError: "key_in_use",
    errors.StoreLockedError: "store_locked",
    errors.StoreNotActiveError: "store_not_active",
    errors.CredentialRefusedError: "credential_refused",
    errors.UpstreamRateLimitedError: "upstream_rate_limited",
    errors.UpstreamTimeoutError: "upstream_timeout",
    errors.UpstreamUnreachableError: "upstream_unreachable",
    errors.UpstreamRefusedError: "upstream_refused",
    errors.UpstreamAnswerError: "upstream_answer",
    errors.ForeignTokenError: "foreign_token",
    errors.TokenLeakError: "token_in_answer",
    errors.StoreBusyError: "store_busy",
    errors.LockedError: "locked",
    errors.StorageError: "storage_unavailable",
    errors.AuditError: "audit_unavailable",
    errors.IssuerAwayError: "authentication_unavailable",
    errors.IntegrityError: "quarantined",
}

TELLS_REASON = {"store_not_active", "store_locked", "credential_refused", "key_in_use"}


@pytest.mark.parametrize(("kind", "name"), NAMES.items(), ids=NAMES.values())
def test_each_error_is_one_problem(
    api: Api, logs: list[EventDict], kind: type[BrokerError], name: str
) -> None:
    """Status, title and type are fixed; the reason is for the log, and the wait for the caller."""
    api.failure = kind("A fixed text.", reason="why", retry_after=timedelta(seconds=7))

    answer = api.ask("GET", COMPANIES)

    assert_problem(answer, name)
    assert_retry_after(answer, 7)
    assert answer.get_json()["detail"] == "A fixed text."
    assert ("reason" in answer.get_json()) == (name in TELLS_REASON)
    assert answer.headers["Proxy-Status"].startswith("b2b-broker; error=")
    assert (logs[-1]["problem"], logs[-1]["reason"]) == (name, "why")


def test_the_table_names_every_error_that_there_is() -> None:
    """A new error needs a problem, and one without would be a plain 500."""
    families = {BrokerError, errors.UpstreamError}
    kinds = {
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, BrokerError)
    }

    assert set(problems.PROBLEMS) == kinds - families


def test_every_problem_is_known_by_name_status_and_title() -> None:
    """The literal table of these tests and the one of the broker agree."""
    rows = [
        *problems.PROBLEMS.values(),
        *problems.ROUTING.values(),
        problems.WRONG_FIELDS,
        problems.WRONG_MEDIA_TYPE,
        problems.INTERNAL,
    ]

    assert {row.name: (row.status, row.title) for row in rows} == PROBLEMS


@pytest.mark.parametrize(
    ("millis", "seconds"), [(0, 1), (100, 1), (1000, 1), (1001, 2), (1500, 2), (17_000, 17)]
)
def test_a_wait_is_told_in_whole_seconds_and_never_cut_short(
    api: Api, millis: int, seconds: int
) -> None:
    """``Retry-After`` counts whole seconds (RFC 9110 §10.2.3); to come back early would be refused again, and zero a storm."""
    api.failure = errors.StoreBusyError("busy", retry_after=timedelta(milliseconds=millis))

    assert_retry_after(api.ask("GET", "/v1/stores"), seconds)


def test_an_error_without_a_wait_promises_none(api: Api) -> None:
    """Nobody is asked to come back for what will not change."""
    assert "Retry-After" not in api.ask("GET", "/v1/stores/unknown1").headers


@pytest.mark.parametrize(
    "defect", [RuntimeError(CANARY), KeyError(CANARY), errors.UpstreamError("x", reason=CANARY)]
)
def test_a_defect_is_500_with_a_fixed_text(api: Api, defect: Exception) -> None:
    """The message of an unexpected exception may hold anything, so nothing of it is told."""
    api.failure = defect

    answer = api.ask("GET", "/v1/stores")

    assert_problem(answer, "internal")
    assert says_canary(answer) == []


def test_a_defect_is_logged_by_its_kind(api: Api, logs: list[EventDict]) -> None:
    """Whoever operates the broker finds where it is."""
    api.failure = RuntimeError("x")

    api.ask("GET", "/v1/stores")

    (logged,) = [line for line in logs if line["event"] == "unexpected_error"]
    assert (logged["kind"], logged["log_level"]) == ("RuntimeError", "error")
    assert logs[-1]["problem"] == "internal"


@pytest.mark.parametrize(
    ("error", "status", "name", "title"),
    [
        (ImATeapot(CANARY), 418, "refused", "I'm a Teapot"),
        (Gone(CANARY), 410, "refused", "Gone"),
        (BadGateway(CANARY), 500, "internal", "Internal error"),
    ],
)
def test_what_flask_refuses_for_other_reasons_is_a_problem_too(
    api: Api, error: HTTPException, status: int, name: str, title: str
) -> None:
    """A status that the table does not list gets its standard phrase, and a 5xx is a defect."""
    api.failure = error

    answer = api.ask("GET", COMPANIES)

    assert (answer.status_code, answer.mimetype) == (status, "application/problem+json")
    assert (answer.get_json()["type"], answer.get_json()["title"]) == (
        f"urn:b2b-broker:problem:{name}",
        title,
    )
    assert says_canary(answer) == []


@pytest.mark.parametrize(
    ("status", "name"),
    [
        (400, "malformed"),
        (414, "target_too_long"),
        (431, "headers_too_large"),
        (500, "internal"),
        (599, "internal"),
    ],
)
def test_what_cannot_be_parsed_gets_a_whole_answer_too(status: int, name: str) -> None:
    """The server beneath sends it by itself, so it is complete HTTP and closes the connection."""
    head, _, content = problems.raw_problem(status).partition(b"\r\n\r\n")

    lines = head.decode("ascii").split("\r\n")
    assert lines[0].startswith(f"HTTP/1.1 {PROBLEMS[name][0]} ")
    assert f"Content-Length: {len(content)}" in lines
    assert "Content-Type: application/problem+json" in lines
    assert {"Cache-Control: no-store", "Connection: close"} <= set(lines)
    assert f'"urn:b2b-broker:problem:{name}"'.encode() in content


def test_what_cannot_be_parsed_is_told_from_an_answer_of_the_upstream() -> None:
    """It may have been for the proxy: a target that is too long, say."""
    assert b"\r\nProxy-Status: b2b-broker; error=http_request_error\r\n" in problems.raw_problem(
        414
    )
