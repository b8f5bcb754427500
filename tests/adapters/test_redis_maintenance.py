"""``MaintenanceTable``: claims, appointments, refusals and the census, on fakeredis and on a real Valkey."""

from datetime import timedelta

import pytest
import redis

from sandbox.demo.processes import wait_until
from service.adapters.redis_link import PARTITION, RedisLink, home
from service.adapters.redis_maintenance import RedisMaintenance
from service.core.errors import StorageError
from service.core.store_ports import Census
from tests.support.clock import START
from tests.support.world import STORE

SECOND = timedelta(seconds=1)
MILLISECOND = timedelta(milliseconds=1)
MINUTE = timedelta(minutes=1)


@pytest.fixture
def table(link: RedisLink) -> RedisMaintenance:
    """The table on either kind of Redis."""
    return RedisMaintenance(link)


@pytest.fixture
def real(real_link: RedisLink) -> RedisMaintenance:
    """The table on the real one, whose time goes by."""
    return RedisMaintenance(real_link)


def test_a_claim_is_one_owners_and_others_are_refused(table: RedisMaintenance) -> None:
    """Asking again keeps it; another thing is another claim."""
    assert table.claim("maintenance", "a", MINUTE)
    assert table.claim("maintenance", "a", MINUTE)
    assert not table.claim("maintenance", "b", MINUTE)
    assert table.claim("something else", "b", MINUTE)


def test_a_claim_on_a_store_is_about_that_store_only(table: RedisMaintenance) -> None:
    """And anybody can ask whether there is one."""
    before = table.is_claimed("fine", STORE)

    assert table.claim_store("fine", STORE, "a", MINUTE)
    assert not table.claim_store("fine", STORE, "b", MINUTE)
    assert table.claim_store("fine", "zzz999", "b", MINUTE)
    assert table.claim_store("checking", STORE, "b", MINUTE)
    assert (before, table.is_claimed("fine", STORE)) == (False, True)
    assert not table.is_claimed("repaired", STORE)


def test_a_claim_ends_by_itself_and_is_longer_when_it_is_kept(real: RedisMaintenance) -> None:
    """Whoever is gone leaves no claim behind."""
    real.claim("maintenance", "a", 60 * MILLISECOND)
    real.claim("maintenance", "a", 300 * MILLISECOND)
    real.claim_store("fine", STORE, "a", 60 * MILLISECOND)

    wait_until("the short one ended", lambda: not real.is_claimed("fine", STORE), 5)
    kept = not real.claim("maintenance", "b", MINUTE)
    wait_until("the long one ended", lambda: real.claim("maintenance", "b", MINUTE), 5)

    assert kept


def test_stores_are_due_at_their_time(table: RedisMaintenance) -> None:
    """Not a millisecond before, and until somebody has looked."""
    table.look_at(STORE, START)

    assert table.due(START - MILLISECOND, 9) == []
    assert table.due(START, 9) == [STORE]
    assert table.due(START + MINUTE, 9) == [STORE]


def test_the_longest_overdue_come_first_and_not_more_than_asked_for_in_each_partition(
    table: RedisMaintenance, client: "redis.Redis"
) -> None:
    """Nobody starves."""
    names = [f"st{number:04}" for number in range(300)]
    for number, name in enumerate(names):
        table.look_at(name, START - number * SECOND)

    due = table.due(START, 2)

    assert len(due) == sum(min(2, client.zcard(partition.due)) for partition in PARTITION.values())
    assert "st0299" in due
    assert len(set(due)) == len(due)


def test_what_somebody_else_wrote_among_the_due_keeps_no_store_from_being_looked_at(
    table: RedisMaintenance, client: "redis.Redis"
) -> None:
    """Otherwise one write would end all maintenance, and with it the clean-up of orphans."""
    table.look_at(STORE, START)
    client.zadd(home(STORE).due, {b"\xff\xfe": 0})

    assert table.due(START, 9) == [STORE]


def test_an_appointment_is_moved_forward_and_never_back(table: RedisMaintenance) -> None:
    """Whoever asks for a later look does not cancel an earlier one."""
    table.look_at(STORE, START)
    table.look_at(STORE, START + MINUTE)
    at_start = table.due(START, 9)
    table.look_at(STORE, START - MINUTE)

    assert at_start == [STORE]
    assert table.due(START - MINUTE, 9) == [STORE]


def test_a_look_ends_an_appointment_or_makes_the_next(table: RedisMaintenance) -> None:
    """As the one who looked says."""
    table.look_at(STORE, START)
    table.looked_at(STORE, START, START + MINUTE)
    between = table.due(START + MINUTE - MILLISECOND, 9), table.due(START + MINUTE, 9)
    table.looked_at(STORE, START + MINUTE, None)

    assert between == ([], [STORE])
    assert table.due(START + 999 * MINUTE, 9) == []


@pytest.mark.parametrize("again", [None, START + timedelta(hours=1)])
def test_whoever_asked_during_a_look_is_not_forgotten(
    table: RedisMaintenance, again: object
) -> None:
    """What they asked for is later than the look, so it could not be kept by it."""
    table.look_at(STORE, START + SECOND)

    table.looked_at(STORE, START, again)  # type: ignore[arg-type]  # a moment or none

    assert table.due(START + SECOND, 9) == [STORE]


def test_a_look_at_a_store_without_an_appointment_can_make_one(table: RedisMaintenance) -> None:
    """It does not matter why it was looked at."""
    table.looked_at(STORE, START, START + SECOND)
    table.looked_at("zzz999", START, None)

    assert table.due(START + MINUTE, 9) == [STORE]


def test_refused_stores_are_counted_once_each_within_the_window(table: RedisMaintenance) -> None:
    """The last refusal counts; the count comes with the note."""
    counts = [
        table.note_refused("abc1", START, MINUTE),
        table.note_refused("abc2", START + SECOND, MINUTE),
        table.note_refused("abc1", START + 2 * SECOND, MINUTE),
        table.note_refused("abc3", START + MINUTE + SECOND, MINUTE),
    ]

    assert counts == [1, 2, 2, 3]
    assert table.refused_since(START + SECOND) == 3
    assert table.refused_since(START + SECOND + MILLISECOND) == 2
    assert table.refused_since(START + 999 * MINUTE) == 0


def test_refusals_leave_nothing_behind(real: RedisMaintenance) -> None:
    """They end with the window."""
    real.note_refused(STORE, START, 60 * MILLISECOND)

    wait_until("they ended", lambda: real.refused_since(START - MINUTE) == 0, 5)


def test_the_census_is_told_as_a_whole(table: RedisMaintenance) -> None:
    """What was counted before and not now is gone."""
    first = Census({("active", "auth_token"): 3, ("pending", ""): 1}, live_references=7)
    table.note_census(first, MINUTE)
    told = table.census()
    table.note_census(Census({("active", "x_auth_token"): 4}), MINUTE)

    assert told == first
    assert table.census() == Census({("active", "x_auth_token"): 4})
    table.note_census(Census(), MINUTE)
    assert table.census() == Census()


def test_what_is_no_count_is_left_out(table: RedisMaintenance, client: "redis.Redis") -> None:
    """Whoever writes Redis can make up numbers, and nothing but numbers of what there is."""
    key = PARTITION["00"].census
    table.note_census(Census({("active", ""): 1}, 2), MINUTE)
    client.hset(key, "active.evil", 5)
    client.hset(key, "evil.auth_token", 5)
    client.hset(key, "pending.", "many")
    client.hset(key, b"\xff\xfe", 1)
    client.hset(key, "active.auth_token", "-1")
    client.hset(key, "references", "9" * 5000)

    assert table.census() == Census({("active", ""): 1})


def test_the_census_ends_when_nobody_counts(real: RedisMaintenance) -> None:
    """An old number is worse than none."""
    real.note_census(Census({("active", ""): 1}), 60 * MILLISECOND)

    wait_until("it ended", lambda: real.census() == Census(), 5)


def test_an_outage_is_a_storage_error(real: RedisMaintenance, valkey: "redis.Redis") -> None:
    """Whatever was asked."""
    for partition in PARTITION.values():
        for key in (partition.due, partition.census, partition.refused):
            valkey.set(key, "of another type")

    for ask in (
        lambda: real.due(START, 1),
        lambda: real.look_at(STORE, START),
        lambda: real.looked_at(STORE, START, None),
        real.census,
        lambda: real.refused_since(START),
        lambda: real.note_refused(STORE, START, MINUTE),
    ):
        with pytest.raises(StorageError):
            ask()
