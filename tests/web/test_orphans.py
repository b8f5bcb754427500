"""Orphans over HTTP: looking deletes nothing, deleting deletes what is proven to be ours."""

import pytest

from service.core.errors import (
    UpstreamAnswerError,
    UpstreamError,
    UpstreamRateLimitedError,
    UpstreamTimeoutError,
)
from service.core.policy import AccessGrant, Policy
from tests.core.altering import alter, store_key
from tests.support.access import STRANGER, FakeAccess
from tests.support.upstream import MadeToken
from tests.support.world import OPERATOR, STORE, TOKEN_PREFIX
from tests.web.answers import assert_problem
from tests.web.calling import CREDENTIAL, Api

ORPHANS = f"/v1/stores/{STORE}/orphans"
UNPROVEN = f"{TOKEN_PREFIX}/{STORE}/0123"


@pytest.fixture
def orphan(api: Api) -> MadeToken:
    """A token whose answer never came, beside others."""

    def time_out() -> None:
        raise UpstreamTimeoutError("late", reason="upstream_timeout")

    api.put_store()
    api.world.upstream.after_issue = time_out
    rotated = api.ask("POST", f"/v1/stores/{STORE}/rotate", json={"credential": CREDENTIAL})
    assert_problem(rotated, "upstream_timeout")
    api.world.upstream.after_issue = lambda: None
    api.world.upstream.ledger += [
        MadeToken(1, STORE, UNPROVEN, "u" * 20),
        MadeToken(2, STORE, "the merchant's own", "m" * 20),
    ]
    return api.world.upstream.ledger[1]


def names(api: Api) -> list[str]:
    """Return the names of the live tokens."""
    return [made.name for made in api.world.upstream.live(STORE)]


def test_looking_shows_and_deletes_nothing(api: Api, orphan: MadeToken) -> None:
    """What is ours and what only looks like it; other names are nobody's business, and no value of a token is shown."""
    before = names(api)

    answer = api.ask("GET", ORPHANS)

    assert (answer.status_code, answer.headers["Cache-Control"]) == (200, "no-store")
    assert answer.get_json() == {
        "orphans": [
            {
                "attempt": orphan.name.rpartition("/")[2],
                "token_name": orphan.name,
                "started_at": "2026-11-23T12:00:00.000Z",
                "alive": True,
            }
        ],
        "unproven": [UNPROVEN],
    }
    assert names(api) == before
    assert orphan.value not in answer.text


@pytest.mark.parametrize("query", ["", "?forget=false", "?forget=true"])
def test_deleting_shows_what_there_was_and_leaves_what_is_not_proven(
    api: Api, orphan: MadeToken, query: str
) -> None:
    """However it is asked for."""
    answer = api.ask("DELETE", ORPHANS + query)
    again = api.ask("DELETE", ORPHANS + query)

    assert answer.status_code == 200
    assert [row["alive"] for row in answer.get_json()["orphans"]] == [True]
    assert orphan.deleted
    assert UNPROVEN in names(api)
    assert "the merchant's own" in names(api)
    assert again.get_json() == {"orphans": [], "unproven": [UNPROVEN]}


def test_what_cannot_be_looked_up_is_null_and_can_be_forgotten(api: Api, orphan: MadeToken) -> None:
    """On the operator's word only."""
    api.world.upstream.ledger[0].deleted = True

    shown = api.ask("GET", ORPHANS).get_json()
    kept = api.ask("DELETE", ORPHANS).get_json()
    api.ask("DELETE", ORPHANS + "?forget=true")

    assert [row["alive"] for row in shown["orphans"]] == [None]
    assert shown == kept
    assert api.ask("GET", ORPHANS).get_json() == {"orphans": [], "unproven": []}
    assert api.ask("GET", f"/v1/stores/{STORE}").get_json()["attempts"] == []
    assert not orphan.deleted


@pytest.mark.parametrize(
    "query", ["?forget=1", "?forget=yes", "?forget", "?dry_run=true", "?forget=true&forget=true"]
)
def test_a_query_that_is_not_understood_deletes_nothing(
    api: Api, orphan: MadeToken, query: str
) -> None:
    """Least of all something that somebody wanted to see first."""
    assert_problem(api.ask("DELETE", ORPHANS + query), "wrong_fields")

    assert not orphan.deleted


def test_looking_takes_no_query(api: Api, orphan: MadeToken) -> None:
    """It would mean something that looking does not do."""
    assert_problem(api.ask("GET", ORPHANS + "?forget=true"), "wrong_fields")

    assert len(api.world.reader.view(STORE).attempts) == 1
    assert not orphan.deleted


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_an_unknown_store_is_404(api: Api, method: str) -> None:
    """Nothing is asked upstream."""
    assert_problem(api.ask(method, ORPHANS), "store_unknown")


@pytest.mark.parametrize("method", ["GET", "DELETE"])
@pytest.mark.parametrize("store_hash", ["ABC", "abc", "a" * 21])
def test_a_hash_that_is_none_is_422(api: Api, method: str, store_hash: str) -> None:
    """As everywhere."""
    assert_problem(api.ask(method, f"/v1/stores/{store_hash}/orphans"), "wrong_fields")


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_policy_says_no_with_403(api: Api, orphan: MadeToken, method: str) -> None:
    """Whoever no grant names."""
    assert_problem(api.ask(method, ORPHANS, STRANGER), "forbidden")

    assert not orphan.deleted


def test_reading_is_not_writing(api: Api, orphan: MadeToken) -> None:
    """One may look without being able to delete."""
    reader = AccessGrant("reader", (OPERATOR,), ("*",), ("store.read",))
    api.access = FakeAccess(Policy((reader,)))

    assert api.ask("GET", ORPHANS).status_code == 200
    assert_problem(api.ask("DELETE", ORPHANS), "forbidden")
    assert not orphan.deleted


@pytest.mark.parametrize("method", ["GET", "DELETE"])
@pytest.mark.parametrize(
    ("error", "problem"),
    [
        (UpstreamTimeoutError("late", reason="upstream_timeout"), "upstream_timeout"),
        (UpstreamAnswerError("odd", reason="too_many_tokens"), "upstream_answer"),
        (UpstreamRateLimitedError("slow", reason="slow"), "upstream_rate_limited"),
    ],
)
def test_an_upstream_that_does_not_list_is_an_error(
    api: Api, orphan: MadeToken, method: str, error: UpstreamError, problem: str
) -> None:
    """Nothing is forgotten on its account."""
    api.world.upstream.failure = error

    assert_problem(
        api.ask(method, ORPHANS + ("?forget=true" if method == "DELETE" else "")), problem
    )

    assert not orphan.deleted
    assert len(api.world.reader.view(STORE).attempts) == 1


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_an_altered_store_is_409(api: Api, orphan: MadeToken, method: str) -> None:
    """Its record proves nothing."""
    alter(api.world, store_key(STORE), lambda line: line[:-2] + b"!}")

    assert_problem(api.ask(method, ORPHANS), "store_not_active")

    assert not orphan.deleted


def test_a_broken_trail_is_503_and_nothing_is_deleted(api: Api, orphan: MadeToken) -> None:
    """No record, no effect."""
    api.world.audit.broken = True

    assert_problem(api.ask("DELETE", ORPHANS), "audit_unavailable")

    assert not orphan.deleted
