"""The operations on stores: what they answer, and which problems they have."""

from datetime import timedelta

import fakeredis
import pytest

from service.core.errors import (
    ForeignTokenError,
    UpstreamAnswerError,
    UpstreamError,
    UpstreamRateLimitedError,
    UpstreamRefusedError,
    UpstreamTimeoutError,
    UpstreamUnreachableError,
)
from service.core.policy import AccessGrant, Policy
from tests.support.access import STRANGER, FakeAccess
from tests.support.upstream import EMAIL
from tests.support.world import OPERATOR, STORE
from tests.web.answers import CANARY, assert_problem, assert_retry_after, says_canary
from tests.web.calling import CREDENTIAL, Api

FIELDS = {
    "store_hash",
    "status",
    "reason",
    "token_style",
    "generation",
    "deprecated",
    "retained",
    "issued_at",
    "expires_at",
    "last_used_at",
    "live_references",
    "previous",
    "attempts",
    "lock",
}
ACCESS_TOKEN = "canary0access0token0abcdefghijk"
WRONG = {"kind": "b2b_password", "email": EMAIL, "password": f"wrong-{CANARY}"}


def test_a_new_store_answers_201_with_its_document(api: Api) -> None:
    """PUT issues the token before it answers, and shows the store."""
    answer = api.put_store()

    assert answer.status_code == 201
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Cache-Control"] == "no-store"
    assert set(answer.get_json()) == FIELDS
    assert answer.get_json() == {
        "store_hash": STORE,
        "status": "active",
        "reason": "",
        "token_style": "auth_token",
        "generation": 1,
        "deprecated": True,
        "retained": False,
        "issued_at": "2026-11-23T12:00:00.000Z",
        "expires_at": None,
        "last_used_at": None,
        "live_references": 0,
        "previous": None,
        "attempts": [],
        "lock": None,
    }


def test_a_store_that_is_active_answers_200_and_keeps_its_token(api: Api) -> None:
    """A second PUT changes only the retention; the upstream is not asked again."""
    api.put_store()

    answer = api.put_store(retain=True)

    assert (answer.status_code, answer.get_json()["retained"]) == (200, True)
    assert api.world.upstream.logins == 1


def test_an_access_token_replaces_the_deprecated_style(api: Api) -> None:
    """The imported token becomes the active one, and the old one is shown as the previous."""
    api.put_store()
    api.world.upstream.access_tokens[STORE] = ACCESS_TOKEN
    credential = {"kind": "access_token", "access_token": ACCESS_TOKEN}

    answer = api.put_store(credential=credential)

    assert answer.status_code == 200
    assert (answer.get_json()["token_style"], answer.get_json()["deprecated"]) == (
        "x_auth_token",
        False,
    )
    assert answer.get_json()["previous"] == {
        "generation": 1,
        "token_style": "auth_token",
        "until": "2026-11-23T13:00:00.000Z",
    }


def test_a_store_is_shown(api: Api) -> None:
    """GET answers the store document, with the use and the references of the store."""
    api.proxy()

    answer = api.ask("GET", f"/v1/stores/{STORE}")

    assert (answer.status_code, answer.headers["Cache-Control"]) == (200, "no-store")
    assert set(answer.get_json()) == FIELDS
    assert answer.get_json()["last_used_at"] == "2026-11-23T12:00:00.000Z"
    assert answer.get_json()["live_references"] == 1


def test_stores_are_listed_page_by_page(api: Api) -> None:
    """Following the cursor visits every store once, in order, and ends."""
    for store_hash in ("store3", "store1", "store2"):
        api.put_store(store_hash)

    first = api.ask("GET", "/v1/stores?limit=2")
    second = api.ask("GET", f"/v1/stores?limit=2&cursor={first.get_json()['next_cursor']}")

    assert set(first.get_json()) == {"stores", "next_cursor"}
    assert [shown["store_hash"] for shown in first.get_json()["stores"]] == ["store1", "store2"]
    assert [shown["store_hash"] for shown in second.get_json()["stores"]] == ["store3"]
    assert second.get_json()["next_cursor"] is None
    assert first.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("limit", [1, 2, 3, 4])
def test_a_cursor_names_no_store_that_the_caller_may_not_see(api: Api, limit: int) -> None:
    """Hidden stores lie before, between and behind those that are shown, and nothing tells of them."""
    seen = ["abc1", "abc4", "abc7"]
    for store_hash in [*seen, "aaa0", "abd2", "abb3", "xyz9"]:
        api.put_store(store_hash)
    reader = AccessGrant("reader", (OPERATOR,), ("abc*",), ("store.read",))
    api.access = FakeAccess(Policy((reader,)))
    shown: list[str] = []
    cursors: list[str | None] = []
    cursor: str | None = ""

    while cursor is not None:
        query = f"limit={limit}" + (f"&cursor={cursor}" if cursor else "")
        page = api.ask("GET", f"/v1/stores?{query}").get_json()
        shown += [store["store_hash"] for store in page["stores"]]
        cursor = page["next_cursor"]
        cursors.append(cursor)

    assert shown == seen
    assert cursors == [*seen[limit - 1 : -1 : limit], None]


def test_a_removed_store_answers_204_and_is_gone(api: Api) -> None:
    """DELETE has no body; the token is deleted upstream and the store unknown."""
    api.put_store()

    answer = api.ask("DELETE", f"/v1/stores/{STORE}")

    assert (answer.status_code, answer.data) == (204, b"")
    assert "Content-Type" not in answer.headers
    assert answer.headers["Cache-Control"] == "no-store"
    assert api.world.upstream.live(STORE) == []
    assert_problem(api.ask("GET", f"/v1/stores/{STORE}"), "store_unknown")


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_an_unknown_store_is_404(api: Api, method: str) -> None:
    """There is nothing to show or to remove."""
    assert_problem(api.ask(method, f"/v1/stores/{STORE}"), "store_unknown")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", f"/v1/stores/{STORE}"),
        ("GET", f"/v1/stores/{STORE}"),
        ("GET", "/v1/stores"),
        ("DELETE", f"/v1/stores/{STORE}"),
    ],
)
def test_policy_says_no_with_403(api: Api, method: str, path: str) -> None:
    """Whoever no grant names may do nothing, and is not told whether the store exists."""
    answer = api.ask(method, path, STRANGER, json={"credential": CREDENTIAL})

    assert_problem(answer, "forbidden")
    assert api.world.upstream.logins == 0


def test_a_refused_credential_is_409_with_the_reason(api: Api) -> None:
    """The operator learns which refusal it was, and the password is not repeated."""
    answer = api.put_store(credential=WRONG)

    assert_problem(answer, "credential_refused")
    assert answer.get_json()["reason"] == "credential_incorrect"
    assert says_canary(answer) == []
    assert api.ask("GET", f"/v1/stores/{STORE}").get_json()["status"] == "rejected"


@pytest.mark.parametrize(
    ("error", "problem"),
    [
        (UpstreamRefusedError("no", reason="upstream_refused"), "upstream_refused"),
        (UpstreamUnreachableError("no", reason="unreachable"), "upstream_unreachable"),
        (UpstreamAnswerError("no", reason="unreadable"), "upstream_answer"),
        (ForeignTokenError("no", reason="foreign_token"), "foreign_token"),
        (UpstreamTimeoutError("no", reason="upstream_timeout"), "upstream_timeout"),
    ],
)
def test_what_the_upstream_does_wrong_is_502_or_504(
    api: Api, error: UpstreamError, problem: str
) -> None:
    """Each way in which an issue fails upstream has its problem."""

    def fail() -> None:
        raise error

    api.world.upstream.before_issue = fail

    assert_problem(api.put_store(), problem)


def test_the_upstreams_rate_limit_is_429_with_retry_after(api: Api) -> None:
    """The caller is told how long the upstream asked to wait."""

    def slow_down() -> None:
        raise UpstreamRateLimitedError("slow", retry_after=timedelta(seconds=17))

    api.world.upstream.before_issue = slow_down

    answer = api.put_store()

    assert_problem(answer, "upstream_rate_limited")
    assert_retry_after(answer, 17)


def test_a_store_that_is_being_issued_is_503_with_retry_after(api: Api) -> None:
    """Whoever asks while another request issues waits, and is then asked to come back; there is one exchange."""
    meanwhile = []
    api.world.upstream.before_issue = lambda: meanwhile.append(api.put_store())

    assert api.put_store().status_code == 201

    assert_problem(meanwhile[0], "store_busy")
    assert_retry_after(meanwhile[0], 1)
    assert api.world.upstream.logins == 1


def test_a_quarantined_store_is_409_with_its_status(api: Api) -> None:
    """A token that names another store leaves a store that a new credential does not revive."""

    def foreign() -> None:
        raise ForeignTokenError("no", reason="foreign_token")

    api.world.upstream.before_issue = foreign
    api.put_store()

    answer = api.put_store()

    assert_problem(answer, "store_not_active")
    assert answer.get_json()["reason"] == "quarantined"


def test_an_outage_of_redis_is_503_with_retry_after(
    api: Api, redis_server: fakeredis.FakeServer
) -> None:
    """The answer names storage, and says when to come back."""
    redis_server.connected = False

    answer = api.put_store()

    assert_problem(answer, "storage_unavailable")
    assert_retry_after(answer, 1)
    assert api.world.upstream.logins == 0


def test_removing_an_uncertain_store_is_409(api: Api) -> None:
    """Its token may exist and cannot be found yet; the answer is one that the API documents."""

    def late() -> None:
        raise UpstreamTimeoutError("late", reason="upstream_timeout")

    api.world.upstream.after_issue = late
    api.put_store()

    answer = api.ask("DELETE", f"/v1/stores/{STORE}")

    assert_problem(answer, "store_not_active")
    assert answer.get_json()["reason"] == "uncertain"
