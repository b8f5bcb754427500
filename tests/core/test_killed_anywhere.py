"""A process may end between any two steps: whoever comes next finds out, finishes, and nothing is left upstream.

Each test kills the same piece of work before and after each of its steps (every exchange with Redis and with the upstream), lets the
other replica's maintenance run, and looks at the ledger.

Source: security.md §3.3 F01, F02.
"""

import contextlib
from collections.abc import Callable
from itertools import count

import pytest

from service.core.errors import StoreUnknownError
from service.core.maintenance import AGAIN
from tests.core.replicas import (
    HOUR,
    SECOND,
    Killed,
    Steps,
    access_token,
    active_name,
    dying,
    elapse,
    kill_token,
    live_names,
    look_if_due,
    met,
    record,
    replica,
    shown,
)
from tests.support.world import CREDENTIAL, LEASE, OPERATOR, STORE, WORKER, World, call

Work = Callable[[World], object]


def killed_at(world: World, work: Work, last: int, *, after: bool) -> bool:
    """Do some work in a process that ends at a step, and tell whether it came that far."""
    process = dying(world, Steps(last, after=after))
    try:
        work(process)
    except Killed:
        return True
    return False


def put(world: World) -> None:
    """Register the store and retain its password."""
    world.stores.put(call(OPERATOR), STORE, CREDENTIAL, retain=True)


def rotate(world: World) -> None:
    """Give the store a new token."""
    world.stores.rotate(call(OPERATOR), STORE, None)


def roll_back(world: World) -> None:
    """Go back to the token before."""
    world.stores.roll_back(call(OPERATOR), STORE)


def migrate(world: World) -> None:
    """Import the access token."""
    world.stores.put(call(OPERATOR), STORE, access_token(world, "a"), retain=False)


def repair(world: World) -> None:
    """Meet an answer that looks as if the token were rejected."""
    world.repair.look_into(call(WORKER), STORE, met(world))


def maintain(world: World) -> None:
    """Run maintenance."""
    world.maintenance.run()


def nothing(world: World) -> None:
    """Have a store that has just been registered."""
    del world


def rotated(world: World) -> None:
    """Have a store with a previous token."""
    rotate(world)


def dead(world: World) -> None:
    """Have a store whose token is dead and whose previous one works."""
    rotate(world)
    kill_token(world)


def expired_previous(world: World) -> None:
    """Have a store whose previous token has come to its end."""
    rotate(world)
    elapse(world, HOUR + SECOND)


def moved(world: World) -> None:
    """Have a store that has moved to an access token some time ago."""
    migrate(world)
    elapse(world, HOUR + SECOND)


def assert_in_order(world: World) -> None:
    """Assert that nothing is left of what was interrupted: each live token is one that the record keeps."""
    kept = {token.name for token in (record(world).token, record(world).previous) if token}
    view = world.stores_table.read([STORE], world.clock())[0]
    assert shown(world).status == "active"
    assert set(live_names(world)) <= kept
    assert (view.attempts, record(world).retired) == ((), ())


def look_again_for_a_while(world: World) -> None:
    """Run maintenance until everything that takes time has had it."""
    for span in (LEASE + SECOND, AGAIN + SECOND, AGAIN + SECOND, AGAIN + SECOND):
        look_if_due(world, span)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(
    ("prepare", "work", "least"),
    [
        (rotated, rotate, 9),
        (rotated, roll_back, 5),
        (nothing, migrate, 4),
        (dead, repair, 12),
        (expired_previous, maintain, 8),
        (moved, maintain, 8),
    ],
)
def test_whatever_ends_between_two_steps_is_finished_by_the_other_replica(
    prepare: Work, work: Work, least: int, *, after: bool
) -> None:
    """Of all tokens that were made only those are alive that the record keeps, and an hour later only the active one."""
    for last in count(1):
        world = World()
        put(world)
        prepare(world)
        if not killed_at(world, work, last, after=after):
            break
        other = replica(world)

        look_again_for_a_while(other)
        repair(other)  # a dead token is found out by the next request

        assert_in_order(other)
        look_if_due(other, HOUR)
        look_if_due(other, LEASE + SECOND)
        assert live_names(other) == [name for name in [active_name(other)] if name]

    assert last > least


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_registration_that_ends_between_two_steps_is_finished_by_the_next(*, after: bool) -> None:
    """Without a credential at hand only the operator can; what they see is the truth meanwhile."""
    for last in count(1):
        world = World()
        if not killed_at(world, put, last, after=after):
            break
        elapse(world, LEASE + SECOND)
        other = replica(world)
        with contextlib.suppress(StoreUnknownError):
            assert shown(other).status in ("uncertain", "active")

        put(other)
        look_again_for_a_while(other)

        assert_in_order(other)
        assert len(live_names(other)) == 1

    assert last > 6
