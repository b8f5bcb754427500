"""The tables, on fakeredis and on a real Valkey, since whatever is promised holds on both; and the upstream on the sandbox."""

import contextlib
import logging
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

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
from tests.adapters.making import linked, linked_to
from tests.support.redis_group import Group, running_group
from tests.support.redis_shards import Shards, running_shards
from tests.support.world import link_to_fake


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


@pytest.fixture(scope="session")
def running_sentinels(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Group]:
    """A primary, two replicas and three sentinels for the whole session."""
    with running_group(tmp_path_factory.mktemp("group")) as group:
        yield group


@pytest.fixture
def group(running_sentinels: Group) -> Group:
    """The group, whole and empty."""
    running_sentinels.make_whole()
    return running_sentinels


@pytest.fixture
def sentinel_link(group: Group) -> Iterator[RedisLink]:
    """A link to the group; what it does is on both replicas."""
    with linked_to(group.url, replicas=2) as link:
        yield link


@pytest.fixture(scope="session")
def running_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shards]:
    """A cluster of six nodes for the whole session."""
    with running_shards(tmp_path_factory.mktemp("shards")) as shards:
        yield shards


@pytest.fixture
def shards(running_cluster: Shards) -> Shards:
    """The cluster, whole and empty."""
    running_cluster.make_whole()
    return running_cluster


@pytest.fixture
def cluster_link(shards: Shards) -> Iterator[RedisLink]:
    """A link to the cluster; what it does is on the replica."""
    with linked_to(shards.url, replicas=1) as link:
        yield link


@pytest.fixture
def fake_link(fake: "fakeredis.FakeRedis") -> RedisLink:
    """A link to fakeredis."""
    return link_to_fake(fake)


_LINKS = {
    "fakeredis": "fake_link",
    "valkey": "real_link",
    "sentinel": "sentinel_link",
    "cluster": "cluster_link",
}


@pytest.fixture(params=_LINKS)
def link(request: pytest.FixtureRequest) -> RedisLink:
    """A link to an empty Redis of each kind."""
    found: RedisLink = request.getfixturevalue(_LINKS[request.param])
    return found


@pytest.fixture
def stores(link: RedisLink) -> RedisStores:
    """The stores."""
    return RedisStores(link)


@pytest.fixture
def references(link: RedisLink) -> RedisReferences:
    """The references."""
    return RedisReferences(link)


@pytest.fixture
def client(link: RedisLink, request: pytest.FixtureRequest) -> Iterator["redis.Redis"]:
    """A client of the same Redis, for looking at what is stored."""
    del link
    kind = request.node.callspec.params["link"]
    found: redis.Redis
    if kind == "sentinel":
        found = redis.Redis(port=request.getfixturevalue("group").primary().port)
    elif kind == "cluster":
        found = request.getfixturevalue("shards").client()
    else:
        found = request.getfixturevalue("fake" if kind == "fakeredis" else kind)
    with contextlib.closing(found):
        yield found


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
    hooks = sys.excepthook, sys.unraisablehook, threading.excepthook
    yield
    sys.excepthook, sys.unraisablehook, threading.excepthook = hooks
    logging.captureWarnings(capture=False)
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.fixture
def fifo(tmp_path: Path) -> Path:
    """A pipe with a name."""
    path = tmp_path / "audit.fifo"
    os.mkfifo(path)
    return path


@pytest.fixture
def reader(fifo: Path) -> Iterator[int]:
    """The reading end of the pipe, which reads only what a test makes it."""
    descriptor = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    yield descriptor
    os.close(descriptor)
