"""The rate windows, their headers and what a refusal looks like."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sandbox.data import first_id
from tests.sandbox.calling import LIST

if TYPE_CHECKING:
    from tests.sandbox.calling import Caller


def test_answers_carry_the_odd_headers(api: Caller) -> None:
    """Values with units, and a window length of zero, as documented."""
    headers = api.manage("GET", "/companies").headers

    assert headers["X-Requests-Allocated"] == "150 times/60 s"
    assert headers["X-Requests-Window-Length"] == "0 times"
    assert headers["X-Requests-Remaining"] == "149 times"
    assert 0 < float(headers["X-Request-Window-Resets-After"].removesuffix(" s")) <= 60


def test_the_request_over_the_limit_is_refused_until_the_window_passes(api: Caller) -> None:
    """A fixed window for each store: another one is not affected."""
    api.set(rate_limit_per_minute=2)
    statuses = [api.manage("GET", "/companies").status for _ in range(3)]
    refused = api.manage("GET", "/companies")
    other = api.manage("GET", "/companies", store_hash="def456").status

    api.send("POST", "/_sandbox/clock", {"advance_seconds": 61})

    assert statuses == [200, 200, 429]
    assert 1 <= int(refused.headers["Retry-After"]) <= 61
    assert refused.headers["X-Requests-Remaining"] == "0 times"
    assert other == 200
    assert api.manage("GET", "/companies").status == 200


def test_a_refusal_without_retry_after(api: Caller) -> None:
    """Its presence upstream is uncertain."""
    api.set(rate_limit_per_minute=1, rate_limit_retry_after=False)
    api.manage("GET", "/companies")

    refused = api.manage("GET", "/companies")

    assert refused.status == 429
    assert refused.headers["Retry-After"] is None


def test_zero_is_no_limit_and_no_headers(api: Caller) -> None:
    """For load tests."""
    api.set(rate_limit_per_minute=0)

    assert api.manage("GET", "/companies").headers["X-Requests-Allocated"] is None


@pytest.mark.parametrize(("counts", "status"), [(False, 200), (True, 429)])
def test_creating_takes_a_place_only_where_that_is_on(
    api: Caller, *, counts: bool, status: int
) -> None:
    """Whether it does upstream is unknown."""
    api.set(rate_limit_per_minute=1, rate_limit_counts_create=counts)
    api.create()

    assert api.create().status == status


def test_listing_tokens_takes_a_place(api: Caller) -> None:
    """It is a request of the store like any other."""
    header = {"authToken": api.token()}
    api.set(rate_limit_per_minute=1)

    statuses = [api.send("GET", LIST, headers=header).status for _ in range(2)]

    assert statuses == [200, 429]


def test_the_hierarchy_has_a_smaller_limit(api: Caller) -> None:
    """Fifteen a minute, whatever else the store does; zero turns it off."""
    path = f"/companies/{first_id('abc123') + 1}/hierarchy"
    statuses = [api.manage("GET", path).status for _ in range(16)]
    others = api.manage("GET", "/companies").status
    api.set(sub_limit_per_minute=0)

    assert statuses == [200] * 15 + [429]
    assert others == 200
    assert api.manage("GET", path).status == 200
