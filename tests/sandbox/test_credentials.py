"""The two header styles on management requests, and what their mistakes get."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from sandbox.behaviours import INVALID_TOKEN_ANSWERS
from tests.sandbox.calling import ACCESS_TOKEN, COMPANIES

if TYPE_CHECKING:
    from tests.sandbox.calling import Caller

UNIFIED = {"X-Auth-Token": ACCESS_TOKEN, "X-Store-Hash": "abc123"}


@pytest.mark.parametrize("name", ["authToken", "authtoken", "AUTHTOKEN"])
def test_the_legacy_style_is_one_header(api: Caller, name: str) -> None:
    """Header names have no case."""
    assert api.send("GET", COMPANIES, headers={name: api.token()}).status == 200


def test_the_unified_style_is_a_pair(api: Caller) -> None:
    """Access token and store hash belong together."""
    reply = api.send("GET", COMPANIES, headers=UNIFIED)

    assert reply.status == 200
    assert api.requests()[-1]["style"] == "x_auth_token"


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer x"}, {"X-Store-Hash": "abc123"}])
def test_no_credential_is_a_401(api: Caller, headers: dict[str, str]) -> None:
    """Bearer is no management style."""
    reply = api.send("GET", COMPANIES, headers=headers)

    assert reply.status == 401
    assert reply.json()["data"]["errMsg"] == "Invalid token header. No credentials provided."


@pytest.mark.parametrize("form", INVALID_TOKEN_ANSWERS)
def test_an_invalid_token_gets_the_answer_that_is_set(api: Caller, form: str) -> None:
    """Nobody published what the real one is."""
    api.set(invalid_token_answer=form)
    status, _, shape = form.partition("_")
    keys = {"A": {"code", "data", "meta"}, "F": {"code", "message"}, "G": {"detail"}}[shape]

    for headers in ({"authToken": "nonsense"}, UNIFIED | {"X-Auth-Token": "unknown"}):
        reply = api.send("GET", COMPANIES, headers=headers)

        assert reply.status == int(status)
        assert set(reply.json()) == keys


def test_a_legacy_token_in_the_unified_header_is_a_403(api: Caller) -> None:
    """The most frequent mistake of the migration."""
    reply = api.send("GET", COMPANIES, headers=UNIFIED | {"X-Auth-Token": api.token()})

    assert reply.status == 403
    assert reply.json()["data"]["errMsg"] == "Invalid access token"


@pytest.mark.parametrize("status", [500, 403])
@pytest.mark.parametrize(
    "headers",
    [{"X-Auth-Token": ACCESS_TOKEN}, {"X-Auth-Token": ACCESS_TOKEN, "X-Store-Hash": "def456"}],
)
def test_a_wrong_store_hash_is_a_server_error(
    api: Caller, headers: dict[str, str], status: int
) -> None:
    """Documented as "server errors", perhaps a 403."""
    api.set(hash_mismatch_answer=status)

    assert api.send("GET", COMPANIES, headers=headers).status == status


@pytest.mark.parametrize("status", [400, 403, 500])
@pytest.mark.parametrize("more", [{"X-Store-Hash": "abc123"}, {"X-Auth-Token": ACCESS_TOKEN}])
def test_mixed_styles_are_refused_and_recorded(
    api: Caller, more: dict[str, str], status: int
) -> None:
    """The ledger counts misuse, so that a proxy's test can ask for none."""
    api.set(mixed_styles_answer=status)

    reply = api.send("GET", COMPANIES, headers={"authToken": api.token(), **more})

    assert reply.status == status
    assert api.ledger()["misuse"] == {"abc123": 1}
    assert api.requests()[-1]["misuse"] is True


def test_a_repeated_credential_header_is_misuse(api: Caller) -> None:
    """Two tokens in one request are refused, even if they are equal."""
    line = f"authToken: {api.token()}\r\n"

    answer = api.raw(f"GET {COMPANIES} HTTP/1.1\r\n{line}{line}\r\n".encode())

    assert answer.startswith(b"HTTP/1.1 400 ")
    assert api.ledger()["misuse"] == {"abc123": 1}


def test_a_removed_store_closes_both_styles(api: Caller) -> None:
    """Its ledger stays."""
    token = api.token()

    api.send("DELETE", "/_sandbox/stores/abc123")

    assert api.send("GET", COMPANIES, headers={"authToken": token}).status == 401
    assert api.send("GET", COMPANIES, headers=UNIFIED).status == 401
    assert len(api.ledger()["tokens"]) == 1


def test_v2_takes_the_unified_pair_only_where_that_is_on(api: Caller) -> None:
    """Sources contradict each other on this."""
    path = "/api/v2/io/companies"
    legacy = api.send("GET", path, headers={"authToken": api.token()})
    off = api.send("GET", path, headers=UNIFIED).status
    api.set(v2_takes_x_auth_token=True)

    assert legacy.status == 200
    assert off == 401
    assert api.send("GET", path, headers=UNIFIED).status == 200


@pytest.mark.parametrize("token", ["eyJ.x.y", "eyJ.bnVsbA.y", "eyJ.eyJzdG9yZV9oYXNoIjo1fQ.y"])
def test_a_token_with_unreadable_claims_is_only_invalid(api: Caller, token: str) -> None:
    """Claims that cannot be read name no store."""
    reply: Any = api.send("GET", COMPANIES, headers={"authToken": token})

    assert reply.status == 401
    assert api.requests()[-1]["store_hash"] is None
