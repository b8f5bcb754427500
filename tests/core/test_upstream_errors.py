"""The upstream's errors: every documented one in one table (upstream.md §1.1, §2.2 to §2.4)."""

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


@pytest.mark.parametrize(
    ("status", "body", "kind", "reason", "processed"),
    [
        pytest.param(
            400,
            {"code": 400, "data": {"errMsg": WRONG}, "meta": {"message": "API logic error"}},
            CredentialRefusedError,
            "credential_incorrect",
            None,
            id="1.1 wrong password",
        ),
        pytest.param(
            400,
            {
                "code": 400,
                "data": {"errMsg": "role forbidden"},
                "meta": {"message": "API logic error"},
            },
            CredentialRefusedError,
            "role_forbidden",
            None,
            id="1.1 role",
        ),
        pytest.param(
            200,
            {"code": 400, "data": {"errMsg": WRONG}, "meta": {"message": "API logic error"}},
            CredentialRefusedError,
            "credential_incorrect",
            None,
            id="1.1 wrong password within a 200",
        ),
        pytest.param(
            200,
            {"code": 200, "data": {"errMsg": "Role Forbidden"}},
            UpstreamAnswerError,
            "upstream_answer_unusable",
            True,
            id="1.1 role with a success code",
        ),
        pytest.param(
            422,
            {
                "code": 422,
                "data": {"errMsg": {"name": ["This field may not be null."]}},
                "meta": {"message": "Parameter Error"},
            },
            UpstreamRefusedError,
            "upstream_refused",
            False,
            id="1.1 invalid field, errMsg an object",
        ),
        pytest.param(
            200,
            {"code": 422, "data": {}, "meta": {"message": "Parameter Error"}},
            UpstreamRefusedError,
            "upstream_refused",
            False,
            id="2.4 code 422 within a 200",
        ),
        pytest.param(
            400,
            {"code": 400, "data": {"errMsg": [{"a": ["b"]}]}, "meta": {}},
            UpstreamRefusedError,
            "upstream_refused",
            False,
            id="H errMsg a list",
        ),
        pytest.param(
            409,
            {
                "code": 409,
                "data": {"errors": [{"id": "42", "_detail": "string"}]},
                "meta": {"message": "Company was in conflict with another company."},
            },
            UpstreamAnswerError,
            "upstream_answer_unusable",
            True,
            id="H bulk",
        ),
        pytest.param(
            404,
            {"code": 404, "message": "Not Found"},
            UpstreamRefusedError,
            "upstream_refused",
            False,
            id="F routing",
        ),
        pytest.param(
            404,
            {"code": 404, "data": {"errMsg": "No matching token was found."}, "meta": {}},
            UpstreamRefusedError,
            "upstream_refused",
            False,
            id="1.3 no such token",
        ),
        pytest.param(
            400,
            {"code": 10012, "data": {}, "message": "PARAMETER VALUE ERROR"},
            UpstreamRefusedError,
            "upstream_refused",
            False,
            id="E application code",
        ),
        pytest.param(
            401,
            {"code": 401, "detail": "Invalid token header. No credentials provided."},
            UpstreamRefusedError,
            "upstream_refused",
            False,
            id="G detail with a code",
        ),
        pytest.param(
            200,
            {"code": 40101, "errMsg": "Session expired, please login again"},
            UpstreamAnswerError,
            "upstream_answer_unusable",
            True,
            id="2.3 session expired within a 200",
        ),
        pytest.param(
            200,
            {"code": 500, "data": {}, "message": "error"},
            UpstreamAnswerError,
            "upstream_answer_unusable",
            True,
            id="2.4 code 500 within a 200",
        ),
        pytest.param(
            200,
            {"code": 200, "data": {"errMsg": "something"}},
            UpstreamAnswerError,
            "upstream_answer_unusable",
            True,
            id="2.4 errMsg with a success code",
        ),
        pytest.param(
            500,
            {"code": 500, "data": {}, "meta": {"message": "error"}},
            UpstreamAnswerError,
            "upstream_answer_unusable",
            True,
            id="500",
        ),
        pytest.param(
            500,
            {"code": 200, "data": {}, "meta": {"message": "SUCCESS"}},
            UpstreamAnswerError,
            "upstream_answer_unusable",
            True,
            id="500 that says success",
        ),
        pytest.param(
            301, {"code": 200}, UpstreamAnswerError, "upstream_answer_unusable", True, id="redirect"
        ),
        pytest.param(
            400,
            {"code": 400, "data": {}, "meta": None},
            UpstreamAnswerError,
            "upstream_answer_unusable",
            True,
            id="400 without a text",
        ),
        pytest.param(
            200,
            {"code": "200", "data": {}},
            UpstreamAnswerError,
            "upstream_answer_unusable",
            True,
            id="code is text",
        ),
        pytest.param(
            200,
            {"code": True, "data": {}},
            UpstreamAnswerError,
            "upstream_answer_unusable",
            True,
            id="code is a truth value",
        ),
        pytest.param(
            200, [{"code": 200}], UpstreamAnswerError, "upstream_answer_unusable", True, id="a list"
        ),
        pytest.param(
            429,
            {"code": 429, "message": "Too many requests"},
            UpstreamRateLimitedError,
            "upstream_rate_limited",
            False,
            id="rate limited",
        ),
        pytest.param(
            429, "no body", UpstreamRateLimitedError, "upstream_rate_limited", False, id="429 only"
        ),
    ],
)
def test_every_documented_error_has_one_meaning(
    status: int, body: object, kind: type[BrokerError], reason: str, *, processed: bool | None
) -> None:
    """Status, code and text together decide; only a clear no says that nothing happened upstream."""
    with pytest.raises(BrokerError) as refused:
        success(status, json.dumps(body).encode(), None)

    assert type(refused.value) is kind
    assert refused.value.reason == reason
    assert getattr(refused.value, "processed", None) is processed
