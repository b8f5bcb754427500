"""The log as it is really written: a defect is found by where it is, and nothing of its message is kept."""

import json
import logging
from collections.abc import Iterator

import pytest

from service.adapters.logs import configure_logs
from tests.support.world import WORKER
from tests.web.answers import CANARY, assert_problem
from tests.web.calling import COMPANIES, Api


@pytest.fixture
def _written() -> Iterator[None]:
    """Write lines as the broker does, and leave logging as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    configure_logs("info")
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.mark.usefixtures("_written")
@pytest.mark.parametrize("path", ["/v1/whoami", COMPANIES])
def test_a_defect_is_logged_without_its_message(
    api: Api, capfd: pytest.CaptureFixture[str], path: str
) -> None:
    """Kind and places are enough to find it; the message may quote a password."""
    api.failure = RuntimeError(f"password {CANARY}")
    api.failure.__cause__ = ValueError(CANARY)

    answer = api.ask("GET", path, WORKER, {"Broker-Reference": CANARY})

    written = capfd.readouterr().err
    defect, request = [json.loads(line) for line in written.splitlines()]
    assert_problem(answer, "internal")
    assert (defect["event"], defect["error"]) == ("unexpected_error", "RuntimeError")
    assert any(place.endswith(" _snapshot") for place in defect["at"])
    assert (request["event"], request["status"]) == ("request", 500)
    assert CANARY not in written
