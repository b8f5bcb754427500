"""``broker keys rewrap`` while it waits, against an API whose answers are a story."""

import contextlib
import json
import threading
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from click.testing import CliRunner, Result

from service.cli import main
from service.core.rewrap_state import RewrapState


@contextlib.contextmanager
def _telling(story: Sequence[RewrapState]) -> Iterator[str]:
    """Answer one state of a story after another, and yield the address."""
    rest = iter(story)

    class Handler(BaseHTTPRequestHandler):
        """Tells what comes next."""

        def do_POST(self) -> None:
            """Answer."""
            state = next(rest)
            members = ("state", "to", "rewrapped", "left", "altered", "passes")
            content = json.dumps({name: getattr(state, name) for name in members}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST  # noqa: N815 — the library's name

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 — the library's name
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def _rewrap(*story: RewrapState) -> Result:
    with _telling(story) as url:
        return CliRunner().invoke(main, ["keys", "rewrap", "--json", "--url", url])


def test_another_primary_key_meanwhile_is_told_and_waited_for() -> None:
    """Whoever has everything sealed again means the key that is primary, so the end is told of that one."""
    result = _rewrap(
        RewrapState("wanted", "k2"),
        RewrapState("running", "k2", rewrapped=5),
        RewrapState("wanted", "k3"),
        RewrapState("running", "k3", rewrapped=2),
        RewrapState("done", "k3", rewrapped=7),
    )

    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["to"] == "k3"
    assert result.stderr == "k3 is primary now: everything is sealed again under that\n"


@pytest.mark.parametrize(
    ("end", "code", "told"),
    [
        (RewrapState("done", "k2", altered=1), 1, "cannot be sealed again"),
        (RewrapState(), 3, "ask again"),
    ],
)
def test_what_did_not_come_to_its_end_is_no_success(end: RewrapState, code: int, told: str) -> None:
    """Values that were altered; and a note that is gone, as after a loss of Redis."""
    result = _rewrap(RewrapState("wanted", "k2"), end)

    assert (result.exit_code, told in result.stderr) == (code, True), result.output
