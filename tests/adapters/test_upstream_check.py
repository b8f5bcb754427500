"""The harmless read that tells whether a token is accepted: a server error may be a rejection, and may be an outage."""

import json

import pytest

from sandbox.server import RunningSandbox
from service.core.errors import (
    CredentialRefusedError,
    UpstreamAnswerError,
    UpstreamError,
    UpstreamRateLimitedError,
    UpstreamRefusedError,
)
from service.core.records import TokenStyle
from service.core.secret import Secret
from service.core.upstream_answers import MISMATCHED
from tests.adapters.calling import ACCESS_TOKEN, STORE, ObservedUpstream, issue, upstream_to
from tests.support.wire import answer, answering, scripted_server

TOKEN = Secret("t" * 31)
BROKEN = answer(b'{"code":500,"message":"oops"}', "500 Internal Server Error")
UNAUTHORIZED = answer(b'{"code":401,"data":{"errMsg":"no credentials"}}', "401 Unauthorized")
GOOD = answer(b'{"code":200,"data":[],"meta":{"message":"SUCCESS"}}')


def checked(
    *answers: bytes, style: TokenStyle = "x_auth_token"
) -> tuple[Exception | None, list[bytes]]:
    """Check a token against scripted answers, and return what was raised and what was asked."""
    with (
        scripted_server(answering(*answers)) as server,
        upstream_to(f"http://127.0.0.1:{server.port}") as upstream,
    ):
        try:
            upstream.check(STORE, style, TOKEN)
        except (UpstreamError, CredentialRefusedError) as error:
            return error, server.requests
        return None, server.requests


def test_a_pair_that_does_not_match_is_refused_though_the_answer_is_a_server_error(
    sandbox: RunningSandbox, upstream: ObservedUpstream
) -> None:
    """As the upstream documents it; a request without any token shows that it is well."""
    del sandbox
    with pytest.raises(CredentialRefusedError) as refused:
        upstream.check("zzz999", "x_auth_token", ACCESS_TOKEN)

    assert refused.value.reason == MISMATCHED
    assert upstream.observed["probe", "token_rejected"] == 1


@pytest.mark.parametrize("status", ["500 Internal Server Error", "502 Bad Gateway", "503 Away"])
def test_a_server_error_is_a_rejection_where_the_upstream_is_well(status: str) -> None:
    """The probe carries no token of either style."""
    error, requests = checked(answer(b"{}", status), UNAUTHORIZED)

    assert isinstance(error, CredentialRefusedError)
    assert len(requests) == 2
    assert b"x-auth-token" in requests[0].lower()
    assert b"token" not in requests[1].lower().replace(b"b2b", b"")
    assert b"x-store-hash" not in requests[1].lower()


@pytest.mark.parametrize(
    "probe",
    [
        BROKEN,
        GOOD,
        answer(b"<html>", "503 Service Unavailable"),
        answer(b"{}", "429 Too Many Requests"),
        answer(b"<html>"),
        answer(b'{"code":404,"message":"Not Found"}', "404 Not Found"),
    ],
)
def test_a_server_error_is_an_outage_where_the_probe_does_not_say_otherwise(probe: bytes) -> None:
    """A token is never condemned because the upstream is ill."""
    error, requests = checked(BROKEN, probe)

    assert isinstance(error, UpstreamAnswerError)
    assert len(requests) == 2


def test_a_token_that_is_a_header_of_its_own_is_never_probed() -> None:
    """The other style has no pair that could fail to match."""
    error, requests = checked(BROKEN, style="auth_token")

    assert isinstance(error, UpstreamAnswerError)
    assert len(requests) == 1


@pytest.mark.parametrize(
    "odd",
    [
        answer(b"<html>"),
        answer(b'{"code":200,"data":'),
        answer(b'{"code":422,"data":{"errMsg":"odd"}}'),
        answer(b"{}", "302 Found", "Location: /elsewhere"),
        answer(b"gone", "410 Gone"),
    ],
)
def test_an_answer_that_is_only_odd_is_no_rejection(odd: bytes) -> None:
    """Nor is it worth a probe: only a server error is what a mismatch is answered with."""
    error, requests = checked(odd, UNAUTHORIZED)

    assert isinstance(error, UpstreamError)
    assert len(requests) == 1


@pytest.mark.parametrize(
    ("said", "status", "expected"),
    [
        ({"code": 401}, "401 Unauthorized", CredentialRefusedError),
        ({"code": 403, "message": "Invalid access token"}, "403 Forbidden", CredentialRefusedError),
        ({"code": 403, "message": "Invalid Token"}, "403 Forbidden", CredentialRefusedError),
        ({"code": 401, "data": {"errMsg": "x"}}, "200 OK", CredentialRefusedError),
        ({"code": 40101, "data": {"errMsg": "Session"}}, "200 OK", CredentialRefusedError),
        ({"code": 403, "message": "Not enabled"}, "403 Forbidden", UpstreamRefusedError),
        ({"code": 404, "message": "Not Found"}, "404 Not Found", UpstreamRefusedError),
        ({"code": 429}, "429 Too Many Requests", UpstreamRateLimitedError),
    ],
)
@pytest.mark.parametrize("style", ["auth_token", "x_auth_token"])
def test_what_an_answer_means_for_the_token(
    said: object, status: str, expected: type[Exception], style: TokenStyle
) -> None:
    """A 403 for another reason condemns nothing."""
    error, _ = checked(answer(json.dumps(said).encode(), status), style=style)

    assert type(error) is expected


def test_a_revoked_token_is_refused_and_a_living_one_is_not(
    sandbox: RunningSandbox, upstream: ObservedUpstream
) -> None:
    """In the words of the sandbox."""
    token = issue(upstream)
    upstream.check(STORE, "auth_token", token)
    row = sandbox.state.ledger.find(token.reveal())
    assert row is not None
    upstream.delete(issue(upstream, "another"), row.id)

    with pytest.raises(CredentialRefusedError):
        upstream.check(STORE, "auth_token", token)
