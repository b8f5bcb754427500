"""Making tokens: who may, what the body must have, and what comes back."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any

import pytest

from sandbox.tokens import unverified_claims
from tests.sandbox.calling import COMPANIES, CREATE, login

if TYPE_CHECKING:
    from tests.sandbox.calling import Caller


def test_create_answers_a_jwt_that_names_user_and_store(api: Caller) -> None:
    """The token has the form and the claims of a real one, and no time."""
    reply = api.create()

    body = reply.json()
    token = body["data"][0]["token"]
    assert reply.status == 200
    assert body["code"] == 200
    assert body["meta"] == {"message": "SUCCESS"}
    assert body["data"][0]["name"] == "a test"
    assert re.fullmatch(r"eyJ[\w-]+\.[\w-]+\.[\w-]+", token)
    assert unverified_claims(token) == {
        "email": "owner@abc123.example",
        "store_hash": "abc123",
        "db": "default",
    }


def test_every_create_adds_a_row_with_a_value_of_its_own(api: Caller) -> None:
    """Creating is not idempotent: the same body twice makes two tokens."""
    tokens = {api.token(), api.token()}

    ledger = api.ledger()
    assert {row["token"] for row in ledger["tokens"]} == tokens
    assert len(tokens) == 2
    assert ledger["logins"] == {"abc123": {"accepted": 2, "refused": 0}}


@pytest.mark.parametrize(
    ("more", "text"),
    [
        ({"password": "wrong"}, "The email or password you have entered is incorrect."),
        ({"email": "nobody@abc123.example"}, "The email or password you have entered is incorrect"),
        ({"user": "staff"}, "role forbidden"),
        ({"storeHash": "nosuch"}, "Store not found."),
    ],
)
def test_create_refuses_a_login_with_a_400(api: Caller, more: dict[str, Any], text: str) -> None:
    """Wrong password and wrong role share the status; only the text differs."""
    reply = api.create(**more)

    body = reply.json()
    assert reply.status == 400
    assert body["data"]["errMsg"].startswith(text)
    assert body["meta"]["message"] == "API logic error"
    assert api.ledger()["tokens"] == []
    assert sum(count["refused"] for count in api.ledger()["logins"].values()) == 1


@pytest.mark.parametrize("status", [400, 404, 422])
def test_an_unknown_store_gets_the_status_that_is_set(api: Caller, status: int) -> None:
    """What the real API answers is unknown, so it is a switch."""
    api.set(unknown_store_answer=status)

    assert api.create(storeHash="nosuch").status == status


@pytest.mark.parametrize(
    ("field", "name"),
    [("storeHash", "store_hash"), ("email", "email"), ("password", "password"), ("name", "name")],
)
def test_create_names_a_missing_field_in_snake_case(api: Caller, field: str, name: str) -> None:
    """Validation errors are a 422 with an object of lists."""
    body = login()
    del body[field]

    reply = api.send("POST", CREATE, body)

    assert reply.status == 422
    assert reply.json()["data"]["errMsg"] == {name: ["This field may not be null."]}


@pytest.mark.parametrize(("body", "status"), [(b"no json", 400), (b"[]", 500)])
def test_create_refuses_a_body_that_is_no_object(api: Caller, body: bytes, status: int) -> None:
    """What is no JSON is a 400 in the framework's shape; a wrong type is a 500."""
    assert api.send("POST", CREATE, body).status == status


def test_create_refuses_an_end_that_is_no_number(api: Caller) -> None:
    """Times are Unix seconds."""
    assert api.create(endAt="tomorrow").status == 422


@pytest.mark.parametrize(
    ("shape", "expected"), [("list", list), ("object", str), ("token_array", list)]
)
def test_create_answers_in_the_shape_that_is_set(api: Caller, shape: str, expected: type) -> None:
    """Three shapes of `data` were seen, and callers must read all."""
    api.set(create_shape=shape)

    data = api.create().json()["data"]

    assert isinstance(data if shape == "list" else data["token"], expected)


def test_a_bounded_token_stops_at_its_end(api: Caller) -> None:
    """`endAt` becomes `exp`, and the token opens nothing after that."""
    end = int(time.time()) + 100
    token = api.token(beginAt=end - 200, endAt=end)
    header = {"authToken": token}
    before = api.send("GET", COMPANIES, headers=header).status

    api.send("POST", "/_sandbox/clock", {"advance_seconds": 101})

    assert unverified_claims(token)["exp"] == end
    assert unverified_claims(token)["nbf"] == end - 200
    assert before == 200
    assert api.send("GET", COMPANIES, headers=header).status == 401


def test_the_end_is_ignored_where_it_is_not_honoured(api: Caller) -> None:
    """It is uncertain whether the real API still honours it."""
    api.set(honour_end_at=False)

    assert "exp" not in unverified_claims(api.token(endAt=int(time.time()) + 100))


def test_a_name_that_exists_is_refused_where_names_are_unique(api: Caller) -> None:
    """Whether names must be unique is unknown, so it is a switch."""
    api.set(duplicate_name_refused=True)
    api.token()

    assert api.create().status == 400
    assert api.create(name="another").status == 200


@pytest.mark.parametrize("path", ["/api/v3/io/auth/backend", "/api/v3/io/backend/tokens"])
def test_the_auth_paths_with_a_version_do_not_exist(api: Caller, path: str) -> None:
    """A routing 404 has its own serializer, spaces and all."""
    reply = api.send("POST", path, login())

    assert reply.status == 404
    assert reply.body == b'{"code": 404, "message": "Not Found"}'
