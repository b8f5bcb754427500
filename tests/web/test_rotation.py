"""Rotating and rolling back over HTTP."""

from typing import Any

import pytest

from service.core.errors import (
    UpstreamError,
    UpstreamRateLimitedError,
    UpstreamTimeoutError,
)
from tests.support.access import STRANGER
from tests.support.upstream import EMAIL
from tests.support.world import MINTER, STORE
from tests.web.answers import CANARY, assert_problem, assert_retry_after, says_canary
from tests.web.calling import CREDENTIAL, Api

ROTATE = f"/v1/stores/{STORE}/rotate"
ROLL_BACK = f"/v1/stores/{STORE}/rollback"
WRONG = {"kind": "b2b_password", "email": EMAIL, "password": f"wrong-{CANARY}"}


def test_a_rotation_without_a_body_uses_what_is_at_hand(api: Api) -> None:
    """No content type is needed where there is no content."""
    api.put_store(retain=True)

    answer = api.ask("POST", ROTATE)

    assert (answer.status_code, answer.get_json()["generation"]) == (200, 2)
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.get_json()["previous"]["generation"] == 1


@pytest.mark.parametrize("body", [{}, {"credential": None}])
def test_an_empty_body_is_no_body(api: Api, body: dict[str, Any]) -> None:
    """Whoever sends one means the same."""
    api.put_store(retain=True)

    assert api.ask("POST", ROTATE, json=body).get_json()["generation"] == 2


def test_a_rotation_can_carry_a_credential(api: Api) -> None:
    """Of either kind."""
    api.put_store()
    token = "canary0access0token0abcdefghijk"
    api.world.upstream.access_tokens[STORE] = token

    first = api.ask("POST", ROTATE, json={"credential": CREDENTIAL})
    imported = {"kind": "access_token", "access_token": token}
    second = api.ask("POST", ROTATE, json={"credential": imported})

    assert (first.get_json()["generation"], second.get_json()["generation"]) == (2, 3)
    assert second.get_json()["token_style"] == "x_auth_token"
    assert not second.get_json()["deprecated"]


def test_without_a_credential_at_hand_it_is_409(api: Api) -> None:
    """A problem of its own: the operator has to send one."""
    api.put_store()

    assert_problem(api.ask("POST", ROTATE), "credential_needed")


def test_a_refused_credential_is_409_with_its_reason(api: Api) -> None:
    """And is not said again."""
    api.put_store()

    for _ in range(2):
        answer = api.ask("POST", ROTATE, json={"credential": WRONG})
        assert_problem(answer, "credential_refused")
        assert answer.get_json()["reason"] == "credential_incorrect"
        assert says_canary(answer) == []
    assert api.world.upstream.logins == 2


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"data": b"{}"}, "wrong_media_type"),
        ({"data": b"{}", "content_type": "text/plain"}, "wrong_media_type"),
        ({"data": b"{", "content_type": "application/json"}, "malformed"),
        ({"data": b"", "content_type": "application/json"}, None),
        ({"json": {"credential": {"kind": "b2b_password"}}}, "wrong_fields"),
        ({"json": {"credential": {"kind": CANARY}}}, "wrong_fields"),
        ({"json": {"credential": CREDENTIAL, "retain": True}}, "wrong_fields"),
        ({"json": {CANARY: 1}}, "wrong_fields"),
        ({"json": []}, "wrong_fields"),
        ({"data": b"null", "content_type": "application/json"}, "wrong_fields"),
    ],
)
def test_a_body_that_is_not_what_it_should_be_rotates_nothing(
    api: Api, options: dict[str, Any], problem: str | None
) -> None:
    """An optional body is checked as strictly as any other once it is there."""
    api.put_store(retain=True)

    answer = api.ask("POST", ROTATE, **options)

    if problem is None:
        assert answer.status_code == 200
    else:
        assert_problem(answer, problem)
        assert says_canary(answer) == []
        assert api.world.upstream.logins == 1


@pytest.mark.parametrize("path", [ROTATE, ROLL_BACK])
def test_an_unknown_store_is_404(api: Api, path: str) -> None:
    """There is nothing to do it to."""
    assert_problem(api.ask("POST", path), "store_unknown")


@pytest.mark.parametrize("path", [ROTATE, ROLL_BACK])
@pytest.mark.parametrize("identity", [MINTER, STRANGER])
def test_policy_says_no_with_403(api: Api, path: str, identity: str) -> None:
    """Whether the store exists or not."""
    before = api.ask("POST", path, identity)
    api.put_store(retain=True)

    assert_problem(before, "forbidden")
    assert_problem(api.ask("POST", path, identity), "forbidden")


@pytest.mark.parametrize("path", [ROTATE, ROLL_BACK])
def test_a_query_is_refused(api: Api, path: str) -> None:
    """Whoever sends one means something by it."""
    api.put_store(retain=True)

    assert_problem(api.ask("POST", f"{path}?force=true"), "wrong_fields")


def test_a_rollback_answers_with_the_store(api: Api) -> None:
    """Twice is forward again."""
    api.put_store(retain=True)
    api.ask("POST", ROTATE)

    back, forward = api.ask("POST", ROLL_BACK), api.ask("POST", ROLL_BACK)

    assert (back.status_code, back.get_json()["generation"]) == (200, 1)
    assert forward.get_json()["generation"] == 2
    assert forward.get_json()["previous"]["until"] == "2026-11-23T13:00:00.000Z"


def test_nothing_to_go_back_to_is_409(api: Api) -> None:
    """With the reason."""
    api.put_store()

    answer = api.ask("POST", ROLL_BACK)

    assert_problem(answer, "store_not_active")
    assert answer.get_json()["reason"] == "no_previous"


@pytest.mark.parametrize(
    ("error", "problem"),
    [
        (UpstreamTimeoutError("late", reason="upstream_timeout"), "upstream_timeout"),
        (UpstreamRateLimitedError("slow", reason="slow"), "upstream_rate_limited"),
    ],
)
def test_an_upstream_that_does_not_say_is_an_error(
    api: Api, error: UpstreamError, problem: str
) -> None:
    """Every such answer is documented."""
    api.put_store(retain=True)
    api.ask("POST", ROTATE)
    api.world.upstream.failure = error

    assert_problem(api.ask("POST", ROLL_BACK), problem)


def test_a_pause_of_logins_is_503_with_retry_after(api: Api) -> None:
    """For whoever would have to log in."""
    for number in range(6):
        api.put_store(f"wrong{number}", credential=WRONG)

    answer = api.put_store()

    assert_problem(answer, "issuing_paused")
    assert_retry_after(answer, 60)
    assert api.world.observer.paused


def test_the_deprecated_stores_are_listed_page_by_page(api: Api) -> None:
    """Only they, and all of them."""
    for number in range(5):
        name = f"store{number}"
        if number % 2:
            api.world.upstream.access_tokens[name] = "t" * 31
            credential = {"kind": "access_token", "access_token": "t" * 31}
            api.put_store(name, credential=credential)
        else:
            api.put_store(name)

    first = api.ask("GET", "/v1/stores?deprecated=true&limit=2").get_json()
    second = api.ask(
        "GET", f"/v1/stores?deprecated=true&limit=2&cursor={first['next_cursor']}"
    ).get_json()
    others = api.ask("GET", "/v1/stores?deprecated=false").get_json()

    assert [store["store_hash"] for store in first["stores"]] == ["store0", "store2"]
    assert [store["store_hash"] for store in second["stores"]] == ["store4"]
    assert second["next_cursor"] is None
    assert [store["store_hash"] for store in others["stores"]] == ["store1", "store3"]


@pytest.mark.parametrize("value", ["", "1", "yes", "True", "TRUE", "on", "null"])
def test_a_flag_is_true_or_false(api: Api, value: str) -> None:
    """Nothing else."""
    assert_problem(api.ask("GET", f"/v1/stores?deprecated={value}"), "wrong_fields")
