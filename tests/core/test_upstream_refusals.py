"""What counts as a clear no of the upstream, and what does not though it looks like one (upstream.md §1.1, §2.2)."""

import json

import pytest

from service.core.errors import (
    BrokerError,
    CredentialRefusedError,
    UpstreamAnswerError,
    UpstreamRateLimitedError,
    UpstreamRefusedError,
)
from service.core.upstream_answers import success

WRONG = "The email or password you have entered is incorrect. Please try again."


def error_of(status: int, body: object) -> BrokerError:
    """Return what an answer is taken for."""
    with pytest.raises(BrokerError) as refused:
        success(status, json.dumps(body).encode(), None)
    return refused.value


@pytest.mark.parametrize("said", [400, 401, 403])
@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (WRONG, "credential_incorrect"),
        ("EMAIL OR PASSWORD is Incorrect", "credential_incorrect"),
        ("role forbidden", "role_forbidden"),
        ("Error: Role Forbidden.", "role_forbidden"),
    ],
)
def test_a_refused_credential_is_one_by_its_text_and_a_status_that_refuses(
    said: int, text: str, reason: str
) -> None:
    """Whether the status is HTTP's or the body's, and wherever the text stands."""
    by_status = error_of(said, {"code": said, "data": {"errMsg": text}})
    by_code = error_of(200, {"code": said, "data": {"errMsg": text}})
    by_detail = error_of(said, {"detail": text})

    for error in (by_status, by_code, by_detail):
        assert isinstance(error, CredentialRefusedError)
        assert error.reason == reason


@pytest.mark.parametrize("text", [WRONG, "role forbidden"])
@pytest.mark.parametrize("status", [200, 302, 404, 408, 409, 422, 429, 500, 502, 503])
def test_the_same_text_with_another_status_is_no_refusal_of_the_credential(
    status: int, text: str
) -> None:
    """An error page that quotes it must not lock a good password out."""
    body = {"code": status, "data": {"errMsg": text}}

    assert not isinstance(error_of(status, body), CredentialRefusedError)
    assert not isinstance(error_of(200, body), CredentialRefusedError)


@pytest.mark.parametrize("status", [400, 401, 403])
@pytest.mark.parametrize(
    "text",
    [
        "incorrect",
        "The captcha is incorrect",
        "Your password has expired",
        "email or password is missing",
        "forbidden",
        "API logic error",
    ],
)
def test_a_text_that_only_resembles_a_refusal_is_a_request_that_was_refused(
    status: int, text: str
) -> None:
    """The credential may be good, so it may be sent again."""
    error = error_of(status, {"code": status, "data": {"errMsg": text}})

    assert type(error) is UpstreamRefusedError
    assert not error.processed


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 413, 415, 422])
@pytest.mark.parametrize(
    "body",
    [
        pytest.param({"status": 400, "title": "Parameter Error.", "errors": {"1": "x"}}, id="D"),
        pytest.param({"detail": "Method not allowed."}, id="G"),
        pytest.param({"message": "Not Found"}, id="F without a code"),
        pytest.param({"errMsg": "no"}, id="errMsg at the top"),
        pytest.param({"meta": {"message": "Parameter Error"}, "data": {"errors": []}}, id="H"),
    ],
)
def test_every_envelope_of_an_error_is_read_without_a_code(status: int, body: object) -> None:
    """The application said no before it did anything."""
    error = error_of(status, body)

    assert type(error) is UpstreamRefusedError
    assert not error.processed


@pytest.mark.parametrize(
    "status", [300, 304, 402, 406, 407, 408, 409, 410, 412, 423, 424, 425, 499, 500, 502, 504, 507]
)
@pytest.mark.parametrize("text", ["no", WRONG])
def test_a_status_that_a_gateway_may_have_given_leaves_the_outcome_unknown(
    status: int, text: str
) -> None:
    """The application behind it may have gone on and made a token."""
    by_status = error_of(status, {"code": status, "data": {"errMsg": text}})
    by_code = error_of(200, {"code": status, "data": {"errMsg": text}})

    for error in (by_status, by_code):
        assert type(error) is UpstreamAnswerError
        assert error.processed


def test_a_limit_of_the_rate_is_one_whatever_it_says() -> None:
    """Nothing was done, and there is a time to wait."""
    error = error_of(429, {"code": 429, "data": {"errMsg": WRONG}})

    assert isinstance(error, UpstreamRateLimitedError)
    assert error.retry_after is not None
