"""What would policy say?"""

from typing import Any

import pytest

from service.core.policy import AccessGrant, Policy
from tests.support.access import FakeAccess
from tests.support.world import MINTER, OPERATOR, POLICY, STORE, WORKER
from tests.web.answers import assert_problem
from tests.web.calling import Api

PATH = "/v1/policy/explain"
READER = AccessGrant("readers of policy", (OPERATOR,), ("*",), ("policy.read",))


@pytest.fixture
def reader(api: Api) -> Api:
    """The API for an operator who may read policy."""
    api.access = FakeAccess(Policy((*POLICY.grants, READER)))
    return api


def explain(api: Api, **body: Any) -> dict[str, Any]:
    """Ask what policy would decide, and return the explanation."""
    answer = api.ask("POST", PATH, OPERATOR, json={"store_hash": STORE, **body})
    assert answer.status_code == 200, answer.text
    explanation: dict[str, Any] = answer.get_json()
    return explanation


def test_an_allowed_mint_is_explained_with_its_grant_and_its_terms(reader: Api) -> None:
    """What was left open is shown as it would be decided."""
    explanation = explain(reader, caller=MINTER, action="reference.mint", audience=WORKER)

    assert explanation == {
        "allowed": True,
        "grant": "minter",
        "failed": None,
        "terms": {
            "access": "proxy",
            "audience": WORKER,
            "ttl_seconds": 300,
            "max_uses": None,
            "max_rate": None,
            "requests": ["GET /api/v3/io/companies/**", "POST /api/v3/io/orders"],
        },
        "policy": reader.access.policy.digest,
    }


@pytest.mark.parametrize(
    ("body", "grant", "failed"),
    [
        ({"caller": "k8s:other/app", "action": "reference.mint"}, None, "callers"),
        ({"caller": MINTER, "action": "store.write"}, "minter", "actions"),
        (
            {"caller": WORKER, "action": "reference.redeem", "store_hash": "xyz789"},
            "worker",
            "stores",
        ),
        (
            {"caller": MINTER, "action": "reference.mint", "audience": OPERATOR},
            "minter",
            "limits.audiences",
        ),
        (
            {"caller": MINTER, "action": "reference.mint", "ttl_seconds": 901},
            "minter",
            "limits.max_ttl",
        ),
    ],
)
def test_a_denial_names_the_nearest_grant_and_what_fails_first(
    reader: Api, body: dict[str, Any], grant: str | None, failed: str
) -> None:
    """Which is what an operator has to change."""
    explanation = explain(reader, **body)

    assert (explanation["allowed"], explanation["grant"], explanation["failed"]) == (
        False,
        grant,
        failed,
    )


def test_explaining_is_a_right_of_its_own_and_recorded(reader: Api) -> None:
    """Whose rights were looked at stands in the audit trail."""
    body = {"caller": MINTER, "action": "store.read", "store_hash": STORE}

    assert_problem(reader.ask("POST", PATH, WORKER, json=body), "forbidden")
    explain(reader, **body)

    last = reader.world.audit.entries[-1]
    assert (last.action, last.outcome, last.subject) == ("policy.read", "allowed", MINTER)


@pytest.mark.parametrize(
    "body",
    [
        {"caller": MINTER, "action": "store.read", "store_hash": STORE, "ttl_seconds": 5},
        {"caller": MINTER, "action": "no.such", "store_hash": STORE},
        {"caller": MINTER, "action": "store.read", "store_hash": "**"},
    ],
)
def test_what_makes_no_sense_is_wrong_fields(reader: Api, body: dict[str, Any]) -> None:
    """Terms belong to minting only; actions and stores are known ones."""
    assert_problem(reader.ask("POST", PATH, OPERATOR, json=body), "wrong_fields")
