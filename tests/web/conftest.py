"""The edge on a world whose Redis can be taken away, and the log lines that it writes."""

from collections.abc import Iterator

import fakeredis
import pytest
import structlog
from structlog.testing import capture_logs
from structlog.typing import EventDict

from tests.support.world import World
from tests.web.calling import Api


@pytest.fixture
def redis_server() -> fakeredis.FakeServer:
    """Redis, which ``connected = False`` takes away."""
    return fakeredis.FakeServer()


@pytest.fixture
def world(redis_server: fakeredis.FakeServer) -> World:
    """The use cases on that Redis."""
    return World(fakeredis.FakeRedis(server=redis_server))


@pytest.fixture
def api(world: World) -> Api:
    """The API; every answer is held against the OpenAPI document."""
    return Api(world)


@pytest.fixture(autouse=True)
def logs() -> Iterator[list[EventDict]]:
    """The log lines of the test."""
    structlog.reset_defaults()
    with capture_logs() as lines:
        yield lines
