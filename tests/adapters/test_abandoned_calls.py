"""Calls that nobody waits for any more are ended, and are nobody's fault."""

import time

import pytest

from service.adapters import circuit
from service.adapters.circuit import FAILURES
from service.core.errors import UpstreamTimeoutError, UpstreamUnreachableError
from service.core.upstream_ports import ProxyRequest
from tests.adapters.calling import SECOND, link_to
from tests.support.wire import ScriptedServer, Wire, answer, scripted_server


def _silence(wire: Wire, _server: ScriptedServer) -> None:
    wire.stopping.wait(10)


def _url(server: ScriptedServer) -> str:
    return f"http://127.0.0.1:{server.port}"


def test_a_call_whose_caller_has_gone_ends_within_two_seconds() -> None:
    """Long before its own time limit, so that its thread is free for others."""
    started = time.monotonic()
    with (
        scripted_server(_silence) as server,
        link_to(_url(server), timeout=20 * SECOND) as link,
        pytest.raises(UpstreamTimeoutError),
    ):
        link.exchange(ProxyRequest("GET", "/", (), abandoned=lambda: True))

    assert time.monotonic() - started < 2


def test_a_call_whose_caller_waits_is_not_ended() -> None:
    """It is asked again and again, and the answer comes."""
    asked: list[float] = []

    def still_there() -> bool:
        asked.append(time.monotonic())
        return False

    def late(wire: Wire, _server: ScriptedServer) -> None:
        wire.read_request()
        wire.stopping.wait(1.3)
        wire.send(answer(b"late"))

    with scripted_server(late) as server, link_to(_url(server), timeout=5 * SECOND) as link:
        response = link.exchange(ProxyRequest("GET", "/", (), abandoned=still_there))
        body = response.read(100)

    assert body == b"late"
    assert asked


def test_callers_who_leave_do_not_make_the_upstream_look_silent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whoever closes connections all the time must not open the circuit for everybody."""
    monkeypatch.setattr(circuit, "FAILURES", 1)
    with scripted_server(_silence) as server, link_to(_url(server), timeout=20 * SECOND) as link:
        for _ in range(2):
            with pytest.raises(UpstreamTimeoutError):
                link.exchange(ProxyRequest("GET", "/", (), abandoned=lambda: True))


def test_an_upstream_that_is_silent_is_not_waited_for_after_a_few_times() -> None:
    """The next caller is told at once."""
    with scripted_server(_silence) as server, link_to(_url(server), timeout=SECOND / 10) as link:
        for _ in range(FAILURES):
            with pytest.raises(UpstreamTimeoutError):
                link.exchange(ProxyRequest("GET", "/", ()))
        with pytest.raises(UpstreamUnreachableError) as told:
            link.exchange(ProxyRequest("GET", "/", ()))

    assert told.value.reason == "circuit_open"
