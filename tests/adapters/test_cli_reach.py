"""Where the broker is, who asks, and what it answers: what cannot be meant is refused before anything is sent."""

import json

import pytest
from click.testing import CliRunner

from service.cli import main
from tests.support.key_services import Headers, KeyService, serving


class _NotNow(KeyService):
    """A broker that refuses, and says when to ask again."""

    def answer(
        self,
        path: str,  # noqa: ARG002 — the same for every question
        headers: Headers,  # noqa: ARG002 — the same for everybody
        body: bytes,  # noqa: ARG002 — it is empty
    ) -> tuple[int, Headers, bytes]:
        """See ``KeyService.answer``."""
        problem = {"title": "Key in use", "detail": "Sealed with lately.", "request_id": "r1"}
        return 409, {"Retry-After": "61"}, json.dumps(problem).encode()


@pytest.mark.parametrize("port", ["abc", "99999", "-1"])
def test_a_port_that_is_none_is_wrong_usage(port: str) -> None:
    """One line, and no stack trace."""
    result = CliRunner().invoke(main, ["stores", "list", "--url", f"http://127.0.0.1:{port}"])

    assert result.exit_code == 2
    assert "Error: the port in --url is none" in result.stderr


def test_two_proofs_are_wrong_usage() -> None:
    """One from the environment would otherwise decide silently whose the request is."""
    result = CliRunner().invoke(
        main, ["locks", "--key-file", "mine"], env={"B2B_BROKER_TOKEN_FILE": "somebody-elses"}
    )

    assert result.exit_code == 2
    assert "are two proofs: give one" in result.stderr


def test_people_read_when_to_ask_again() -> None:
    """The broker says it in a header."""
    broker = _NotNow()
    with serving(broker):
        result = CliRunner().invoke(main, ["keys", "retire", "k1", "--url", broker.url])

    assert result.exit_code == 1
    assert result.stderr.splitlines() == [
        "Error: Key in use: Sealed with lately.",
        "  status 409, request r1",
        "  ask again in 61 s",
    ]
