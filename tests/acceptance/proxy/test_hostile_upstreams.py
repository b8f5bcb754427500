"""A broker whose upstream is hostile: no answer of it shows the token, leads a caller away, or outlasts its time."""

import base64
import gzip
import json
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from urllib.parse import unquote

import pytest

from sandbox.demo.stack import Stack
from tests.acceptance.proxy.conftest import another_broker
from tests.acceptance.proxy.hostile_answers import Answered, broken, chunked, dropped, leaks, slow
from tests.acceptance.proxy.puppet import (
    FINE,
    TOKEN,
    Theatre,
    sending,
    serve_on,
    settings_for,
    theatre,
)
from tests.support.memory import MIB, peak_bytes, resident_bytes
from tests.support.pki import Authority, Issued
from tests.support.raw_http import exchange, statuses
from tests.support.wire import answer, answering, scripted_server

INSECURE = "BROKER_ALLOW_INSECURE_UPSTREAM"


@pytest.fixture(scope="module")
def hall(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Theatre]:
    """The broker and the upstream, which has one second for an answer."""
    with theatre(stack, tmp_path_factory.mktemp("theatre"), seconds=1) as running:
        yield running


@pytest.mark.parametrize(
    "row",
    [*leaks(), *dropped(), *broken(), *slow()],
    ids=lambda row: f"{row.row} {row.name}",
)
def test_a_hostile_answer_comes_to_what_it_must(hall: Theatre, row: Answered) -> None:
    """It becomes a problem, or loses what is dangerous, in time; no reading of it shows the token, and the next answer is fine."""
    began = time.monotonic()

    received = hall.ask(row.play)

    assert time.monotonic() - began < 3
    assert statuses(received) == [row.status or 200]
    head, _, body = received.partition(b"\r\n\r\n")
    assert (json.loads(body)["type"].rpartition(":")[2] if row.kind else "") == row.kind
    if not row.status:
        assert _is_cut_short(head, body)
    assert not shows_token(received)
    assert statuses(hall.ask(sending(FINE))) == [200]


@pytest.mark.parametrize("status", ["301 A", "302 A", "303 A", "307 A", "308 A", "300 A", "201 A"])
@pytest.mark.parametrize(
    "location",
    [
        *("http://127.0.0.1:{trap}/a", "https://u:p@127.0.0.1:{trap}/a", "//127.0.0.1:{trap}/a"),
        *("/\\127.0.0.1:{trap}/a", "javascript:alert(1)", "https://localhost:{own}/a", "a", ""),
        *(" //127.0.0.1:{trap}/a", "\t//127.0.0.1:{trap}/a", "data:,a", "///127.0.0.1:{trap}/a"),
    ],
)
def test_a_redirect_is_not_followed_and_leads_nobody_away(
    hall: Theatre, status: str, location: str
) -> None:
    """The caller learns the status alone; the host that was named hears of nothing, and the upstream is asked once."""
    with scripted_server(answering(FINE)) as trap:
        named = location.format(trap=trap.port, own=hall.server.port)
        received = hall.ask(sending(answer(b"", status, f"Location: {named}")))

        assert statuses(received) == [int(status[:3])]
        assert b"location" not in received.lower()
        assert len(hall.server.requests) == 1
        assert trap.connections == 0


def test_a_redirect_within_the_upstream_is_passed_on_and_not_followed(hall: Theatre) -> None:
    """A path leads the caller to the broker again, which judges it anew."""
    received = hall.ask(sending(answer(b"", "302 Found", "Location: /api/io/auth/backend")))

    assert b"\r\nLocation: /api/io/auth/backend\r\n" in received
    assert len(hall.server.requests) == 1


def test_an_answer_that_nobody_asked_for_is_given_to_nobody(hall: Theatre) -> None:
    """Two answers to one request: the next caller gets its own."""
    poison = answer(b"poison")
    # As much as is read ahead lies between the two, and all of it in one TLS record: the rest is decrypted, and nobody has read it.
    mine = answer(b"mine")
    one_record = mine + b" " * (8192 - len(mine)) + poison

    first = hall.ask(sending(one_record, then=serve_on))
    second = hall.ask(sending(answer(b"yours")))

    assert first.endswith(b"\r\n\r\nmine")
    assert second.endswith(b"\r\n\r\nyours")


@pytest.mark.parametrize("wrong", ["expired", "another name", "signed by nobody"])
def test_an_upstream_that_does_not_prove_its_name_gets_no_request(
    hall: Theatre, tmp_path: Path, wrong: str
) -> None:
    """Not a byte of a request, and so no token, goes to it."""
    hall.puppet.show(_certificate(hall.puppet.authority, tmp_path, wrong))

    received = hall.ask(sending(FINE))

    hall.puppet.show(None)
    assert statuses(received) == [502]
    assert b"upstream_unreachable" in received
    assert hall.server.requests == []
    assert statuses(hall.ask(sending(FINE))) == [200]


def test_an_upstream_at_an_address_that_is_not_global_is_not_connected_to(
    hall: Theatre, stack: Stack, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The name resolves to loopback, which only the insecure option admits; the store and its token are there."""
    folder = tmp_path_factory.mktemp("strict")
    settings = settings_for(stack, hall.puppet, hall.server.port, 1) | {INSECURE: "false"}
    before = hall.server.connections

    with another_broker(stack, folder, settings) as strict:
        received, _ = exchange(strict.stack.port, hall.request())

    assert statuses(received) == [502]
    assert b"upstream_unreachable" in received
    assert hall.server.connections == before


def test_half_of_a_compressed_answer_is_no_answer(hall: Theatre) -> None:
    """Its length is right and its content breaks off, which the caller cannot see once it is decoded."""
    half = gzip.compress(bytes(range(256)) * 99)[:200]

    received = hall.ask(sending(answer(half, "200 OK", "Content-Encoding: gzip")))

    assert statuses(received) == [502]


def test_bombs_do_not_fill_the_memory(hall: Theatre) -> None:
    """A compressed answer that grows a thousandfold, and one without an end, go through in pieces or not at all."""
    hall.ask(sending(FINE))
    before = resident_bytes(hall.worker_pid)
    bomb = gzip.compress(bytes(64 * MIB), 9)
    head = chunked(bomb, headers="Content-Encoding: gzip\r\n")

    first = hall.ask(sending(head))
    endless = b"HTTP/1.1 200 OK\r\nContent-Length: 10737418240\r\n\r\n"
    second = hall.ask(sending(endless, *[bytes(MIB)] * 64))

    assert len(bomb) < MIB
    assert statuses(first[:9999]) + statuses(second[:9999]) == [200, 200]
    assert len(second) < 10 * 1024 * MIB
    assert peak_bytes(hall.worker_pid) - before < 20 * MIB


def _certificate(trusted: Authority, folder: Path, wrong: str) -> Issued:
    if wrong == "expired":
        return trusted.server("localhost", life=-timedelta(hours=2))
    if wrong == "another name":
        return trusted.server("other.example")
    return Authority(folder, "other-ca").server("localhost")


def shows_token(received: bytes) -> bool:
    """Tell whether a text shows the token in any way that the list names."""
    text = received.decode("latin-1").replace('"', " ")
    unescaped = json.loads(f'"{text}"', strict=False)
    token = TOKEN.encode()
    needles = [base64.b64encode(b"x" * n + token)[4:-4].decode() for n in range(3)]
    readings = [text, unescaped, unquote(text), unquote(unescaped)]
    return any(needle in reading for needle in (TOKEN, *needles) for reading in readings)


def _is_cut_short(head: bytes, body: bytes) -> bool:
    lines = [line.lower().partition(b": ") for line in head.split(b"\r\n")]
    lengths = [int(value) for name, _, value in lines if name == b"content-length"]
    return len(body) < lengths[0] if lengths else not body.endswith(b"0\r\n\r\n")
