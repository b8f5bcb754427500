"""A Redis that lost what the broker left there."""

from collections.abc import Callable

import pytest
import redis
import structlog.testing

from service.adapters.metrics import Metrics
from service.adapters.redis_installation import Installation
from service.adapters.redis_link import PARTITION, RedisLink
from service.adapters.redis_references import RedisReferences
from service.adapters.redis_stores import RedisStores
from tests.adapters.making import linked, store


def _marks(client: "redis.Redis") -> set[object]:
    return {client.get(f"{where.prefix}installed") for where in PARTITION.values()}


def _looked(link: RedisLink) -> Installation:
    """Return the installation as a process that has just started sees it."""
    started = Installation(link, "test", lambda: None)
    started.look()
    return started


def test_a_new_installation_is_marked_everywhere(link: RedisLink, client: "redis.Redis") -> None:
    """With one mark that names the instance, and without a word."""
    started = _looked(link)
    started.look()

    (mark,) = _marks(client)
    assert str(mark).startswith("b'test ")
    assert started.problem == ""


def test_whoever_comes_later_takes_the_mark_that_is_there(
    link: RedisLink, client: "redis.Redis"
) -> None:
    """Replicas and restarts change nothing."""
    first = _looked(link)
    marks = _marks(client)

    second = _looked(link)
    first.look()

    assert _marks(client) == marks
    assert (first.problem, second.problem) == ("", "")


@pytest.mark.parametrize("others", [False, True], ids=["empty", "used again"])
def test_a_redis_that_was_emptied_is_told_once(
    link: RedisLink,
    client: "redis.Redis",
    others: bool,  # noqa: FBT001 — a case
) -> None:
    """Also when somebody else has begun to use it again."""
    metrics = Metrics()
    running = Installation(link, "test", metrics.storage_wiped)
    running.look()
    for where in PARTITION.values():
        client.delete(f"{where.prefix}installed")
    if others:
        _looked(link)

    with structlog.testing.capture_logs() as lines:
        running.look()
        running.look()

    assert running.problem == "wiped"
    assert [line["event"] for line in lines] == ["storage_wiped"]
    assert b"b2b_broker_storage_wiped 1.0" in metrics.exposition()[0]


def test_a_part_that_is_gone_is_told_by_whoever_starts_and_put_back(
    link: RedisLink, client: "redis.Redis"
) -> None:
    """One node of a cluster came back empty while no broker was running; the next start after that is quiet again."""
    _looked(link)
    (mark,) = _marks(client)
    client.delete(f"{PARTITION['17'].prefix}installed")

    with structlog.testing.capture_logs() as lines:
        started = _looked(link)

    assert started.problem == "wiped"
    assert [(line["missing"], line["of"]) for line in lines] == [(1, 64)]
    assert _marks(client) == {mark}
    assert _looked(link).problem == ""


@pytest.mark.parametrize(
    "leave",
    [lambda link: store(RedisStores(link)), lambda link: RedisReferences(link).revoke_all()],
    ids=["stores", "epochs"],
)
def test_marks_that_are_missing_beside_our_own_things_are_told(
    link: RedisLink, leave: Callable[[RedisLink], object]
) -> None:
    """It is not a new installation if there is anything of ours."""
    leave(link)

    assert _looked(link).problem == "wiped"


def test_without_redis_it_is_looked_at_some_other_time() -> None:
    """An outage is no loss."""
    with linked(1) as away:
        assert _looked(away).problem == ""
