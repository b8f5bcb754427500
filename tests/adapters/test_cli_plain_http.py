"""Commands send passwords: an operator is told when anybody on the way could read them."""

import pytest
from click.testing import CliRunner

from sandbox.demo.processes import free_port
from service.cli import main

WARNING = "warning: plain HTTP"


@pytest.mark.parametrize(
    ("host", "warned"),
    [
        ("http://127.0.0.1", False),
        ("http://[::1]", False),
        ("http://localhost", False),
        ("https://localhost", False),
        ("http://192.0.2.1.invalid", True),
        ("http://broker.invalid", True),
    ],
)
def test_plain_http_to_another_machine_is_warned_of(host: str, warned: bool) -> None:  # noqa: FBT001 — a row
    """Nobody is there, so nothing is sent; the warning comes before."""
    result = CliRunner().invoke(main, ["stores", "list", "--url", f"{host}:{free_port()}"])

    assert result.exit_code == 3
    assert (WARNING in result.stderr) is warned
