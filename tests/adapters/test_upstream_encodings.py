"""Encoded answers: given as plain text, because the response guard must be able to read them."""

import gzip
import zlib

import pytest

from sandbox.server import RunningSandbox
from service.adapters.upstream_link import UpstreamLink
from service.core.errors import UpstreamAnswerError
from tests.adapters.calling import fetch, get, link_to, read
from tests.support.wire import ScriptedServer, Wire, answer, answering, scripted_server

PLAIN = b'{"code": 200}' * 500
ENCODINGS = {
    "gzip": gzip.compress(PLAIN, mtime=0),
    "GZIP": gzip.compress(PLAIN, mtime=0),
    "x-gzip": gzip.compress(PLAIN, mtime=0),
    "deflate": zlib.compress(PLAIN),
}


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_an_encoded_answer_is_decoded_and_its_headers_go(encoding: str) -> None:
    """The guard must see the text; the old length and encoding no longer describe it."""
    encoded = answer(ENCODINGS[encoding], "200 OK", f"Content-Encoding: {encoding}", "X-Kept: 1")
    with (
        scripted_server(answering(encoded)) as server,
        link_to(f"http://127.0.0.1:{server.port}") as link,
    ):
        response = link.exchange(get())
        headers = response.headers
        body = read(response)

    assert body == PLAIN
    assert headers == [("X-Kept", "1")]


def test_an_answer_that_is_encoded_unasked_is_decoded(
    sandbox: RunningSandbox, direct: UpstreamLink
) -> None:
    """The sandbox's way of doing it."""
    plain = fetch(direct)
    sandbox.state.behaviours.set(gzip_unasked=True)

    assert fetch(direct) == plain


def test_a_damaged_encoding_is_an_unusable_answer() -> None:
    """What cannot be decoded is not passed on."""
    damaged = answer(b"this is not gzip", "200 OK", "Content-Encoding: gzip")
    with (
        scripted_server(answering(damaged)) as server,
        link_to(f"http://127.0.0.1:{server.port}") as link,
        pytest.raises(UpstreamAnswerError) as caught,
    ):
        fetch(link)

    assert caught.value.reason == "upstream_broke_off"


@pytest.mark.parametrize("encoding", ["br", "zstd", "compress", "gzip, deflate", "x", "GZIP, br"])
def test_an_encoding_that_cannot_be_undone_is_not_passed_on(encoding: str) -> None:
    """A token inside would pass the guard unseen."""
    encoded = answer(b"\x0b\x02\x80token\x03", "200 OK", f"Content-Encoding: {encoding}")
    with (
        scripted_server(answering(encoded)) as server,
        link_to(f"http://127.0.0.1:{server.port}") as link,
    ):
        with pytest.raises(UpstreamAnswerError):
            fetch(link)
        assert link._idle.get() is None


@pytest.mark.parametrize("status", ["101 Switching Protocols", "102 Processing", "103 Early Hints"])
def test_an_interim_answer_is_not_the_answer(status: str) -> None:
    """The answer that follows it would otherwise be given to the next request, of whatever store."""

    def script(wire: Wire, server: ScriptedServer) -> None:
        server.requests.append(wire.read_request())
        wire.send(f"HTTP/1.1 {status}\r\n\r\n".encode())
        wire.read_request()
        wire.send(answer(b"the answer to the first"))

    with (
        scripted_server(script) as server,
        link_to(f"http://127.0.0.1:{server.port}") as link,
    ):
        with pytest.raises(UpstreamAnswerError):
            fetch(link)
        with pytest.raises(UpstreamAnswerError):
            fetch(link)

        assert server.connections == 2
