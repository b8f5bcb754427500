"""Every secret through every path, and then found nowhere but where it belongs (P2, P3)."""

from collections.abc import Iterator

import pytest

from tests.leaks import failures, operators, traffic
from tests.leaks.arena import Arena, running_arena
from tests.leaks.canaries import Canaries
from tests.leaks.channels import CERTAIN, CHANNELS
from tests.support.peers import may_see_all

STORIES = (
    traffic.store_life,
    traffic.reference_life,
    traffic.mounted,
    traffic.refused,
    traffic.malformed,
    traffic.commands,
    operators.locked,
    operators.keys_rotated,
    operators.key_services_away,
    operators.trail_verified,
    failures.mirrored,
    failures.misbehaving,
    failures.altered,
    failures.audit_failing,
    failures.storage_away,
    failures.defects,
    failures.crashes,
)
CLOSED = {"environments", "open files"}


@pytest.fixture(scope="module")
def arena(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Arena]:
    """The stack after everything has happened."""
    with running_arena(tmp_path_factory.mktemp("leaks")) as running:
        for story in STORIES:
            story(running)
        for row in running.service.upstream("GET", "/_sandbox/ledger")["tokens"]:
            running.canaries.add(f"a token of {row['store_hash']}", row["token"])
        with running.redis() as client:
            client.save()
        yield running


@pytest.fixture(params=CHANNELS)
def channel(request: pytest.FixtureRequest) -> str:
    """The name of a channel that we may see."""
    name: str = request.param
    if name in CLOSED and not may_see_all():
        pytest.skip("closed to us, as it should be")
    return name


def test_no_secret_is_in(arena: Arena, channel: str) -> None:
    """No piece of any of them, in any form."""
    assert arena.canaries.found_in(CHANNELS[channel](arena)) == {}


def test_the_search_finds_what_certainly_is_in(arena: Arena, channel: str) -> None:
    """The control: a channel that is not being read would hold nothing at all."""
    certain = Canaries()
    certain.add("it", CERTAIN[channel])

    assert certain.found_in(CHANNELS[channel](arena)).keys() == {"it"}


def test_no_process_has_left_a_core(arena: Arena) -> None:
    """Where they ran, which is where they write, and were allowed to."""
    assert [*arena.folder.rglob("core*")] == []
