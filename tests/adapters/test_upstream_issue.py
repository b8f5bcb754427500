"""Issuing against the sandbox: one request, whatever comes of it, and what that says of the outcome."""

import json
from datetime import timedelta

import pytest

from sandbox.demo.processes import free_port
from sandbox.server import RunningSandbox
from service import __version__
from service.core.errors import (
    CredentialRefusedError,
    ForeignTokenError,
    UpstreamAnswerError,
    UpstreamError,
    UpstreamRateLimitedError,
    UpstreamRefusedError,
    UpstreamTimeoutError,
    UpstreamUnreachableError,
)
from service.core.secret import Secret
from tests.adapters.calling import EMAIL, PASSWORD, STORE, ObservedUpstream, issue, upstream_to
from tests.support.wire import answer, answering, scripted_server


@pytest.mark.parametrize("shape", ["list", "object", "token_array"])
def test_a_token_is_taken_from_each_shape(
    sandbox: RunningSandbox, upstream: ObservedUpstream, shape: str
) -> None:
    """The three shapes of ``data`` mean the same."""
    sandbox.state.behaviours.set(create_shape=shape)

    token = issue(upstream, "b2b-broker/test/1")

    (row,) = sandbox.state.ledger.tokens
    assert (row.token, row.name) == (token.reveal(), "b2b-broker/test/1")
    assert upstream.observed == {("issue", "ok"): 1}


def test_an_issue_is_one_post_with_the_brokers_name_on_it(
    sandbox: RunningSandbox, upstream: ObservedUpstream
) -> None:
    """What goes out is what is documented, and nothing else of ours."""
    issue(upstream)

    (request,) = sandbox.state.requests
    headers = {name.lower(): value for name, value in request.headers}
    assert (request.method, request.target) == ("POST", "/api/io/auth/backend")
    assert headers["user-agent"] == f"b2b-credential-broker/{__version__}"
    assert headers["content-type"] == headers["accept"] == "application/json"
    assert headers["accept-encoding"] == "identity"
    assert "authtoken" not in headers


@pytest.mark.parametrize(
    ("email", "password", "reason"),
    [
        (EMAIL, Secret("wrong"), "credential_incorrect"),
        (Secret("nobody@abc123.example"), PASSWORD, "credential_incorrect"),
        (
            Secret("staff@abc123.example"),
            Secret("staff password abc123"),
            "role_forbidden",
        ),
    ],
)
def test_a_refused_credential_says_which_refusal_it_is(
    sandbox: RunningSandbox,
    upstream: ObservedUpstream,
    email: Secret,
    password: Secret,
    reason: str,
) -> None:
    """All are HTTP 400 and differ by their text only."""
    with pytest.raises(CredentialRefusedError) as caught:
        upstream.issue(STORE, email, password, "a-name")

    assert caught.value.reason == reason
    assert sandbox.state.ledger.tokens == []
    assert upstream.observed == {("issue", reason): 1}


# outcome of the sandbox → our error, and how many tokens it made
OUTCOMES: dict[str, tuple[type[UpstreamError], int]] = {
    "commit_then_drop": (UpstreamAnswerError, 1),
    "commit_then_hang": (UpstreamTimeoutError, 1),
    "commit_then_500": (UpstreamAnswerError, 1),
    "drop_before_commit": (UpstreamAnswerError, 0),
    "hang": (UpstreamTimeoutError, 0),
    "status_500": (UpstreamAnswerError, 0),
    "status_503": (UpstreamAnswerError, 0),
    "status_429": (UpstreamRateLimitedError, 0),
    "ok_with_422_body": (UpstreamRefusedError, 0),
    "saving_error": (UpstreamAnswerError, 0),
    "html": (UpstreamAnswerError, 0),
    "redirect": (UpstreamAnswerError, 0),
    "empty_token": (UpstreamAnswerError, 1),
    "huge_body": (UpstreamAnswerError, 1),
    "wrong_store_claim": (ForeignTokenError, 1),
}


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_an_issue_is_sent_once_and_its_outcome_never_guessed(
    sandbox: RunningSandbox, outcome: str
) -> None:
    """Wherever a token may have been made, the error says *perhaps*."""
    sandbox.state.behaviours.set(create_outcome=outcome, create_hang_seconds=20)
    expected, made = OUTCOMES[outcome]
    timeout = timedelta(seconds=1 if expected is UpstreamTimeoutError else 15)

    with (
        upstream_to(sandbox.url, timeout=timeout) as upstream,
        pytest.raises(expected) as caught,
    ):
        issue(upstream)

    assert len(sandbox.state.requests) == 1
    assert len(sandbox.state.ledger.tokens) == made
    assert caught.value.processed >= bool(made)
    assert caught.value.reason
    assert upstream.observed == {("issue", caught.value.reason): 1}


def test_a_refused_connection_had_no_effect() -> None:
    """Nothing listens, so no byte arrived, and nothing was made."""
    with (
        upstream_to(f"http://127.0.0.1:{free_port()}") as upstream,
        pytest.raises(UpstreamUnreachableError) as caught,
    ):
        issue(upstream)

    assert not caught.value.processed
    assert caught.value.reason == "upstream_unreachable"


def test_a_rate_limit_says_when_to_come_back(
    sandbox: RunningSandbox, upstream: ObservedUpstream
) -> None:
    """The upstream's Retry-After is passed on."""
    sandbox.state.behaviours.set(create_outcome="status_429")

    with pytest.raises(UpstreamRateLimitedError) as caught:
        issue(upstream)

    assert caught.value.retry_after is not None
    assert caught.value.retry_after.total_seconds() == 7


def test_a_rate_limit_may_say_it_as_a_date() -> None:
    """It counts from the answer's own date, whatever our clock says."""
    later, now = "Retry-After: Mon, 23 Nov 2020 12:00:40 GMT", "Date: Mon, 23 Nov 2020 12:00:00 GMT"
    refused = answer(b"", "429 Too Many Requests", later, now)
    with (
        scripted_server(answering(refused)) as server,
        upstream_to(f"http://127.0.0.1:{server.port}") as upstream,
        pytest.raises(UpstreamRateLimitedError) as caught,
    ):
        issue(upstream)

    assert caught.value.retry_after is not None
    assert caught.value.retry_after.total_seconds() == 40


def test_no_error_shows_the_credential(sandbox: RunningSandbox, upstream: ObservedUpstream) -> None:
    """Neither the text nor the arguments of an error hold what was sent or answered."""
    sandbox.state.behaviours.set(create_outcome="wrong_store_claim")

    with pytest.raises(ForeignTokenError) as caught:
        issue(upstream)

    shown = json.dumps([repr(caught.value), str(caught.value.__context__), caught.value.reason])
    assert PASSWORD.reveal() not in shown
    assert sandbox.state.ledger.tokens[0].token not in shown
