"""``kill -9`` at every point of issuing, committing, reconciling, rotating, redeeming and removing: one live token, the stored one."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from sandbox.demo.processes import wait_until
from tests.chaos.arena import Arena
from tests.chaos.crashing import ANY_STORE
from tests.chaos.stories import POINTS, STORIES

KILLS_OF_A_POINT = 20
WHOLE_BROKER_EVERY = 7


def die_at(arena: Arena, name: str, point: str, store_hash: str, how: str) -> Path:
    """Begin a story with a point armed, until there is an answer or somebody died there; return what tells of the death."""
    story = STORIES[name]
    fired = arena.arm(point, ANY_STORE if point in story.any_store else store_hash, how)
    wait_until(point, lambda: story.begin(arena, store_hash) or fired.exists())
    if point in story.any_store:
        wait_until(point, lambda: arena.has_fired(fired))
        fired.rename(fired.with_name(f"{store_hash}.{fired.name}"))
        return fired.with_name(f"{store_hash}.{fired.name}")
    return fired


def wrong_after(arena: Arena, deaths: Sequence[tuple[str, str, str]]) -> dict[str, str]:
    """Die at each point and go on, and return what is wrong in the end, by place.

    Args:
        arena: Where.
        deaths: Story, point, and how to die.
    """
    stores = [arena.new_store() for _ in deaths]
    for (name, _, _), store_hash in zip(deaths, stores, strict=True):
        STORIES[name].prepare(arena, store_hash)
    fired = [
        die_at(arena, name, point, store_hash, how)
        for (name, point, how), store_hash in zip(deaths, stores, strict=True)
    ]
    for (name, _, _), store_hash in zip(deaths, stores, strict=True):
        STORIES[name].go_on(arena, store_hash)
    for death in fired:
        arena.wait_fired(death)
    wrong = {
        f"{name}, {point}, {store_hash}": STORIES[name].judge(arena, store_hash)
        for (name, point, _), store_hash in zip(deaths, stores, strict=True)
    }
    return {where: what for where, what in wrong.items() if what}


def test_a_crash_at_any_point_leaves_one_live_token_the_stored_one(arena: Arena) -> None:
    """Each point once: a worker is killed there, and gunicorn starts another; at two of them, the whole broker."""
    deaths = [
        (name, point, "worker" if n % 30 else "all") for n, (name, point) in enumerate(POINTS)
    ]

    wrong = wrong_after(arena, deaths)

    assert wrong == {}


@pytest.mark.chaos
@pytest.mark.timeout(600)
@pytest.mark.parametrize(("name", "point"), POINTS)
def test_twenty_crashes_at_a_point(arena: Arena, name: str, point: str) -> None:
    """The same, again and again, with the whole broker killed now and then."""
    deaths = [
        (name, point, "worker" if n % WHOLE_BROKER_EVERY else "all")
        for n in range(KILLS_OF_A_POINT)
    ]

    wrong = wrong_after(arena, deaths)

    assert wrong == {}
