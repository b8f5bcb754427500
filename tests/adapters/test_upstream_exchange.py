"""Proxied exchanges: what goes out is what was asked for, and what comes back is what was answered."""

import hashlib
from collections.abc import Iterator
from dataclasses import replace

import pytest

from sandbox.server import RunningSandbox
from service.adapters.upstream import B2BUpstream
from service.adapters.upstream_link import UpstreamLink
from tests.adapters.calling import fetch, get, link_to, read, upload
from tests.support.wire import ScriptedServer, Wire, answer, answering, scripted_server

FILES = "/api/v3/io/files/upload.bin"


def _lines(server: ScriptedServer) -> list[bytes]:
    return server.requests[0].partition(b"\r\n\r\n")[0].split(b"\r\n")


@pytest.mark.parametrize(
    "target",
    [
        "/api/v3/io/companies",
        "/api/v3/io//double/../dots/./%2e%2E/%2f%5c",
        "/api/v3/io/a%20b/%C3%A9?q=%7Etilde&x=a+b&&=;y#",
        "/api/v3/io/UPPER/%aa%AA?",
        "/api/v3/io/(sub)!$&'*+,;=:@?a[]=1|2",
        "/api/v3/io/" + "x" * 6000,
    ],
)
def test_a_target_goes_out_byte_for_byte(target: str) -> None:
    """What was matched is what is sent: nothing is normalised on the way."""
    with (
        scripted_server(answering(answer(b"ok"))) as server,
        link_to(f"http://127.0.0.1:{server.port}") as link,
    ):
        assert fetch(link, get(target)) == b"ok"

    assert _lines(server)[0] == b"GET " + target.encode("ascii") + b" HTTP/1.1"


def test_only_the_given_headers_and_our_own_two_go_out() -> None:
    """The host is the pinned one; the library adds nothing of its own."""
    with (
        scripted_server(answering(answer(b""))) as server,
        link_to(f"http://127.0.0.1:{server.port}") as link,
    ):
        fetch(link, get("/x", ("Accept-Encoding", "identity"), ("X-Trace", "1")))

    names = sorted(line.partition(b":")[0].lower() for line in _lines(server)[1:])
    assert names == sorted(
        [b"host", b"accept-encoding", b"user-agent", b"x-auth-token", b"x-store-hash", b"x-trace"]
    )
    assert f"Host: 127.0.0.1:{server.port}".encode() in _lines(server)


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"])
def test_every_method_passes(method: str) -> None:
    """As it was given."""
    with (
        scripted_server(answering(answer(b"", "204 No Content"))) as server,
        link_to(f"http://127.0.0.1:{server.port}") as link,
    ):
        fetch(link, get("/x", method=method))

    assert _lines(server)[0].startswith(method.encode() + b" ")


@pytest.mark.parametrize("length_known", [True, False])
@pytest.mark.parametrize("size", [0, 1, 1_000_000])
def test_an_upload_arrives_whole(
    sandbox: RunningSandbox, direct: UpstreamLink, size: int, *, length_known: bool
) -> None:
    """With its length, or in chunks where that is not known."""
    content = bytes(number % 251 for number in range(size))
    pieces = [content[start : start + 70_000] for start in range(0, size, 70_000)]

    fetch(direct, upload(FILES, pieces, size if length_known else None))

    (recorded,) = sandbox.state.requests
    headers = {name.lower(): value for name, value in recorded.headers}
    assert (recorded.body_bytes, recorded.body_sha256) == (
        size,
        hashlib.sha256(content).hexdigest(),
    )
    assert ("content-length" in headers) is length_known
    assert ("transfer-encoding" in headers) is not length_known


def test_an_upload_is_streamed(sandbox: RunningSandbox, direct: UpstreamLink) -> None:
    """The body is asked for piece by piece."""
    asked = 0

    def pieces() -> Iterator[bytes]:
        nonlocal asked
        for _ in range(5):
            asked += 1
            yield b"x" * 1000

    fetch(direct, upload(FILES, pieces(), None))

    assert asked == 5
    assert sandbox.state.requests[0].body_bytes == 5000


def test_an_upload_that_breaks_off_never_looks_complete() -> None:
    """When the caller goes away the upstream gets no end of body, and the connection is not used again."""

    def pieces() -> Iterator[bytes]:
        yield b"first"
        raise RuntimeError("the caller went away")

    with (
        scripted_server(answering(answer(b"ok"))) as server,
        link_to(f"http://127.0.0.1:{server.port}") as link,
    ):
        with pytest.raises(RuntimeError, match="the caller went away"):
            link.exchange(upload("/x", pieces(), None))
        fetch(link)

        assert server.connections == 2
    assert all(b"0\r\n\r\n" not in request for request in server.requests)


def test_an_answer_that_comes_before_the_upload_ends_is_read() -> None:
    """An upstream that refuses early stops reading; its answer is what the caller gets."""

    def refuse(wire: Wire, _server: ScriptedServer) -> None:
        wire.sock.recv(1000)
        wire.send(answer(b"too large", "413 Payload Too Large", "Connection: close"))

    with (
        scripted_server(refuse) as server,
        link_to(f"http://127.0.0.1:{server.port}") as link,
    ):
        response = link.exchange(upload("/x", [b"x" * 10_000] * 3, 30_000))
        status = response.status
        response.close()

    assert status == 413


@pytest.mark.parametrize("chunk_bytes", [1, 7, 65_536])
def test_a_download_arrives_whole_in_chunks_of_any_size(
    sandbox: RunningSandbox, direct: UpstreamLink, chunk_bytes: int
) -> None:
    """Chunk borders are of no consequence."""
    sandbox.state.behaviours.set(chunked=True, chunk_bytes=chunk_bytes)

    body = fetch(direct, get(f"{FILES}?bytes=3000"))

    assert body == bytes(number % 251 for number in range(3000))


def test_an_answers_status_and_headers_are_given(
    sandbox: RunningSandbox, direct: UpstreamLink
) -> None:
    """Before the body is read."""
    sandbox.state.behaviours.set(response_headers={"X-Odd": "one"})

    response = direct.exchange(get("/api/v3/io/nowhere"))

    assert response.status == 404
    assert ("X-Odd", "one") in response.headers
    assert any(name == "Content-Length" for name, _ in response.headers)
    read(response)


def test_redirects_are_not_followed(sandbox: RunningSandbox, direct: UpstreamLink) -> None:
    """The credential goes to the pinned host and nowhere else."""
    with scripted_server(answering(answer(b"caught"))) as elsewhere:
        target = f"http://127.0.0.1:{elsewhere.port}/caught"
        sandbox.state.behaviours.set(redirect_to=target)
        response = direct.exchange(get())
        read(response)

        assert (response.status, dict(response.headers)["Location"]) == (302, target)
        assert elsewhere.connections == 0


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"])
def test_proxies_of_the_environment_are_ignored(
    sandbox: RunningSandbox, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    """The way to the upstream is not for the environment to say."""
    with scripted_server(answering(answer(b"caught"))) as proxy:
        monkeypatch.setenv(variable, f"http://127.0.0.1:{proxy.port}")
        with link_to(sandbox.url) as link:
            fetch(link)

        assert proxy.connections == 0


def test_the_adapter_passes_exchanges_through(
    sandbox: RunningSandbox, upstream: B2BUpstream
) -> None:
    """The proxy's way is the link's."""
    response = upstream.exchange(replace(get(), method="HEAD"))
    response.close()
    response.close()

    assert response.status == 200
    assert sandbox.state.requests[0].method == "HEAD"
