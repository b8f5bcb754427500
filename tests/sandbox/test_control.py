"""The control endpoints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from sandbox.behaviours import Behaviours
from tests.sandbox.calling import ACCESS_TOKEN, COMPANIES

if TYPE_CHECKING:
    from tests.sandbox.calling import Caller

NEW = {"store_hash": "new789", "email": "a@new789.example", "password": "pw"}
NEW_LOGIN = {"storeHash": "new789", "email": "a@new789.example", "password": "pw"}


def test_health_names_the_stores(api: Caller) -> None:
    """It answers as soon as the sandbox runs."""
    assert api.send("GET", "/_sandbox/health").json() == {"stores": ["abc123", "def456"]}


@pytest.mark.parametrize(
    ("role", "status"), [("administrator", 200), ("owner", 200), ("custom", 400)]
)
def test_a_store_is_added_with_its_first_user(api: Caller, role: str, status: int) -> None:
    """The role decides whether the user may make tokens."""
    assert api.send("POST", "/_sandbox/stores", NEW | {"role": role}).status == 200

    assert api.create(**NEW_LOGIN).status == status


def test_a_password_is_replaced(api: Caller) -> None:
    """The old one is refused from then on."""
    api.send("POST", "/_sandbox/stores", NEW)
    api.send("POST", "/_sandbox/stores", NEW | {"password": "other"})

    assert api.create(**NEW_LOGIN).status == 400
    assert api.create(**NEW_LOGIN | {"password": "other"}).status == 200


def test_access_tokens_stand_beside_each_other_until_revoked(api: Caller) -> None:
    """As in the control panel: rotation needs both for a while."""
    added = {"store_hash": "abc123", "access_token": "b" * 31}
    api.send("POST", "/_sandbox/stores", added)
    pair = {"X-Auth-Token": "b" * 31, "X-Store-Hash": "abc123"}
    both = [api.manage("GET", "/companies").status, api.send("GET", COMPANIES, None, pair).status]

    revoked = api.send("POST", "/_sandbox/tokens/revoke", {"access_token": ACCESS_TOKEN}).json()

    assert both == [200, 200]
    assert revoked == {"revoked": 1}
    assert api.manage("GET", "/companies").status == 401
    assert api.send("GET", COMPANIES, None, pair).status == 200


def test_tokens_are_revoked_by_value_or_by_store(api: Caller) -> None:
    """What somebody else does behind the broker's back."""
    first, second = api.token(), api.token()

    by_value = api.send("POST", "/_sandbox/tokens/revoke", {"token": first}).json()
    status = api.send("GET", COMPANIES, headers={"authToken": second}).status
    by_store = api.send("POST", "/_sandbox/tokens/revoke", {"store_hash": "abc123"}).json()

    assert (by_value, by_store) == ({"revoked": 1}, {"revoked": 1})
    assert status == 200
    assert api.send("GET", COMPANIES, headers={"authToken": second}).status == 401


@pytest.mark.parametrize(
    "body",
    [
        [],
        {},
        {"store_hash": "x"},
        {"store_hash": "x", "email": "a"},
        NEW | {"role": "king"},
        NEW | {"colour": "red"},
        NEW | {"password": 5},
    ],
)
def test_a_malformed_store_is_refused(api: Caller, body: Any) -> None:
    """With a 422 that says why."""
    reply = api.send("POST", "/_sandbox/stores", body)

    assert reply.status == 422
    assert reply.json()["error"]


def test_the_ledger_has_the_documented_fields(api: Caller) -> None:
    """Other tests judge by them."""
    token = api.token(name="mine")
    api.token("def456")

    ledger = api.send("GET", "/_sandbox/ledger?store_hash=abc123").json()

    row = ledger["tokens"][0]
    assert row.pop("created_at").endswith("Z")
    assert row == {
        "id": 1001,
        "store_hash": "abc123",
        "name": "mine",
        "email": "owner@abc123.example",
        "token": token,
        "deleted_at": None,
        "event_channel": "api",
    }
    assert ledger["logins"] == {"abc123": {"accepted": 1, "refused": 0}}
    assert ledger["misuse"] == {}


def test_switches_are_shown_with_what_differs_for_single_stores(api: Caller) -> None:
    """Everything that is in force can be seen."""
    api.set(gzip=True)
    api.set(store_hash="abc123", gzip=False, set_cookie=False)

    shown = api.send("GET", "/_sandbox/behaviours").json()

    assert shown == {
        **Behaviours().as_json(),
        "gzip": True,
        "stores": {"abc123": {"gzip": False, "set_cookie": False}},
    }


@pytest.mark.parametrize(
    "changes",
    [
        {"colour": "red"},
        {"gzip": 1},
        {"create_shape": "circle"},
        {"unknown_store_answer": True},
        {"latency_seconds": [2, 1]},
        {"latency_seconds": -1},
        {"latency_seconds": True},
        {"rate_limit_per_minute": 1.5},
        {"chunk_bytes": 0},
        {"redirect_to": "a\r\nb"},
        {"response_headers": {"a": "b\r\nc"}},
        {"fail_next": {"status": 503}},
        {"fail_next": {"status": 200, "count": 1}},
        {"fail_next": 3},
        {"store_hash": 5},
        [],
    ],
    ids=str,
)
def test_an_unknown_switch_or_value_is_refused_and_nothing_set(api: Caller, changes: Any) -> None:
    """A misspelt test would otherwise pass for the wrong reason."""
    both = {"html": 1, **changes} if "colour" in changes else changes

    reply = api.send("PATCH", "/_sandbox/behaviours", both)

    assert reply.status == 422
    assert reply.json()["error"]
    assert api.send("GET", "/_sandbox/behaviours").json() == {
        **Behaviours().as_json(),
        "stores": {},
    }


def test_reset_goes_back_to_the_start(api: Caller) -> None:
    """Stores, ledger, records, switches and clock."""
    start = api.send("GET", "/_sandbox/behaviours").json()
    api.send("POST", "/_sandbox/stores", NEW)
    api.token()
    api.set(gzip=True)
    api.send("POST", "/_sandbox/clock", {"advance_seconds": 10**6})

    api.send("POST", "/_sandbox/reset")

    assert api.send("GET", "/_sandbox/health").json() == {"stores": ["abc123", "def456"]}
    assert api.ledger() == {"tokens": [], "logins": {}, "misuse": {}}
    assert api.requests() == []
    assert api.send("GET", "/_sandbox/behaviours").json() == start


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "nothing", None, 404),
        ("DELETE", "stores/nosuch", None, 404),
        ("POST", "clock", {"advance_seconds": -1}, 422),
        ("POST", "clock", {}, 422),
        ("POST", "stores", b"no json", 400),
    ],
)
def test_control_refuses_what_it_does_not_know(
    api: Caller, method: str, path: str, body: Any, status: int
) -> None:
    """Control requests are checked like any other."""
    assert api.send(method, f"/_sandbox/{path}", body).status == status


def test_control_is_never_limited_delayed_or_recorded(api: Caller) -> None:
    """The way back must stay open whatever is switched on."""
    api.set(connection_fault="drop", hang_seconds=60, latency_seconds=60, rate_limit_per_minute=1)

    assert api.send("GET", "/_sandbox/health").status == 200
    assert api.requests() == []
