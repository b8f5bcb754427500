"""The token in an answer: three shapes, checked before anyone trusts it."""

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core.errors import (
    CredentialRefusedError,
    ForeignTokenError,
    UpstreamAnswerError,
    UpstreamError,
)
from service.core.upstream_answers import issued_token

STORE = "abc123"


def jwt(claims: object) -> str:
    """Return a token in the shape of the upstream's, with a signature that nobody here checks."""
    payload = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
    return f"eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9.{payload}.c2lnbmF0dXJl"


TOKEN = jwt({"email": "owner@canary.example", "store_hash": STORE, "db": "default"})


def answer(data: object) -> bytes:
    """Return a successful answer with this data."""
    return json.dumps({"code": 200, "data": data, "meta": {"message": "SUCCESS"}}).encode()


@pytest.mark.parametrize(
    "data",
    [
        pytest.param([{"name": "n", "token": TOKEN}], id="list of objects"),
        pytest.param({"name": "n", "token": TOKEN}, id="object"),
        pytest.param({"token": [TOKEN]}, id="object with a list"),
        pytest.param([{"token": [TOKEN]}], id="list of objects with a list"),
    ],
)
def test_a_token_in_each_observed_shape_is_accepted(data: object) -> None:
    """Documentation and observation differ, so all shapes are read."""
    assert issued_token(200, answer(data), STORE, None).reveal() == TOKEN


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        {},
        "",
        TOKEN,
        [TOKEN],
        {"token": None},
        {"token": 1},
        {"token": []},
        {"token": {}},
        {"token": [TOKEN, TOKEN]},
        {"token": [[TOKEN]]},
        [{"token": TOKEN}, {"token": TOKEN}],
        {"Token": TOKEN},
    ],
)
def test_a_token_in_any_other_shape_is_not_guessed_at(data: object) -> None:
    """One may have been made upstream, so the outcome is unknown."""
    with pytest.raises(UpstreamAnswerError) as refused:
        issued_token(200, answer(data), STORE, None)

    assert refused.value.processed


@pytest.mark.parametrize(
    "token",
    [
        pytest.param("", id="empty"),
        pytest.param("x" * 15, id="short"),
        pytest.param("x" * 8193, id="huge"),
        pytest.param(TOKEN + "\r\nX-Evil: 1", id="CR LF"),
        pytest.param(TOKEN + "\n", id="line feed behind"),
        pytest.param("\r" + TOKEN, id="CR before"),
        pytest.param(TOKEN + "\x00", id="NUL"),
        pytest.param(TOKEN + " x", id="space"),
        pytest.param(TOKEN + "é", id="not ASCII"),
        pytest.param(TOKEN + "\x7f", id="DEL"),
    ],
)
def test_a_token_that_cannot_be_a_header_is_refused(token: str) -> None:
    """It will be sent in one, so it may smuggle nothing."""
    with pytest.raises(UpstreamAnswerError):
        issued_token(200, answer({"token": token}), STORE, None)


@pytest.mark.parametrize("length", [16, 8192])
def test_a_token_of_any_sensible_length_is_accepted(length: int) -> None:
    """It need not be a JWT."""
    token = "x" * length

    assert issued_token(200, answer({"token": token}), STORE, None).reveal() == token


@pytest.mark.parametrize("claim", ["zzz999", "ABC123", "abc123 ", "", 123, ["abc123"], False])
def test_a_token_that_names_another_store_is_refused(claim: object) -> None:
    """It would give one store's data to the callers of another."""
    with pytest.raises(ForeignTokenError) as refused:
        issued_token(200, answer({"token": jwt({"store_hash": claim})}), STORE, None)

    assert refused.value.processed
    assert refused.value.reason == "token_of_another_store"


@pytest.mark.parametrize(
    "token",
    [
        pytest.param(jwt({"email": "x"}), id="no claim"),
        pytest.param(jwt({"store_hash": None}), id="null claim"),
        pytest.param(jwt(["store_hash"]), id="no object"),
        pytest.param("aaaaaaaaaaaa.bbbbbbbbbb", id="two parts"),
        pytest.param("aaaaaaaa.b.cccccccccccc", id="payload is no base64"),
        pytest.param("aaaaaaaa.bbbb.cccccccccc", id="payload is no JSON"),
        pytest.param("aaaaaaaa..ccccccccccccc", id="no payload"),
    ],
)
def test_a_token_that_names_no_store_is_accepted(token: str) -> None:
    """Nothing promises that the claim is there; only a wrong one proves something."""
    assert issued_token(200, answer({"token": token}), STORE, None).reveal() == token


def test_a_refusal_is_a_refusal_before_the_shape_is_looked_at() -> None:
    """Also when it comes with HTTP 200."""
    body = json.dumps({"code": 400, "data": {"errMsg": "role forbidden"}}).encode()

    with pytest.raises(CredentialRefusedError) as refused:
        issued_token(200, body, STORE, None)

    assert refused.value.reason == "role_forbidden"


@given(token=st.text(max_size=60))
def test_whatever_text_is_the_token_it_is_usable_or_refused(token: str) -> None:
    """A token that passes is printable ASCII without spaces."""
    try:
        secret = issued_token(200, answer({"token": token}), STORE, None)
    except UpstreamError:
        return

    assert secret.reveal().isascii()
    assert secret.reveal().isprintable()
    assert " " not in secret.reveal()
