"""The bulkhead: those who wait for one store's token leave threads for everybody else."""

from concurrent.futures import ThreadPoolExecutor, as_completed
from itertools import islice
from threading import Barrier, Event

import pytest

from service.core.errors import StoreBusyError
from service.web.crowd import Crowd
from tests.support.world import STORE
from tests.web.answers import assert_problem, assert_retry_after
from tests.web.calling import CREDENTIAL, Api


@pytest.mark.parametrize(("threads", "places"), [(1, 1), (3, 1), (4, 1), (8, 2), (16, 4), (33, 8)])
def test_a_quarter_of_the_threads_may_be_about_one_store(threads: int, places: int) -> None:
    """One at the least, and the others stay free for other stores."""
    crowd = Crowd(threads)
    inside = [crowd.place(STORE) for _ in range(places)]
    for place in inside:
        place.__enter__()

    with pytest.raises(StoreBusyError) as refused, crowd.place(STORE):
        pass
    with crowd.place("zzz999"):
        pass

    assert refused.value.reason == "store_crowded"
    inside[0].__exit__(None, None, None)
    with crowd.place(STORE):
        pass


def test_a_place_is_given_back_whatever_happens_in_it() -> None:
    """Nobody is counted who is not there, and nothing is kept of a store that nobody is about."""
    crowd = Crowd(4)

    for _ in range(3):
        with pytest.raises(ValueError, match="a defect"), crowd.place(STORE):
            raise ValueError("a defect")

    assert not crowd._inside


def test_threads_count_together() -> None:
    """Not one more than there are places is ever inside."""
    crowd, barrier, leave = Crowd(16), Barrier(16), Event()

    def come() -> bool:
        barrier.wait(10)
        try:
            with crowd.place(STORE):
                return leave.wait(10)
        except StoreBusyError:
            return False

    with ThreadPoolExecutor(16) as pool:
        coming = [pool.submit(come) for _ in range(16)]
        refused = [done.result() for done in islice(as_completed(coming, 10), 12)]
        leave.set()

    assert refused == [False] * 12
    assert sum(done.result() for done in coming) == 4
    assert not crowd._inside


@pytest.mark.parametrize(
    ("method", "path"),
    [("PUT", ""), ("POST", "/rotate"), ("GET", "/orphans"), ("DELETE", "/orphans")],
)
def test_a_crowded_store_is_503_and_the_others_are_served(api: Api, method: str, path: str) -> None:
    """The answer says when to come back; nothing was asked upstream for it."""
    api.put_store(retain=True)
    logins = api.world.upstream.logins
    places = [api.crowd.place(STORE) for _ in range(4)]
    for place in places:
        place.__enter__()

    body = {"credential": CREDENTIAL} if method == "PUT" else None
    answer = api.ask(method, f"/v1/stores/{STORE}{path}", json=body)
    other = api.put_store("zzz999", credential=CREDENTIAL)
    shown = api.ask("GET", f"/v1/stores/{STORE}")

    assert_problem(answer, "store_busy")
    assert_retry_after(answer, 1)
    assert other.status_code == 201
    assert shown.status_code == 200
    assert api.world.upstream.logins == logins + 1
