"""Checking, listing and deleting tokens."""

import json
from collections.abc import Callable

import pytest

from sandbox.ledger import TokenRow
from sandbox.server import RunningSandbox
from service.core.errors import (
    BrokerError,
    CredentialRefusedError,
    UpstreamAnswerError,
    UpstreamRateLimitedError,
)
from service.core.secret import Secret
from tests.adapters.calling import ACCESS_TOKEN, STORE, ObservedUpstream, issue, upstream_to
from tests.support.wire import ScriptedServer, Wire, answer, answering, scripted_server

WRONG = Secret("wrongtoken00000000000000000000x")


def _fill(sandbox: RunningSandbox, count: int) -> None:
    with sandbox.state.lock:
        for number in range(count):
            row = TokenRow(0, STORE, f"filled-{number}", "x", f"filled-token-{number:08d}", 0)
            sandbox.state.ledger.add(row)


def test_a_working_token_of_either_style_passes_the_check(upstream: ObservedUpstream) -> None:
    """One harmless read, with exactly one header style."""
    upstream.check(STORE, "auth_token", issue(upstream))
    upstream.check(STORE, "x_auth_token", ACCESS_TOKEN)

    assert upstream.observed["check", "ok"] == 2


@pytest.mark.parametrize("shape", ["401_A", "401_F", "401_G", "403_A", "403_F", "403_G"])
def test_a_token_that_is_not_accepted_is_refused(
    sandbox: RunningSandbox, upstream: ObservedUpstream, shape: str
) -> None:
    """In whichever way the upstream says so."""
    sandbox.state.behaviours.set(invalid_token_answer=shape)

    with pytest.raises(CredentialRefusedError) as caught:
        upstream.check(STORE, "x_auth_token", WRONG)

    assert caught.value.reason == "token_rejected"
    assert sandbox.state.ledger.misuse == {}


@pytest.mark.parametrize("outcome", ["html", "huge_body", "ok_with_422_body", "session_expired"])
def test_a_check_that_proves_nothing_is_no_success(
    sandbox: RunningSandbox, upstream: ObservedUpstream, outcome: str
) -> None:
    """Only an answer that says yes is one."""
    sandbox.state.behaviours.set(management_outcome=outcome)

    with pytest.raises(BrokerError):
        upstream.check(STORE, "x_auth_token", ACCESS_TOKEN)


def test_a_limited_check_says_so(sandbox: RunningSandbox, upstream: ObservedUpstream) -> None:
    """A 429 does not condemn the token."""
    sandbox.state.behaviours.set(rate_limit_per_minute=1)
    upstream.check(STORE, "x_auth_token", ACCESS_TOKEN)

    with pytest.raises(UpstreamRateLimitedError):
        upstream.check(STORE, "x_auth_token", ACCESS_TOKEN)


@pytest.mark.parametrize(("others", "pages"), [(0, 1), (249, 1), (250, 2), (520, 3)])
def test_the_list_of_tokens_is_read_to_its_end(
    sandbox: RunningSandbox, upstream: ObservedUpstream, others: int, pages: int
) -> None:
    """Ids and names of every token, over all pages, without the values."""
    token = issue(upstream, "mine")
    _fill(sandbox, others)

    listed = list(upstream.tokens(token))

    expected = {(row.id, row.name) for row in sandbox.state.ledger.tokens}
    assert len(listed) == others + 1
    assert set(listed) == expected
    assert upstream.observed["list_tokens", "ok"] == pages


def test_the_list_of_tokens_needs_a_token_that_is_accepted(upstream: ObservedUpstream) -> None:
    """Whoever calls learns that its token is dead."""
    with pytest.raises(CredentialRefusedError):
        list(upstream.tokens(WRONG))


def test_a_deleted_token_is_gone_and_deleting_it_again_is_done(
    sandbox: RunningSandbox, upstream: ObservedUpstream
) -> None:
    """404 is what was wanted."""
    keeper, orphan = issue(upstream, "keeper"), issue(upstream, "orphan")
    row = sandbox.state.ledger.find(orphan.reveal())
    assert row is not None

    for _ in range(2):
        upstream.delete(keeper, row.id)

    assert row.deleted_at is not None
    assert [name for _, name in upstream.tokens(keeper)] == ["keeper"]
    assert upstream.observed["delete_token", "ok"] == 2
    assert [r.status for r in sandbox.state.requests if r.method == "DELETE"] == [200, 404]


def test_deleting_with_a_dead_token_is_refused(
    sandbox: RunningSandbox, upstream: ObservedUpstream
) -> None:
    """Nothing is taken for done that was not."""
    issue(upstream)

    with pytest.raises(BrokerError):
        upstream.delete(WRONG, sandbox.state.ledger.tokens[0].id)

    assert sandbox.state.ledger.tokens[0].deleted_at is None


def _listing(rows: object, **meta: object) -> bytes:
    whole = {"code": 200, "data": rows, "meta": {"message": "SUCCESS", **meta}}
    return answer(json.dumps(whole).encode())


def _rows(first: int, count: int) -> list[dict[str, object]]:
    return [{"id": number, "name": f"t{number}"} for number in range(first, first + count)]


def test_a_total_ends_the_list_and_a_short_page_does_not() -> None:
    """The upstream may give fewer than it was asked for; its own total says when that was all."""
    total = {"pagination": {"totalCount": 150}}
    pages = _listing(_rows(1, 100), **total), _listing(_rows(101, 50), **total)
    with (
        scripted_server(answering(*pages, _listing([]))) as server,
        upstream_to(f"http://127.0.0.1:{server.port}") as upstream,
    ):
        listed = [token_id for token_id, _ in upstream.tokens(WRONG)]

    assert listed == list(range(1, 151))
    assert len(server.requests) == 2


@pytest.mark.parametrize("pagination", [None, [], {}, {"totalCount": None}, {"totalCount": "1"}])
def test_a_total_that_is_none_ends_nothing(pagination: object) -> None:
    """Without it only an empty page is the end."""
    pages = [_listing(rows, pagination=pagination) for rows in (_rows(1, 1), _rows(2, 1), [])]
    with (
        scripted_server(answering(*pages)) as server,
        upstream_to(f"http://127.0.0.1:{server.port}") as upstream,
    ):
        assert [token_id for token_id, _ in upstream.tokens(WRONG)] == [1, 2]


def test_rows_that_are_no_tokens_are_left_out_and_end_nothing() -> None:
    """Whatever has no id and no name cannot be one of ours; what comes on later pages can."""
    odd = [{"id": 1, "name": "a"}, {"id": "2", "name": "b"}, {"id": 3, "name": None}, 4, {}]
    pages = _listing(odd), _listing([{"id": 5, "name": "orphan"}]), _listing([])
    with (
        scripted_server(answering(*pages)) as server,
        upstream_to(f"http://127.0.0.1:{server.port}") as upstream,
    ):
        assert list(upstream.tokens(WRONG)) == [(1, "a"), (5, "orphan")]

    offsets = [request.split(b" ")[1].rpartition(b"=")[2] for request in server.requests]
    assert offsets == [b"0", b"5", b"6"]


@pytest.mark.parametrize("rows", [None, {"list": []}, "text"])
def test_a_list_that_is_none_is_not_taken_for_an_empty_one(rows: object) -> None:
    """Otherwise an orphan would be forgotten that is still there."""
    with (
        scripted_server(answering(_listing(rows))) as server,
        upstream_to(f"http://127.0.0.1:{server.port}") as upstream,
        pytest.raises(UpstreamAnswerError) as caught,
    ):
        list(upstream.tokens(WRONG))

    assert caught.value.reason == "token_list_unreadable"


def test_a_list_that_does_not_end_is_given_up() -> None:
    """An upstream that repeats its first page for ever keeps nobody busy for ever."""
    page = _listing([{"id": number, "name": "x"} for number in range(250)])
    with (
        scripted_server(_always(page)) as server,
        upstream_to(f"http://127.0.0.1:{server.port}") as upstream,
        pytest.raises(UpstreamAnswerError) as caught,
    ):
        list(upstream.tokens(WRONG))

    assert caught.value.reason == "too_many_tokens"
    assert server.connections == 1


@pytest.mark.parametrize("size", [64 * 1024 + 1, 1024 * 1024])
def test_an_answer_that_is_too_large_is_not_read(size: int) -> None:
    """The broker's own calls have small answers; more is not kept in memory."""
    with (
        scripted_server(answering(answer(b" " * size))) as server,
        upstream_to(f"http://127.0.0.1:{server.port}") as upstream,
        pytest.raises(UpstreamAnswerError) as caught,
    ):
        issue(upstream)

    assert caught.value.reason == "answer_too_large"
    assert caught.value.processed


def _always(page: bytes) -> Callable[[Wire, ScriptedServer], None]:
    def script(wire: Wire, _server: ScriptedServer) -> None:
        while wire.read_request():
            wire.send(page)

    return script
