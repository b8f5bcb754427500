"""The whole stack as real processes, one for the session, and a client to it."""

from collections.abc import Iterator

import pytest

from sandbox.demo.stack import Stack, running_stack
from tests.support.http import Client
from tests.support.service import Service

PLENTY = {"BROKER_UPSTREAM_REQUESTS_PER_MINUTE": "1000000"}
"""A budget that no test reaches by accident."""


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Valkey, sandbox and a broker with two worker processes, and with a budget that no test reaches by accident."""
    with running_stack(tmp_path_factory.mktemp("stack"), PLENTY) as running:
        yield running


@pytest.fixture
def service(stack: Stack) -> Iterator[Service]:
    """The running broker as its callers see it, with an upstream that has forgotten everything."""
    client = Client(stack.port)
    running = Service(stack, client)
    running.reset_upstream()
    yield running
    client.close()
