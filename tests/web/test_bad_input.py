"""Bad input of every kind: refused with its problem, without effect, and never repeated in the answer."""

import pytest

from tests.support.upstream import CannedResponse
from tests.support.world import OPERATOR, World
from tests.web import bad_requests, bad_targets
from tests.web.answers import CANARY, assert_problem, says_canary
from tests.web.bad_requests import BadRequest
from tests.web.calling import COMPANIES, Api

TABLE = {
    f"{group}: {name}": bad
    for group, table in {
        "syntax": bad_requests.SYNTAX,
        "fields": bad_requests.FIELDS,
        "store hash": bad_requests.STORE_HASHES,
        "query": bad_requests.QUERIES,
        "proof": bad_requests.PROOFS,
        "route": bad_targets.ROUTES,
        "proxy": bad_targets.PROXY,
        "reference": bad_targets.REFERENCES,
    }.items()
    for name, bad in table.items()
}


@pytest.fixture(scope="module")
def untouched() -> Api:
    """One API for the whole table, because what it does has no effect."""
    return Api(World())


@pytest.mark.parametrize("bad", TABLE.values(), ids=TABLE.keys())
def test_bad_input_is_a_problem_without_effect_that_does_not_repeat_it(
    untouched: Api, bad: BadRequest
) -> None:
    """The answer is the expected problem, nothing went upstream, and the canary is nowhere in it."""
    assert CANARY in bad.input().lower()

    answer = bad.send(untouched)

    assert_problem(answer, bad.problem)
    assert says_canary(answer) == []
    assert (untouched.world.upstream.logins, untouched.world.upstream.proxied) == (0, [])
    assert list(untouched.world.redis.keys()) == []
    assert "Location" not in answer.headers
    assert ("Proxy-Status" in answer.headers) == bad.path.startswith("/v1/proxy/")


@pytest.mark.parametrize("spelling", [CANARY, CANARY.upper(), "%63anary7zq", "\\u0063anary7zq"])
def test_the_search_for_the_canary_finds_it(api: Api, spelling: str) -> None:
    """A positive control: what an upstream says in body and headers is found in each spelling."""
    api.world.upstream.response = CannedResponse(
        headers=[("X-Said", spelling)], content=[f"before {spelling} after".encode()]
    )

    answer = api.proxy()

    assert says_canary(answer) == ["body", "header X-Said"]


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/v1/stores/abc123", {"PUT", "GET", "HEAD", "DELETE"}),
        ("/v1/references", {"POST", "GET", "HEAD"}),
        ("/v1/references/redeem", {"POST", "GET", "HEAD", "DELETE"}),
        ("/v1/whoami", {"GET", "HEAD"}),
        (COMPANIES, {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"}),
    ],
)
def test_a_method_that_is_not_allowed_tells_which_are(
    api: Api, path: str, allowed: set[str]
) -> None:
    """``Allow`` lists what the path takes (RFC 9110 §15.5.6)."""
    answer = api.ask("OPTIONS", path)

    assert_problem(answer, "method_not_allowed")
    assert {method.strip() for method in answer.headers["Allow"].split(",")} == allowed


@pytest.mark.parametrize(
    ("body", "errors"),
    [
        ({"credential": {"kind": "b2b_password", "email": "a@b.c"}}, ["credential.b2b_password"]),
        ({"credential": {"kind": "x"}, "retain": 1}, ["credential", "retain"]),
        ({"credential": {"kind": "access_token", "access_token": "x" * 20}, "y": 1}, ["body"]),
        (
            {"credential": {"kind": "b2b_password", "email": "a@b.c", "password": "\n"}},
            ["credential.b2b_password"],
        ),
    ],
)
def test_wrong_fields_are_named_by_their_place(
    api: Api, body: dict[str, object], errors: list[str]
) -> None:
    """The caller learns where and which rule; a name that it made up is not repeated."""
    answer = api.ask("PUT", "/v1/stores/abc123", OPERATOR, json=body)

    assert_problem(answer, "wrong_fields")
    assert [error["where"] for error in answer.get_json()["errors"]] == errors
    assert all(
        set(error) == {"where", "rule"} and error["rule"] for error in answer.get_json()["errors"]
    )
    assert "Value error" not in answer.get_data(as_text=True)
