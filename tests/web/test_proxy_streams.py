"""Answers that stream through the proxy, and what happens when one must not go on."""

from collections.abc import Iterator

import pytest
from werkzeug.test import TestResponse

from service.core.errors import UpstreamTimeoutError
from tests.support.upstream import CannedResponse
from tests.support.world import STORE
from tests.web.answers import assert_problem
from tests.web.calling import Api

LARGE = [b"x" * 65_536] * 5
"""More than is looked at before the first byte leaves."""


class Counted:
    """Chunks that are made when they are asked for."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.made = 0

    def __iter__(self) -> Iterator[bytes]:
        while self.made < self.number:
            self.made += 1
            yield b"x" * 65_536


def read_to_the_end(answer: TestResponse, into: bytearray) -> None:
    """Read an answer, keeping what came before it broke off."""
    for chunk in answer.iter_encoded():
        into += chunk


def test_a_large_answer_streams(api: Api) -> None:
    """The caller gets the first bytes before the upstream has sent the last, and all of them in the end."""
    chunks = Counted(100)
    api.world.upstream.response = CannedResponse(content=chunks)  # type: ignore[arg-type]  # made lazily

    answer = api.proxy()
    made_before_reading = chunks.made
    size = sum(len(chunk) for chunk in answer.iter_encoded())

    assert made_before_reading < 10
    assert size == 100 * 65_536
    assert api.world.upstream.response.closed


def test_a_leak_in_the_first_bytes_is_withheld(api: Api) -> None:
    """The answer becomes a problem, the event is counted and recorded, and the connection given back."""
    api.mint()
    token = api.world.upstream.live(STORE)[0].value
    api.world.upstream.response = CannedResponse(content=[b"a", token.encode()])

    answer = api.proxy()

    assert_problem(answer, "token_in_answer")
    assert answer.headers["Proxy-Status"] == "b2b-broker; error=http_protocol_error"
    assert token not in answer.text
    assert api.world.observer.counts["security", "token_in_answer"] == 1
    assert api.world.audit.told()[-1] == ("reference.use", "failed", "token_in_answer")
    assert api.world.upstream.response.closed


def test_a_leak_in_a_header_is_withheld(api: Api) -> None:
    """An upstream that reflects headers gives nothing away."""
    api.mint()
    token = api.world.upstream.live(STORE)[0].value
    api.world.upstream.response = CannedResponse(headers=[("X-Echo", token)])

    answer = api.proxy()

    assert_problem(answer, "token_in_answer")
    assert "X-Echo" not in answer.headers


def test_a_leak_found_late_cuts_the_answer_short(api: Api) -> None:
    """Once the headers have left, an early end is all that is left to say; no part of the token was sent."""
    api.mint()
    token = api.world.upstream.live(STORE)[0].value
    api.world.upstream.response = CannedResponse(content=[*LARGE, token.encode(), b"after"])
    read = bytearray()

    answer = api.proxy()
    with pytest.raises(ConnectionError):
        read_to_the_end(answer, read)

    assert answer.status_code == 200
    assert 0 < len(read) <= sum(map(len, LARGE))
    assert set(read) == {ord("x")}
    assert api.world.observer.counts["security", "token_in_answer"] == 1
    assert api.world.upstream.response.closed


def test_an_upstream_that_breaks_off_late_cuts_the_answer_short(api: Api) -> None:
    """The caller must not take half an answer for a whole one."""

    def breaking() -> Iterator[bytes]:
        yield from LARGE
        raise UpstreamTimeoutError("late", reason="upstream_timeout")

    api.world.upstream.response = CannedResponse(content=breaking())  # type: ignore[arg-type]  # breaks midway

    answer = api.proxy()
    with pytest.raises(ConnectionError):
        read_to_the_end(answer, bytearray())

    assert api.world.upstream.response.closed


def test_an_upstream_that_breaks_off_early_is_a_problem(api: Api) -> None:
    """Nothing has left yet, so the caller gets a whole answer that says what happened."""

    def breaking() -> Iterator[bytes]:
        yield b"x"
        raise UpstreamTimeoutError("late", reason="upstream_timeout")

    api.world.upstream.response = CannedResponse(content=breaking())  # type: ignore[arg-type]  # breaks midway

    answer = api.proxy()

    assert_problem(answer, "upstream_timeout")
    assert api.world.upstream.response.closed


def test_a_caller_that_goes_away_frees_the_upstream(api: Api) -> None:
    """Closing an answer that was begun closes the exchange beneath it."""
    api.world.upstream.response = CannedResponse(content=Counted(100))  # type: ignore[arg-type]  # made lazily

    answer = api.proxy()
    next(answer.iter_encoded())
    answer.close()

    assert api.world.upstream.response.closed
