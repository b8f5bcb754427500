"""Everything a create can come to, and whether it left a token behind."""

from __future__ import annotations

import http.client
import time
from typing import TYPE_CHECKING

import pytest

from sandbox.behaviours import CREATE_OUTCOMES
from sandbox.tokens import unverified_claims

if TYPE_CHECKING:
    from tests.sandbox.calling import Caller

#: outcome → (status, tokens made); None: no answer
EXPECTED: dict[str, tuple[int | None, int]] = {
    "normal": (200, 1),
    "bad_credentials": (400, 0),
    "role_forbidden": (400, 0),
    "ok_with_422_body": (200, 0),
    "saving_error": (422, 0),
    "commit_then_drop": (None, 1),
    "commit_then_hang": (None, 1),
    "commit_then_500": (500, 1),
    "drop_before_commit": (None, 0),
    "status_500": (500, 0),
    "status_503": (503, 0),
    "status_429": (429, 0),
    "hang": (None, 0),
    "html": (200, 0),
    "redirect": (302, 0),
    "empty_token": (200, 1),
    "huge_body": (200, 1),
    "wrong_store_claim": (200, 1),
}


def test_every_outcome_has_an_expectation() -> None:
    """A new outcome needs a line above."""
    assert set(EXPECTED) == set(CREATE_OUTCOMES)


@pytest.mark.parametrize("outcome", CREATE_OUTCOMES)
def test_create_comes_to_the_outcome_that_is_set(api: Caller, outcome: str) -> None:
    """Status, and what the ledger has afterwards."""
    api.set(create_outcome=outcome, create_hang_seconds=0.05)
    status, tokens = EXPECTED[outcome]

    if status is None:
        with pytest.raises(http.client.RemoteDisconnected):
            api.create()
    else:
        assert api.create().status == status

    assert len(api.ledger()["tokens"]) == tokens


def test_details_of_answers_that_look_right_and_are_not(api: Caller) -> None:
    """What a careful client must notice in a 200."""
    api.set(create_outcome="ok_with_422_body")
    refused = api.create().json()
    api.set(create_outcome="empty_token")
    empty = api.create().json()
    api.set(create_outcome="wrong_store_claim")
    other = api.create().json()
    api.set(create_outcome="huge_body")
    huge = api.create().body
    api.set(create_outcome="html")
    page = api.create()

    assert refused["code"] == 422
    assert empty["data"][0]["token"] == ""
    assert unverified_claims(other["data"][0]["token"])["store_hash"] == "zzz999"
    assert len(huge) > 20_000_000
    assert page.headers["Content-Type"].startswith("text/html")


def test_a_forced_refusal_counts_as_a_refused_login(api: Caller) -> None:
    """So that a test can count how often a client hammered."""
    api.set(create_outcome="bad_credentials")

    api.create()

    assert api.ledger()["logins"] == {"abc123": {"accepted": 0, "refused": 1}}


def test_a_committing_outcome_still_checks_the_password(api: Caller) -> None:
    """Nothing is made for a wrong password."""
    api.set(create_outcome="commit_then_500")

    assert api.create(password="wrong").status == 400
    assert api.ledger()["tokens"] == []


def test_create_waits_as_long_as_is_set(api: Caller) -> None:
    """A slow create, for races."""
    api.set(create_delay_seconds=0.1)
    start = time.monotonic()

    api.create()

    assert time.monotonic() - start >= 0.1


def test_the_planned_429_carries_retry_after_unless_that_is_off(api: Caller) -> None:
    """Its presence upstream is uncertain."""
    api.set(create_outcome="status_429")
    given = api.create().headers["Retry-After"]
    api.set(rate_limit_retry_after=False)

    assert given == "7"
    assert api.create().headers["Retry-After"] is None
