"""``kill -9`` at every point of sealing everything again: every value stays readable, and in the end none needs the old key.

Source: security.md §3.3 F44k.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sandbox.demo.processes import wait_until
from service.cli.keys import new
from tests.chaos.arena import CONVERGED_WITHIN, Arena, running_arena
from tests.chaos.crashing import ANY_STORE

POINTS = ("swap.before", "swap.after", "note.before", "note.after", "announce.after")
KILLS_OF_A_POINT = 40
WHOLE_BROKER_EVERY = 7
STORES = 4


class Rotating:
    """An arena with two keys, some stores and what was minted for them."""

    def __init__(self, arena: Arena) -> None:
        self.arena = arena
        self.keyring = arena.stack.folder / "keyring"
        new.callback(self.keyring, "k2", None)  # type: ignore[misc]  # the command's own function
        self.keys = [(self.keyring / "primary").read_text("ascii").strip(), "k2"]
        self.stores = [arena.new_store() for _ in range(STORES)]
        for store_hash in self.stores:
            arena.put_until_active(store_hash, retain=True)
        self.tokens = {name: arena.released(name) for name in self.stores}

    def shown(self) -> dict[str, Any]:
        """Return the keys as they are shown, by id; nothing if nobody answers."""
        reply = self.arena.ask("GET", "/v1/keys")
        found = reply.json()["keys"] if reply and reply.status == 200 else []
        return {key["key_id"]: key for key in found}

    def change_over(self) -> None:
        """Make the other key primary, in all processes."""
        self.keys.reverse()
        written = self.keyring / "primary.new"
        written.write_text(self.keys[0], "ascii")
        written.chmod(0o600)
        written.rename(self.keyring / "primary")
        wait_until("changed over", self._all_seal_with_it, CONVERGED_WITHIN)

    def kill_at(self, point: str, how: str) -> None:
        """Change over, begin to seal everything again, and die there."""
        self.change_over()
        fired = self.arena.arm(point, ANY_STORE, how)
        wait_until("begun", self._begin, CONVERGED_WITHIN)
        self.arena.wait_fired(fired)
        fired.unlink()

    def left_behind(self) -> str:
        """Say what is not as it has to be in the end; empty if nothing is."""
        reply = self.arena.ask("GET", "/v1/keys/rewrap")
        if reply is None or reply.status != 200 or reply.json()["state"] != "done":
            return "not done"
        old = self.shown().get(self.keys[1], {"records": {"none": "nobody answers"}})["records"]
        return f"still needed: {old}" if any(old.values()) else ""

    def unreadable(self) -> list[str]:
        """Return the stores that do not give out the token that they always had."""
        return [name for name, token in self.tokens.items() if self._released(name) != token]

    def _released(self, name: str) -> str:
        found: list[str] = []

        def asked() -> bool:
            found.append(self.arena.released(name))
            return bool(found[-1])

        wait_until(name, asked, CONVERGED_WITHIN)
        return found[-1]

    def _begin(self) -> bool:
        reply = self.arena.ask("POST", "/v1/keys/rewrap")
        return reply is not None and reply.status == 202

    def _all_seal_with_it(self) -> bool:
        return all(self.shown().get(self.keys[0], {}).get("primary") for _ in range(4))


@pytest.fixture(scope="module")
def rotating(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rotating]:
    """A broker with crash points and two worker processes."""
    folder: Path = tmp_path_factory.mktemp("rotating")
    with running_arena(folder) as arena:
        yield Rotating(arena)


def _die_and_go_on(rotating: Rotating, point: str, how: str) -> None:
    rotating.kill_at(point, how)

    assert rotating.unreadable() == []
    wait_until("done", lambda: not rotating.left_behind(), CONVERGED_WITHIN)
    assert rotating.unreadable() == []
    assert all(len(rotating.arena.live_tokens(name)) == 1 for name in rotating.stores)


@pytest.mark.parametrize("point", POINTS)
def test_a_crash_at_any_point_of_a_rotation_loses_nothing(rotating: Rotating, point: str) -> None:
    """A worker is killed there, or all of the broker; whoever is elected next goes on."""
    _die_and_go_on(rotating, point, "all" if point == "swap.after" else "worker")


@pytest.mark.chaos
@pytest.mark.timeout(600)
@pytest.mark.parametrize("point", POINTS)
def test_forty_crashes_at_a_point_of_a_rotation(rotating: Rotating, point: str) -> None:
    """The same, again and again, back and forth between two keys."""
    for n in range(KILLS_OF_A_POINT):
        _die_and_go_on(rotating, point, "worker" if n % WHOLE_BROKER_EVERY else "all")
