"""Listing and deleting tokens: what they reach, and how soon."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.sandbox.calling import ACCESS_TOKEN, COMPANIES, CREATE, LIST

if TYPE_CHECKING:
    from tests.sandbox.calling import Caller

UNIFIED = {"X-Auth-Token": ACCESS_TOKEN, "X-Store-Hash": "abc123"}


def test_list_shows_live_values_of_the_own_store_in_pages(api: Caller) -> None:
    """Any token reads all others of its store: the reason why one leak is total."""
    tokens = [api.token(name=f"n{number}") for number in range(3)]
    api.token("def456")

    reply = api.send("GET", f"{LIST}?limit=2&offset=1", headers={"authToken": tokens[0]})

    body = reply.json()
    assert [row["token"] for row in body["data"]] == tokens[1:]
    assert body["meta"]["pagination"] == {"totalCount": 3, "limit": 2, "offset": 1}
    assert set(body["data"][0]) == {"id", "name", "email", "storeHash", "token", "eventChannel"}


def test_list_defaults_to_ten_and_stops_at_250(api: Caller) -> None:
    """The documented page sizes."""
    tokens = [api.token() for _ in range(11)]
    header = {"authToken": tokens[0]}

    assert len(api.send("GET", LIST, headers=header).json()["data"]) == 10
    assert api.send("GET", f"{LIST}?limit=250", headers=header).status == 200
    assert api.send("GET", f"{LIST}?limit=251", headers=header).status == 422
    assert api.send("GET", f"{LIST}?offset=x", headers=header).status == 422


def test_delete_ends_a_token_at_once_and_the_ledger_remembers_it(api: Caller) -> None:
    """Deletion needs the id from the list, and a second one finds nothing."""
    header = {"authToken": api.token()}
    other = api.token()
    row = next(row for row in api.ledger()["tokens"] if row["token"] == other)

    first = api.send("DELETE", CREATE, {"id": row["id"]}, header)
    second = api.send("DELETE", CREATE, {"id": row["id"]}, header)

    assert first.json() == {"code": 200, "data": [], "meta": {"message": "SUCCESS"}}
    assert second.status == 404
    assert second.json()["data"]["errMsg"] == "No matching token was found."
    assert api.send("GET", COMPANIES, headers={"authToken": other}).status == 401
    assert [bool(row["deleted_at"]) for row in api.ledger()["tokens"]] == [False, True]


def test_delete_reaches_no_other_store(api: Caller) -> None:
    """An id of another store is as unknown as one that never was."""
    api.token("def456")
    row = api.ledger()["tokens"][0]

    assert api.send("DELETE", CREATE, {"id": row["id"]}, {"authToken": api.token()}).status == 404


@pytest.mark.parametrize("body", [{}, {"id": "1001"}, {"id": True}])
def test_delete_refuses_what_is_no_id(api: Caller, body: dict[str, Any]) -> None:
    """The id is a number."""
    assert api.send("DELETE", CREATE, body, {"authToken": api.token()}).status == 422


def test_a_token_deletes_itself_unless_that_is_off(api: Caller) -> None:
    """Undocumented, so a switch."""
    token = api.token()
    row = api.ledger()["tokens"][0]
    api.set(self_delete_allowed=False)
    forbidden = api.send("DELETE", CREATE, {"id": row["id"]}, {"authToken": token})
    api.set(self_delete_allowed=True)

    allowed = api.send("DELETE", CREATE, {"id": row["id"]}, {"authToken": token})

    assert (forbidden.status, allowed.status) == (403, 200)


def test_delete_needs_a_token_unless_that_is_off(api: Caller) -> None:
    """The documentation contradicts itself on this."""
    api.token()
    row = api.ledger()["tokens"][0]
    without = api.send("DELETE", CREATE, {"id": row["id"]})
    api.set(delete_needs_token=False)

    assert without.status == 401
    assert api.send("DELETE", CREATE, {"id": row["id"]}).status == 200


def test_a_deleted_token_lingers_where_revocation_is_slow(api: Caller) -> None:
    """The list forgets it at once, the endpoints only after the delay."""
    api.set(revocation_delay_seconds=30)
    header = {"authToken": api.token()}
    api.send("DELETE", CREATE, {"id": api.ledger()["tokens"][0]["id"]}, header)

    during = api.send("GET", COMPANIES, headers=header).status
    api.send("POST", "/_sandbox/clock", {"advance_seconds": 31})

    assert during == 200
    assert api.send("GET", COMPANIES, headers=header).status == 401


def test_a_changed_password_ends_tokens_only_where_that_is_on(api: Caller) -> None:
    """Whether it does upstream is unknown."""
    changed = {"store_hash": "abc123", "email": "owner@abc123.example", "password": "new"}
    header = {"authToken": api.token()}
    api.send("POST", "/_sandbox/stores", changed)
    kept = api.send("GET", COMPANIES, headers=header).status
    api.set(password_change_kills_tokens=True)

    api.send("POST", "/_sandbox/stores", changed | {"password": "newer"})

    assert kept == 200
    assert api.send("GET", COMPANIES, headers=header).status == 401


def test_list_takes_the_unified_pair_only_where_that_is_on(api: Caller) -> None:
    """The endpoints are declared for `authToken` alone."""
    off = api.send("GET", LIST, headers=UNIFIED).status
    api.set(auth_endpoints_take_x_auth_token=True)

    assert off == 401
    assert api.send("GET", LIST, headers=UNIFIED).status == 200
