"""Fixtures that every layer uses: the world in memory, and a real Valkey for those who ask for it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from sandbox.demo.processes import free_port, stopping
from sandbox.demo.stack import start_redis
from tests.support.world import World


@pytest.fixture
def world() -> World:
    """The use cases on fakeredis and a fake upstream."""
    return World()


@pytest.fixture(scope="session")
def valkey_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A real Valkey for the whole session."""
    folder: Path = tmp_path_factory.mktemp("valkey")
    port = free_port()
    with stopping(start_redis(folder, port)):
        yield port


@pytest.fixture
def valkey(valkey_port: int) -> Iterator["redis.Redis"]:
    """A client of the real Valkey, which is empty at the start of each test."""
    with redis.Redis(port=valkey_port) as client:
        client.flushall()
        yield client
