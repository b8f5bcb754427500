"""Answers through the proxy: streamed, closed in every case, and withheld when they contain the token."""

from collections.abc import Iterator

import pytest

from service.core.errors import (
    TokenLeakError,
    UpstreamAnswerError,
    UpstreamTimeoutError,
)
from service.core.minting import MintedReference
from service.core.policy import MintAsk
from service.core.proxy import WITHHOLDING_BYTES, Answer, Incoming
from tests.support.upstream import CannedResponse
from tests.support.world import MINTER, STORE, WORKER, World, call

PATH = "/v1/proxy/api/v3/io/companies/1?x=1"


@pytest.fixture
def ready(world: World) -> World:
    """A world with one active store."""
    return world.active()


def mint(world: World, max_uses: int | None = None) -> MintedReference:
    """Mint for the worker."""
    return world.minter.mint(call(MINTER), STORE, MintAsk(audience=WORKER, max_uses=max_uses))


def request(
    target: str = PATH, method: str = "GET", headers: tuple[tuple[str, str], ...] = ()
) -> Incoming:
    """Return a request as it arrived."""
    return Incoming(method, target, headers, None, None)


def forward(world: World, incoming: Incoming | None = None) -> Answer:
    """Forward a request with a fresh reference."""
    return world.proxy.forward(call(WORKER), mint(world).reference, incoming or request())


def token(world: World) -> str:
    """Return the store's token."""
    return world.upstream.ledger[0].value


class BrokenResponse(CannedResponse):
    """An answer that breaks off behind its content."""

    def chunks(self) -> Iterator[bytes]:
        """See ``ProxyResponse.chunks``."""
        yield from self.content
        raise UpstreamTimeoutError("late", reason="upstream_timeout")


@pytest.mark.parametrize(
    ("headers", "content"),
    [
        pytest.param([], ["{token}"], id="body"),
        pytest.param([], ["x" * 1000, "{half}", "{rest}"], id="across chunks"),
        pytest.param([], ["{escaped}"], id="escaped"),
        pytest.param([("X-Echo", "{token}")], [], id="header"),
    ],
)
def test_an_answer_with_the_token_is_withheld_whole(
    ready: World, headers: list[tuple[str, str]], content: list[str]
) -> None:
    """The caller gets an error and not one byte of it; it is recorded as a security event."""
    value = token(ready)
    parts = {
        "token": value,
        "half": value[:20],
        "rest": value[20:],
        "escaped": value.replace(".", "\\u002e"),
    }
    ready.upstream.response = CannedResponse(
        headers=[(name, text.format(**parts)) for name, text in headers],
        content=[text.format(**parts).encode() for text in content],
    )

    with pytest.raises(TokenLeakError):
        forward(ready)

    assert ready.upstream.response.closed
    assert ready.observer.counts["security", "token_in_answer"] == 1
    assert ready.audit.told()[-1] == ("reference.use", "failed", "token_in_answer")
    assert ready.audit.entries[-1].store_hash == STORE


@pytest.mark.parametrize(
    "header", [("X-Folded", "a\r\n b"), ("Content-Length", "-1"), ("X Space", "1")]
)
def test_an_answer_that_cannot_be_written_on_is_an_error_and_closed(
    ready: World, header: tuple[str, str]
) -> None:
    """The caller gets a whole error and no half of an answer."""
    ready.upstream.response = CannedResponse(headers=[header])

    with pytest.raises(UpstreamAnswerError) as refused:
        forward(ready)

    assert refused.value.reason == "upstream_header_unusable"
    assert ready.upstream.response.closed


def test_a_leak_behind_what_is_looked_at_whole_ends_the_answer_early(ready: World) -> None:
    """No byte of the token has left by then."""
    ready.upstream.response = CannedResponse(
        content=[b"x" * WITHHOLDING_BYTES, b"x" * 100_000, token(ready).encode()]
    )
    answer = forward(ready)
    got: list[bytes] = []

    with pytest.raises(TokenLeakError):
        got.extend(answer.body)

    assert set(b"".join(got)) == set(b"x")
    assert ready.upstream.response.closed
    assert ready.observer.counts["security", "token_in_answer"] == 1
    assert ready.audit.told()[-1] == ("reference.use", "failed", "token_in_answer")


@pytest.mark.parametrize("size", [0, WITHHOLDING_BYTES + 1_000])
def test_an_answer_that_breaks_off_is_closed(ready: World, size: int) -> None:
    """Before and after its first byte left."""
    response = BrokenResponse(content=[b"x" * size])
    ready.upstream.response = response

    with pytest.raises(UpstreamTimeoutError):
        list(forward(ready).body)

    assert response.closed


@pytest.mark.parametrize("read", [0, 1])
def test_an_answer_whose_caller_went_away_is_closed(ready: World, read: int) -> None:
    """The rest is not read; also when the caller left before the first byte did."""
    ready.upstream.response = CannedResponse(content=[b"x" * WITHHOLDING_BYTES] * 3)
    answer = forward(ready)
    for _ in range(read):
        next(answer.body)

    answer.body.close()  # type: ignore[attr-defined]  # an answer that is not complete yet has it

    assert ready.upstream.response.closed


@pytest.mark.parametrize("content", [[], [b""], [b"{}", b"x" * 1_000]])
def test_a_small_answer_is_closed_before_anyone_reads_it(
    ready: World, content: list[bytes]
) -> None:
    """Whoever answers a HEAD or a 204 never reads the body."""
    ready.upstream.response = CannedResponse(content=content)

    answer = forward(ready)

    assert ready.upstream.response.closed
    assert b"".join(answer.body) == b"".join(content)


def test_a_large_answer_streams(ready: World) -> None:
    """It is never in memory whole: no more is read ahead than is looked at before the first byte."""

    class Counting(CannedResponse):
        """Counts what was read."""

        read = 0

        def chunks(self) -> Iterator[bytes]:
            """See ``ProxyResponse.chunks``."""
            for _ in range(200):
                self.read += 65_536
                yield b"x" * 65_536

    response = Counting()
    ready.upstream.response = response
    answer = forward(ready)

    given = 0
    for chunk in answer.body:
        given += len(chunk)
        assert response.read - given <= WITHHOLDING_BYTES + 65_536

    assert given == 200 * 65_536
    assert response.closed
