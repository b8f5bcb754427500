"""Locking and unlocking over HTTP, and what those meet who come to a locked store."""

import pytest

from tests.support.world import MINTER, OPERATOR, STORE, WORKER
from tests.web.answers import assert_problem, says_canary
from tests.web.calling import COMPANIES, CREDENTIAL, Api

PATHS = {"store": f"/v1/stores/{STORE}", "all": "/v1"}
REASON = {"reason": "INC-42"}


def _lock(api: Api, scope: str) -> None:
    assert api.ask("POST", f"{PATHS[scope]}/lock", json=REASON).status_code == 200


@pytest.mark.parametrize("scope", ["store", "all"])
def test_a_lock_says_who_put_it_on_when_and_why(api: Api, scope: str) -> None:
    """The same in the answer, in the list, and beside the store."""
    api.put_store()
    lock = {"scope": scope, "by": OPERATOR, **REASON, "since": "2026-11-23T12:00:00.000Z"}
    name = STORE if scope == "store" else "*"

    answer = api.ask("POST", f"{PATHS[scope]}/lock", json=REASON)
    listed = api.ask("GET", "/v1/locks").get_json()
    shown = api.ask("GET", f"/v1/stores/{STORE}").get_json()["lock"]

    assert (answer.status_code, answer.get_json()) == (200, {"store_hash": name, "lock": lock})
    assert listed == {
        "on_all": lock if scope == "all" else None,
        "stores": [{"store_hash": STORE, **lock}] if scope == "store" else [],
    }
    assert shown == lock


@pytest.mark.parametrize("scope", ["store", "all"])
def test_unlocking_leaves_nothing_behind(api: Api, scope: str) -> None:
    """And does no harm where there is no lock."""
    api.put_store()
    _lock(api, scope)

    answers = [api.ask("POST", f"{PATHS[scope]}/unlock") for _ in range(2)]

    name = STORE if scope == "store" else "*"
    assert [answer.get_json() for answer in answers] == [{"store_hash": name, "lock": None}] * 2
    assert api.ask("GET", "/v1/locks").get_json() == {"on_all": None, "stores": []}
    assert api.ask("GET", f"/v1/stores/{STORE}").get_json()["lock"] is None


@pytest.mark.parametrize("scope", ["store", "all"])
def test_a_locked_store_is_a_problem_of_its_own(api: Api, scope: str) -> None:
    """423 to callers and operators alike, with which lock it is, and without a word of why."""
    reference = api.mint(max_uses=5)["reference"]
    redeemable = api.mint(access="redeem")["reference"]
    _lock(api, scope)
    path, worker = f"/v1/stores/{STORE}", {"Broker-Reference": reference}

    refused = [
        api.ask("POST", "/v1/references", MINTER, json={"store_hash": STORE, "audience": WORKER}),
        api.ask("POST", "/v1/references/redeem", WORKER, json={"reference": redeemable}),
        api.ask("GET", COMPANIES, WORKER, worker),
        api.ask("PUT", path, json={"credential": CREDENTIAL}),
        api.ask("POST", f"{path}/rotate", json={"credential": CREDENTIAL}),
        api.ask("POST", f"{path}/rollback"),
    ]

    for answer in refused:
        assert_problem(answer, "store_locked")
        assert answer.get_json()["reason"] == f"{scope}_locked"
        assert REASON["reason"] not in answer.text
    assert "Proxy-Status" in refused[2].headers


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"reason": ""},
        {"reason": " "},
        {"reason": "canary7zq\nsecond line"},
        {"reason": "canary7zq\u202eevil"},
        {"reason": "canary7zq" * 30},
        {"reason": 7},
        {"reason": "canary7zq", "store_hash": STORE},
    ],
)
@pytest.mark.parametrize("scope", ["store", "all"])
def test_a_lock_needs_a_reason_of_one_line(api: Api, scope: str, body: dict[str, object]) -> None:
    """It is shown on terminals; nothing is locked without one."""
    api.put_store()

    answer = api.ask("POST", f"{PATHS[scope]}/lock", json=body)

    assert_problem(answer, "wrong_fields")
    assert says_canary(answer) == []
    assert api.ask("GET", "/v1/locks").get_json() == {"on_all": None, "stores": []}
