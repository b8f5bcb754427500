"""Who is calling: every operation needs exactly one proof of identity."""

import re
from datetime import timedelta

import pytest

from service.core.caller import Caller
from service.core.errors import IssuerAwayError
from service.core.policy import Policy
from service.core.secret import Secret
from service.web.edge import OPERATIONS
from tests.support.access import STRANGER, FakeAccess, key_of, token_of
from tests.support.world import MINTER, OPERATOR, World
from tests.web.answers import assert_problem, assert_retry_after
from tests.web.calling import COMPANIES, Api

ROUTES = [
    *((operation.method, operation.path) for operation in OPERATIONS),
    *((method, COMPANIES) for method in ("GET", "POST", "PUT", "PATCH", "DELETE")),
]


class IssuerAway(FakeAccess):
    """An access file whose issuer's keys cannot be fetched."""

    def by_token(self, token: Secret) -> Caller:
        del token
        raise IssuerAwayError("away", reason="issuer_away", retry_after=timedelta(seconds=30))


@pytest.fixture(scope="module")
def refusing() -> Api:
    """One API with a store for all that is refused."""
    api = Api(World())
    api.put_store()
    return api


@pytest.fixture(scope="module")
def locked() -> Api:
    """An API without a keyring."""
    api = Api(World())
    api.world.ring = None
    return api


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_nothing_is_done_for_whoever_does_not_prove_who_they_are(
    refusing: Api, method: str, path: str
) -> None:
    """The proof comes before the body, the path and everything else, and its absence is recorded."""
    recorded = len(refusing.world.audit.entries)

    answer = refusing.ask(
        method,
        re.sub(r"\{\w+\}", "abc123", path),
        None,
        {"Broker-Reference": "x"},
        data="{",
        content_type="application/json",
    )

    assert_problem(answer, "unauthenticated")
    assert ("Proxy-Status" in answer.headers) == (path == COMPANIES)
    assert refusing.world.audit.told()[recorded:] == [("authenticate", "denied", "no_proof")]


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ({"Authorization": "Bearer nobody"}, "token_unknown"),
        ({"Authorization": "Bearer "}, "token_unknown"),
        ({"Authorization": "Bearer"}, "no_proof"),
        ({"Authorization": f"Basic {token_of(OPERATOR)}"}, "no_proof"),
        ({"Authorization": token_of(OPERATOR)}, "no_proof"),
        ({"Authorization": f"Bearer {key_of(OPERATOR)}"}, "token_unknown"),
        ({"Broker-Key": "nobody"}, "key_unknown"),
        ({"Broker-Key": ""}, "key_unknown"),
        ({"Broker-Key": token_of(OPERATOR)}, "key_unknown"),
        ({"Broker-Key": key_of(OPERATOR), "Authorization": ""}, "two_proofs"),
        (
            {"Broker-Key": key_of(OPERATOR), "Authorization": f"Bearer {token_of(OPERATOR)}"},
            "two_proofs",
        ),
    ],
)
def test_a_proof_that_does_not_hold_is_401(api: Api, headers: dict[str, str], reason: str) -> None:
    """Only the audit trail knows which check failed."""
    answer = api.ask("GET", "/v1/whoami", None, headers)

    assert_problem(answer, "unauthenticated")
    assert api.world.audit.told() == [("authenticate", "denied", reason)]
    assert reason not in answer.text


def test_the_scheme_is_read_in_any_case(api: Api) -> None:
    """Schemes are case-insensitive (RFC 9110 §11.1)."""
    headers = {"Authorization": f"bEARER {token_of(MINTER)}"}

    assert api.ask("GET", "/v1/whoami", None, headers).get_json()["identity"] == MINTER


def test_whoami_shows_a_workload_token_and_what_it_may_do(api: Api) -> None:
    """The identity, the proof with its end, the grants, and the policy in force."""
    answer = api.ask("GET", "/v1/whoami", MINTER)

    assert (answer.status_code, answer.headers["Cache-Control"]) == (200, "no-store")
    assert answer.get_json() == {
        "identity": MINTER,
        "issuer": "cluster",
        "proof": "workload_token",
        "expires_at": "2026-11-23T13:00:00.000Z",
        "grants": [{"name": "minter", "stores": ["*"], "actions": ["reference.mint"]}],
        "policy": api.access.policy.digest,
    }


class SwappedMeanwhile(FakeAccess):
    """An access file that is replaced by an empty one as soon as it has proven somebody."""

    def __init__(self, api: Api) -> None:
        super().__init__()
        self._api = api

    def by_token(self, token: Secret) -> Caller:
        caller = super().by_token(token)
        self._api.access = FakeAccess(Policy(()))
        return caller


def test_whoami_shows_one_version_of_the_policy(api: Api) -> None:
    """Grants and digest are of the file that proved the caller, also when it is replaced in that moment."""
    before = api.access = SwappedMeanwhile(api)

    during = api.ask("GET", "/v1/whoami", MINTER).get_json()
    after = api.ask("GET", "/v1/whoami", MINTER).get_json()

    assert [grant["name"] for grant in during["grants"]] == ["minter"]
    assert during["policy"] == before.policy.digest
    assert (after["grants"], after["policy"]) == ([], api.access.policy.digest)
    assert during["policy"] != after["policy"]


def test_whoami_shows_an_api_key(api: Api) -> None:
    """A key proves an identity and has no end."""
    answer = api.ask("GET", "/v1/whoami", None, {"Broker-Key": key_of(OPERATOR)})

    assert answer.status_code == 200
    assert (answer.get_json()["identity"], answer.get_json()["proof"]) == (OPERATOR, "api_key")
    assert (answer.get_json()["issuer"], answer.get_json()["expires_at"]) == ("key", None)


def test_whoami_shows_a_stranger_that_it_may_do_nothing(api: Api) -> None:
    """Being known is not being allowed."""
    assert api.ask("GET", "/v1/whoami", STRANGER).get_json()["grants"] == []


def test_a_proof_whose_failure_cannot_be_recorded_is_503(api: Api) -> None:
    """Without a record there is no decision, not even a refusal."""
    api.world.audit.broken = True

    answer = api.ask("GET", "/v1/whoami", None)

    assert_problem(answer, "audit_unavailable")


@pytest.mark.parametrize("identity", [OPERATOR, None], ids=["operator", "nobody"])
@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_a_locked_broker_says_so_to_everybody(
    locked: Api, method: str, path: str, identity: str | None
) -> None:
    """Without a keyring nothing can be sealed, opened or verified, so nothing is begun."""
    answer = locked.ask(method, re.sub(r"\{\w+\}", "abc123", path), identity)

    assert_problem(answer, "locked")
    assert locked.world.audit.entries == []


@pytest.mark.parametrize(("method", "path"), [("GET", "/v1/whoami"), ("GET", COMPANIES)])
def test_an_issuer_that_is_away_is_503_and_not_401(api: Api, method: str, path: str) -> None:
    """It is not the caller's fault, and trying again helps."""
    api.access = IssuerAway()

    answer = api.ask(method, path)

    assert_problem(answer, "authentication_unavailable")
    assert_retry_after(answer, 30)


def test_the_end_of_an_outage_needs_no_restart(api: Api) -> None:
    """The same application answers again when its keyring is back."""
    ring = api.world.ring
    api.world.ring = None
    api.put_store()
    api.world.ring = ring

    assert api.put_store().status_code == 201


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/whoami?x=1"),
        ("GET", "/v1/references/cba_x?x=1"),
        ("DELETE", "/v1/references/x?x=1"),
    ],
)
def test_a_query_where_none_is_taken_is_422(api: Api, method: str, path: str) -> None:
    """Whoever sends one means something by it, and would not be heard."""
    assert_problem(api.ask(method, path), "wrong_fields")
