"""The whole stack as real processes, one for the session, and a client to it."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from sandbox.demo.stack import Stack, running_stack
from service.cli import main
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


@pytest.fixture
def broker(service: Service, tmp_path: Path) -> Callable[..., Result]:
    """Run a command as the operator."""
    token = tmp_path / "token"
    token.write_text(service.operator, "utf-8")
    reach = {"B2B_BROKER_URL": service.stack.url, "B2B_BROKER_TOKEN_FILE": str(token)}

    def run(*arguments: str, typed: str = "", **environment: str) -> Result:
        return CliRunner().invoke(main, arguments, input=typed, env=reach | environment)

    return run
