"""Times that have broken others: 2038, 2106, the end of summer time, a leap second, a clock that is set (security.md §3.3, F82)."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from service.core.clock import from_millis, rfc3339, to_millis
from service.core.errors import ReferenceInvalidError
from service.core.policy import MintAsk
from service.core.secret import Secret
from tests.support.clock import ManualClock
from tests.support.world import CREDENTIAL, MINTER, OPERATOR, STORE, WORKER, World, call

ROOT = Path(__file__).resolve().parents[2]
SECOND = timedelta(seconds=1)
BORDERS = [
    datetime(2038, 1, 19, 3, 14, 7, tzinfo=UTC),  # 2^31 - 1 seconds
    datetime(2106, 2, 7, 6, 28, 15, tzinfo=UTC),  # 2^32 - 1 seconds
    datetime(2026, 10, 25, 0, 59, 59, tzinfo=UTC),  # an hour that is twice in Europe
    datetime(2028, 2, 28, 23, 59, 59, tzinfo=UTC),
    datetime(2016, 12, 31, 23, 59, 59, tzinfo=UTC),  # the last leap second followed
]
#: Who reads the wall clock: the one clock that is passed on, the time of a log line, and the date in a new key's id.
_WALL_CLOCKS = {
    ("service/app.py", "now"),
    ("service/adapters/logs.py", "now"),
    ("service/cli/keys.py", "now"),
}
_ASKING = {"now", "utcnow", "today", "time", "time_ns", "localtime", "gmtime", "ctime"}


def _use(world: World, reference: Secret) -> None:
    world.uses.take(call(WORKER), reference, "redeem", lambda _: True)


def _mint(world: World, **wanted: object) -> Secret:
    ask = MintAsk(access="redeem", audience=WORKER, ttl=timedelta(minutes=5), **wanted)  # type: ignore[arg-type]  # by name
    return world.minter.mint(call(MINTER), STORE, ask).reference


@pytest.mark.parametrize("border", BORDERS)
def test_a_store_and_its_references_live_across_a_border(border: datetime) -> None:
    """Issued and minted a second before, used a second after, and gone when they are to be."""
    world = World(clock=ManualClock(border - SECOND))
    world.stores.put(call(OPERATOR), STORE, CREDENTIAL, retain=False)
    used, kept = _mint(world), _mint(world)

    world.clock.move(3 * SECOND)
    _use(world, used)
    world.maintenance.run()
    world.clock.move(timedelta(minutes=5))

    assert world.observer.stores == {("active", "auth_token"): 1}
    with pytest.raises(ReferenceInvalidError):
        _use(world, kept)
    assert len(world.upstream.live(STORE)) == 1


@pytest.mark.parametrize("back", [SECOND, timedelta(hours=1), timedelta(days=400)])
def test_a_clock_that_is_set_back_lets_nothing_be_used_twice(back: timedelta) -> None:
    """As one is by a leap second. Uses are counted, not timed; what was minted in what is now the future still ends."""
    world = World()
    world.active()
    reference = _mint(world)
    _use(world, reference)

    world.clock.move(-back)

    with pytest.raises(ReferenceInvalidError):
        _use(world, reference)
    _use(world, _mint(world))


@pytest.mark.parametrize("border", BORDERS)
def test_a_moment_is_kept_to_the_millisecond(border: datetime) -> None:
    """As a number and as text."""
    moment = border + timedelta(milliseconds=999)

    assert from_millis(to_millis(moment)) == moment
    assert datetime.fromisoformat(rfc3339(moment)) == moment


def test_the_zone_of_the_machine_changes_nothing() -> None:
    """There is no local time anywhere."""
    code = """
import os, time
from service.app import now
from service.core.clock import rfc3339, to_millis
for zone in ("Europe/Berlin", "America/St_Johns", "Pacific/Kiritimati"):
    os.environ["TZ"] = zone
    time.tzset()
    print(abs(to_millis(now()) - time.time() * 1000) < 1000, rfc3339(now())[-1])
"""
    done = subprocess.run(  # noqa: S603 — our own interpreter and code
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert done.stdout.splitlines() == ["True Z"] * 3


def _wall_clocks(path: Path) -> Iterator[tuple[str, str]]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            whose = getattr(node.func.value, "id", "")
            if node.func.attr in _ASKING and whose in ("datetime", "date", "time"):
                yield path.relative_to(ROOT).as_posix(), node.func.attr


def test_deadlines_are_not_on_the_wall_clock() -> None:
    """Nobody else asks for the time of day, so whatever waits or gives up does so by the monotonic clock or by Redis."""
    found = {clock for path in (ROOT / "service").rglob("*.py") for clock in _wall_clocks(path)}

    assert found == _WALL_CLOCKS
