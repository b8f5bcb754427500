"""A broker on the stack of the session whose minter may mint for every request, and a store with a reference to all of it."""

import contextlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from sandbox.demo.processes import free_port, stopping
from sandbox.demo.stack import Stack, broker_settings, start_broker
from tests.acceptance.conftest import PLENTY
from tests.support.http import Client
from tests.support.service import Service


@contextlib.contextmanager
def another_broker(stack: Stack, folder: Path, settings: Mapping[str, str]) -> Iterator[Service]:
    """Run one more broker on a stack; its access file has no limit on requests."""
    text = (stack.folder / "access.yaml").read_text("utf-8")
    access = folder / "access.yaml"
    access.write_text(re.sub(r"\n      requests: .*", "", text), "utf-8")
    keyring = stack.folder / "keyring"
    chosen = broker_settings(folder, access, keyring, stack.redis_port, stack.upstream_url)
    port, ops_port = free_port(), free_port()
    with stopping(start_broker(folder, chosen | PLENTY | dict(settings), port, ops_port)) as broker:
        client = Client(port)
        own = replace(stack, folder=folder, broker=broker, port=port, ops_port=ops_port)
        yield Service(own, client)
        client.close()


@pytest.fixture(scope="session")
def wide(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """That broker, with a budget that no test reaches by accident."""
    settings = {"BROKER_UPSTREAM_REQUESTS_PER_MINUTE": "1000000"}
    with another_broker(stack, tmp_path_factory.mktemp("wide"), settings) as service:
        yield service


@pytest.fixture(scope="module")
def wide_store(wide: Service) -> str:
    """A store that is registered with it; the tests of another module may make the upstream forget its stores."""
    return wide.active_store()


@pytest.fixture
def open_door(wide: Service, wide_store: str) -> Service:
    """The broker, with an upstream that behaves and has recorded nothing."""
    wide.upstream("PATCH", "/_sandbox/behaviours", {"rate_limit_per_minute": 0})
    wide.upstream("DELETE", "/_sandbox/requests")
    assert wide_store
    return wide
