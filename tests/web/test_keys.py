"""The operations on keys over HTTP."""

from typing import Any

import pytest

from service.core.policy import AccessGrant, Policy
from tests.support.access import FakeAccess
from tests.support.world import LEASE, keyring
from tests.web.answers import assert_problem
from tests.web.calling import Api

ALL_STORES = Policy((AccessGrant("operators", ("corp:ops-*",), ("*",), ("store.*",)),))


@pytest.fixture
def keeper(api: Api) -> Api:
    """An API whose operator may write all stores, with two keys and something under each."""
    api.access = FakeAccess(ALL_STORES)
    api.put_store()
    before = api.world.keyring()
    api.world.agreement.admit(before, None)
    after = keyring("k1", "k2", primary="k2")
    api.world.ring = api.world.agreement.admit(after, before)
    api.world.clock.move(2 * LEASE)
    api.world.agreement.admit(after, api.world.ring)
    return api


def _keys(api: Api) -> dict[str, Any]:
    answer = api.ask("GET", "/v1/keys")
    assert answer.status_code == 200
    return {key["key_id"]: key for key in answer.get_json()["keys"]}


def test_keys_are_listed_without_what_they_are(keeper: Api) -> None:
    """Ids, counts, and the names of replicas."""
    found = _keys(keeper)

    assert found["k1"] == {
        "key_id": "k1",
        "primary": False,
        "checked": True,
        "records": {"store": 1, "reference": 0, "intent": 0},
        "known_by": ["replica-a"],
        "missing_in": [],
    }
    assert found["k2"]["primary"]


def test_everything_is_sealed_again_when_asked_for(keeper: Api) -> None:
    """202, and the progress at the same place."""
    asked = keeper.ask("POST", "/v1/keys/rewrap")
    for _ in range(2):
        keeper.world.rewrapper.run()
    shown = keeper.ask("GET", "/v1/keys/rewrap").get_json()

    assert (asked.status_code, asked.get_json()["state"]) == (202, "wanted")
    assert shown == {
        "state": "done",
        "to": "k2",
        "rewrapped": 1,
        "left": 0,
        "altered": 0,
        "passes": 2,
    }
    assert _keys(keeper)["k1"]["records"]["store"] == 0


@pytest.mark.parametrize(
    ("key_id", "problem", "reason"),
    [("k1", "key_in_use", "key_needed"), ("k2", "key_in_use", "key_seals")],
)
def test_a_key_in_use_is_kept_and_the_reason_told(
    keeper: Api, key_id: str, problem: str, reason: str
) -> None:
    """409, so that an operator knows what to do."""
    answer = keeper.ask("POST", f"/v1/keys/{key_id}/retire")

    assert_problem(answer, problem)
    assert answer.get_json()["reason"] == reason


def test_a_key_that_is_not_there_is_unknown(keeper: Api) -> None:
    """404; and a name that can be none is told as such."""
    assert_problem(keeper.ask("POST", "/v1/keys/k9/retire"), "key_unknown")
    assert_problem(keeper.ask("POST", "/v1/keys/K9/retire"), "wrong_fields")


def test_a_key_that_is_not_needed_is_retired(keeper: Api) -> None:
    """200, with all keys; it is not checked any more."""
    keeper.world.ring = keyring("k1", "k2", "k3", primary="k2")
    keeper.world.agreement.admit(keeper.world.ring, keeper.world.ring)

    answer = keeper.ask("POST", "/v1/keys/k3/retire")

    keys = {key["key_id"]: key["checked"] for key in answer.get_json()["keys"]}
    assert (answer.status_code, keys) == (200, {"k1": True, "k2": True, "k3": False})
