"""A broker that can be made to die, one for the session, and how often it died."""

from collections.abc import Iterator

import pytest

from tests.chaos.arena import Arena, running_arena

KILLS = pytest.StashKey[int]()


@pytest.fixture(scope="session")
def arena(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Iterator[Arena]:
    """Valkey, sandbox, and a broker with crash points and two worker processes."""
    with running_arena(tmp_path_factory.mktemp("arena")) as running:
        yield running
        pytestconfig.stash[KILLS] = running.kills


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Tell how many processes were killed at a point."""
    if KILLS in config.stash:
        terminalreporter.write_line(f"killed at a point: {config.stash[KILLS]}")
