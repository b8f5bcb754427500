"""What the upstream's answers mean: envelopes of success, garbage, and how long to wait."""

import json
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core.errors import (
    CredentialRefusedError,
    UpstreamAnswerError,
    UpstreamError,
    UpstreamRateLimitedError,
    UpstreamRefusedError,
)
from service.core.upstream_answers import bounded_wait, credential_rejected, success

SUCCESSES = {
    "A": {"code": 200, "data": {}, "meta": {"message": "SUCCESS", "pagination": {"limit": 10}}},
    "A list": {"code": 200, "data": [], "meta": {"message": "Success"}},
    "B": {"code": 200, "data": [{}], "meta": {"message": "SUCCESS", "totalCount": 9, "limit": 1}},
    "C": {"code": 200, "data": {"list": [], "pagination": {}}, "message": "SUCCESS"},
    "D": {"data": [], "meta": {}},
    "E": {"code": 200, "message": "Success", "data": {}},
    "deleted": {"code": 200, "data": [None], "meta": {"message": "SUCCESS"}},
    "empty errMsg": {"code": 200, "data": {"errMsg": ""}, "meta": {}},
    "201": {"code": 201, "data": {}},
}


@pytest.mark.parametrize("envelope", SUCCESSES)
@pytest.mark.parametrize("status", [200, 201])
def test_every_documented_envelope_of_success_is_one(status: int, envelope: str) -> None:
    """Upstream.md §2.2; the spelling of the message decides nothing."""
    fields = SUCCESSES[envelope]

    assert success(status, json.dumps(fields).encode(), None) == fields


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>502 Bad Gateway</html>",
        b'{"code":200,"code":200,"data":{}}',
        b'{"code":NaN}',
        b"[" * 10_000,
        b"\xff\xfe",
        b"null",
        b'"SUCCESS"',
    ],
)
@pytest.mark.parametrize("status", [200, 204, 400, 502])
def test_garbage_is_an_unknown_outcome(status: int, body: bytes) -> None:
    """Whatever the status says, an unreadable answer proves nothing."""
    with pytest.raises(UpstreamAnswerError) as refused:
        success(status, body, None)

    assert refused.value.processed


@given(status=st.integers(100, 599), body=st.binary(max_size=60) | st.text().map(str.encode))
def test_any_answer_is_read_without_another_kind_of_error(status: int, body: bytes) -> None:
    """The upstream cannot cause an error that nobody expects."""
    try:
        fields = success(status, body, None)
    except (UpstreamError, CredentialRefusedError):
        return

    assert status // 100 == 2
    assert json.loads(body) == fields


def test_no_error_quotes_the_upstream() -> None:
    """Its text may hold what was sent."""
    body = json.dumps({"code": 400, "data": {"errMsg": "canary-echo incorrect"}}).encode()

    with pytest.raises(UpstreamRefusedError) as refused:
        success(400, body, None)

    assert "canary" not in repr(refused.value) + refused.value.reason + refused.value.detail


@pytest.mark.parametrize(
    ("retry_after", "seconds"),
    [
        (None, 10),
        ("", 10),
        ("soon", 10),
        ("Mon, 23 Nov 2026 12:00:00 GMT", 10),
        ("-5", 10),
        ("1.5", 10),
        ("1e3", 10),
        ("٣", 10),
        ("9999999", 300),
        ("9" * 100, 300),
        ("0", 1),
        ("1", 1),
        (" 30 ", 30),
        ("300", 300),
        ("301", 300),
        ("999999", 300),
    ],
)
def test_the_time_to_wait_is_bounded(retry_after: str | None, seconds: int) -> None:
    """The upstream decides within one second and five minutes; otherwise it is ten seconds."""
    with pytest.raises(UpstreamRateLimitedError) as refused:
        success(429, b"", retry_after)

    assert refused.value.retry_after == bounded_wait(retry_after) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (401, b"", True),
        (401, b"anything", True),
        (403, b'{"message":"Invalid access token"}', True),
        (403, b'{"message":"Invalid token"}', True),
        (403, b'{"message":"INVALID TOKEN"}', True),
        (403, b'{"code":403,"message":"Multi storefront is not enabled"}', False),
        (403, b"", False),
        (200, b"token", False),
        (400, b"token", False),
        (404, b'{"data":{"errMsg":"No matching token was found."}}', False),
        (500, b"token", False),
    ],
)
def test_an_answer_tells_whether_the_token_itself_is_refused(
    status: int, body: bytes, *, expected: bool
) -> None:
    """Upstream.md §2.3: 401, and 403 that speaks of a token; a 403 of another kind is not about it."""
    assert credential_rejected(status, body) is expected
