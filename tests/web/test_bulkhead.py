"""The bulkhead: a caller whose requests through the proxy are slow leaves threads for everybody else."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from typing import NoReturn

import pytest
from werkzeug.test import create_environ

from sandbox.demo.processes import wait_until
from service.core.errors import RateLimitedError
from service.web.bulkhead import Bulkhead
from tests.support.access import token_of
from tests.support.upstream import CannedResponse
from tests.support.world import MINTER, WORKER
from tests.web.answers import assert_problem, assert_retry_after
from tests.web.calling import COMPANIES, Api

AT_ONCE = timedelta(0)
LARGE = b"x" * 300_000
"""More than is looked at before the first byte leaves."""


@pytest.mark.parametrize(("threads", "places"), [(1, 1), (2, 1), (4, 3), (16, 12), (33, 24)])
def test_three_quarters_of_the_threads_may_be_one_callers(threads: int, places: int) -> None:
    """One at the least, and the others stay free for other callers."""
    bulkhead = Bulkhead(threads, AT_ONCE)
    leaves = [bulkhead.enter(WORKER) for _ in range(places)]

    with pytest.raises(RateLimitedError) as refused:
        bulkhead.enter(WORKER)
    bulkhead.enter(MINTER)()

    assert refused.value.reason == "caller_crowded"
    leaves[0]()
    bulkhead.enter(WORKER)()


def test_a_place_is_given_back_once() -> None:
    """However often it is said, nobody else's place is given back by it, and nothing is kept of who is not there."""
    bulkhead = Bulkhead(4, AT_ONCE)
    leaves = [bulkhead.enter(WORKER) for _ in range(3)]

    leaves[0]()
    leaves[0]()
    leaves[0] = bulkhead.enter(WORKER)

    with pytest.raises(RateLimitedError):
        bulkhead.enter(WORKER)
    for leave in leaves:
        leave()
    assert not bulkhead._inside


def test_a_burst_of_quick_requests_waits_and_goes_through() -> None:
    """Three at a time, as there are places, and each of the others as soon as one of them leaves."""
    bulkhead, all_inside = Bulkhead(4, timedelta(seconds=15)), Barrier(3)

    def come(_number: int) -> bool:
        leave = bulkhead.enter(WORKER)
        all_inside.wait(10)
        leave()
        return True

    with ThreadPoolExecutor(15) as pool:
        assert all(pool.map(come, range(15), timeout=10))


def test_places_go_to_those_who_wait_in_the_order_in_which_they_came() -> None:
    """Where places change hands all the time, nobody is passed over by those who come later."""
    bulkhead = Bulkhead(4, timedelta(seconds=15))
    leaves = [bulkhead.enter(WORKER) for _ in range(3)]
    came: list[int] = []

    def come(number: int) -> None:
        bulkhead.enter(WORKER)
        came.append(number)

    with ThreadPoolExecutor(3) as pool:
        for number in range(3):
            pool.submit(come, number)
            wait_until("it waits", lambda: len(bulkhead._waiting[WORKER]) > number)  # noqa: B023 — asked at once
        for number, leave in enumerate(leaves):
            leave()
            assert bulkhead._inside[WORKER] == 3  # nobody who came now would find a place
            wait_until("one has come", lambda: len(came) > number)  # noqa: B023 — asked at once

    assert came == [0, 1, 2]
    assert not bulkhead._waiting


def test_who_has_given_up_gets_no_place_later() -> None:
    """Nor does anybody else lose one by it."""
    bulkhead = Bulkhead(1, AT_ONCE)
    leave = bulkhead.enter(WORKER)
    with pytest.raises(RateLimitedError):
        bulkhead.enter(WORKER)

    leave()

    assert not bulkhead._inside
    assert not bulkhead._waiting


def test_a_crowding_caller_is_429_and_the_others_are_served(api: Api) -> None:
    """The answer says when to come back; it is recorded, and nothing was asked upstream for it."""
    own = {"Broker-Reference": api.mint()["reference"]}
    others = {"Broker-Reference": api.mint(audience=MINTER)["reference"]}
    for _ in range(12):
        api.bulkhead.enter(WORKER)
    sent = len(api.world.upstream.proxied)

    refused = api.ask("GET", COMPANIES, WORKER, own)

    assert_problem(refused, "rate_limited")
    assert_retry_after(refused, 1)
    assert api.world.audit.told()[-1] == ("reference.use", "denied", "caller_crowded")
    assert len(api.world.upstream.proxied) == sent
    assert api.ask("GET", COMPANIES, MINTER, others).status_code == 200
    assert api.ask("GET", "/v1/whoami", WORKER).status_code == 200


@pytest.mark.parametrize("body", [b"{}", LARGE])
def test_a_place_is_kept_until_the_answer_is_closed(api: Api, body: bytes) -> None:
    """Until then it is the caller who decides how long a thread writes."""
    api.world.upstream.response = CannedResponse(content=[body])

    answer = api.proxy()
    kept = dict(api.bulkhead._inside)
    answer.close()

    assert kept == {WORKER: 1}
    assert not api.bulkhead._inside


@pytest.mark.parametrize("target", [COMPANIES, "/v1/proxy/api/io/auth/backend"])
def test_a_place_is_given_back_when_there_is_no_answer_of_the_upstream(
    api: Api, target: str
) -> None:
    """Whether the broker refused the request or the upstream failed."""
    api.world.upstream.response = CannedResponse(headers=[("X-A", "a\x00b")])

    assert api.proxy("GET", target).status_code in (403, 502)
    assert not api.bulkhead._inside


def test_a_place_is_given_back_when_the_answer_cannot_be_begun(api: Api) -> None:
    """The server beneath refuses it, and closes only what has begun."""
    headers = {
        "Authorization": f"Bearer {token_of(WORKER)}",
        "Broker-Reference": api.mint()["reference"],
    }
    api.world.upstream.response = CannedResponse(content=[LARGE, LARGE])

    def refuse(*_arguments: object) -> NoReturn:
        raise ValueError("a defect")

    with pytest.raises(ValueError, match="a defect"):
        api.app.wsgi_app(
            create_environ(COMPANIES, headers=headers) | {"RAW_URI": COMPANIES}, refuse
        )

    assert api.world.upstream.response.closed
    assert not api.bulkhead._inside
