"""Calls to other systems are told with their outcome and time, whichever way they end; and what else is counted on the way."""

import os
from datetime import UTC, datetime
from pathlib import Path

import fakeredis
import pytest

from service.adapters.calls import Observe, TimedCall, timed
from service.adapters.deprecations import Deprecations
from service.adapters.key_times import KeyTimes
from service.adapters.redis_link import RedisLink, Script, home
from service.adapters.redis_nodes import OneNode
from service.adapters.upstream import B2BUpstream
from service.core.errors import StorageError
from tests.adapters.calling import get, link_to
from tests.support.wire import answer, answering, scripted_server
from tests.support.world import STORE, fake_node

Told = list[tuple[str, str, float]]


def _into(told: Told) -> Observe:
    return lambda operation, outcome, seconds: told.append((operation, outcome, seconds))


def test_a_call_tells_how_it_ended_and_how_long_it_took() -> None:
    """Whatever is raised goes on, and a defect is told as one."""
    told: Told = []
    observe = _into(told)
    with TimedCall("fine", observe):
        pass
    with pytest.raises(StorageError), TimedCall("refused", observe):
        raise StorageError("text", reason="redis_away")
    with pytest.raises(ZeroDivisionError), TimedCall("broken", observe):
        _ = 1 / 0

    assert [(operation, outcome) for operation, outcome, _ in told] == [
        ("fine", "ok"),
        ("refused", "redis_away"),
        ("broken", "defect"),
    ]
    assert all(0 <= seconds < 1 for _, _, seconds in told)


def test_calls_to_redis_are_named_by_their_script(fake: "fakeredis.FakeRedis") -> None:
    """Each once, also when the script had to be loaded first."""
    told: Told = []
    link = RedisLink(OneNode(fake_node(fake)), watch=timed(_into(told)))

    link.run(Script("claim"), [home(STORE).key("x", "y")], ["owner", 1])
    link.read(Script("census"), [home(STORE).census], [0])
    link.ping()

    assert [(operation, outcome) for operation, outcome, _ in told] == [
        ("claim", "ok"),
        ("census", "ok"),
        ("ping", "ok"),
    ]


@pytest.mark.parametrize(
    ("status", "outcome"),
    [(200, "ok"), (404, "ok"), (429, "upstream_rate_limited"), (503, "upstream_error")],
)
def test_a_proxied_request_is_told_by_what_it_says_of_the_upstream(
    status: int, outcome: str
) -> None:
    """A caller's own mistake says nothing of it; the time is that to the answer's headers."""
    told: Told = []
    with (
        scripted_server(answering(answer(b"", f"{status} Whatever"))) as server,
        link_to(f"http://127.0.0.1:{server.port}") as link,
    ):
        upstream = B2BUpstream(link, timed(_into(told)), Deprecations(lambda *_: None))
        upstream.exchange(get()).close()

    assert [each[:2] for each in told] == [("proxy", outcome)]


def test_a_keys_time_is_that_of_its_id_or_of_its_file(tmp_path: Path) -> None:
    """What is no key is not shown, and nothing is read."""
    shown: dict[str, float] = {}
    for name in ("k20261123.key", "k20269999.key", "emergency.key", "primary"):
        (tmp_path / name).write_bytes(b"")
        os.utime(tmp_path / name, (5, 5))

    KeyTimes(str(tmp_path), shown.update).look()
    KeyTimes(str(tmp_path / "missing"), shown.update).look()

    made = datetime(2026, 11, 23, tzinfo=UTC).timestamp()
    assert shown == {"k20261123": made, "k20269999": 5, "emergency": 5}
