"""One sandbox for all tests of this folder, put back to its start before each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sandbox.server import RunningSandbox, running_sandbox
from tests.sandbox.calling import Caller

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def running() -> Iterator[RunningSandbox]:
    """Run a sandbox."""
    with running_sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def api(running: RunningSandbox) -> Caller:
    """Give a caller of a sandbox which is as it was at its start."""
    running.state.reset()
    return Caller(running.url)
