"""The tables, on fakeredis and on a real Valkey, since whatever is promised holds on both; and the upstream on the sandbox."""

import logging
from collections.abc import Iterator

import fakeredis
import pytest
import redis
import structlog

from sandbox.server import RunningSandbox, running_sandbox
from service.adapters.redis_link import RedisLink
from service.adapters.redis_references import RedisReferences
from service.adapters.redis_stores import RedisStores
from service.adapters.upstream import B2BUpstream
from service.adapters.upstream_link import UpstreamLink
from tests.adapters.calling import link_to, upstream_to
from tests.adapters.making import linked
from tests.support.world import fake_link


@pytest.fixture
def real_link(valkey: "redis.Redis", valkey_port: int) -> Iterator[RedisLink]:
    """A link to the real Valkey, which is empty."""
    del valkey
    with linked(valkey_port) as link:
        yield link


@pytest.fixture
def fake() -> "fakeredis.FakeRedis":
    """An empty fakeredis."""
    return fakeredis.FakeRedis(server=fakeredis.FakeServer())


@pytest.fixture(params=["fakeredis", "valkey"])
def link(request: pytest.FixtureRequest) -> RedisLink:
    """A link to an empty Redis of either kind."""
    if request.param == "valkey":
        real: RedisLink = request.getfixturevalue("real_link")
        return real
    client: fakeredis.FakeRedis = request.getfixturevalue("fake")
    return fake_link(client)


@pytest.fixture
def stores(link: RedisLink) -> RedisStores:
    """The stores."""
    return RedisStores(link)


@pytest.fixture
def references(link: RedisLink) -> RedisReferences:
    """The references."""
    return RedisReferences(link)


@pytest.fixture
def client(link: RedisLink, request: pytest.FixtureRequest) -> "redis.Redis":
    """A client of the same Redis, for looking at what is stored."""
    del link
    kind = request.node.callspec.params["link"]
    found: redis.Redis = request.getfixturevalue("fake" if kind == "fakeredis" else "valkey")
    return found


@pytest.fixture(scope="session")
def running() -> Iterator[RunningSandbox]:
    """A sandbox for the whole session."""
    with running_sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(running: RunningSandbox) -> RunningSandbox:
    """The sandbox, as it was at its start."""
    running.state.reset()
    return running


@pytest.fixture
def upstream(sandbox: RunningSandbox) -> Iterator[B2BUpstream]:
    """The upstream's adapter on the sandbox, with a total deadline of one second."""
    with upstream_to(sandbox.url) as made:
        yield made


@pytest.fixture
def direct(sandbox: RunningSandbox) -> Iterator[UpstreamLink]:
    """The link beneath it."""
    with link_to(sandbox.url) as made:
        yield made


@pytest.fixture
def logs_as_before() -> Iterator[None]:
    """Put back what logging is for everybody else."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()
