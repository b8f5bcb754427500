"""Bodies come at a pace: slow ones end in a time-out, however steadily they drip."""

import socket
from collections.abc import Iterator
from datetime import timedelta

import pytest

from service import worker
from service.worker import PacedReader


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Both ends of a connection: the broker's and the client's."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def test_what_comes_in_time_is_read(ends: tuple[socket.socket, socket.socket]) -> None:
    """As much as there is, up to what is wanted."""
    ends[1].sendall(b"0123456789")
    reader = PacedReader(ends[0])
    reader.begin()

    assert (reader.read(4), reader.read(6)) == (b"0123", b"456789")


def test_a_body_that_drips_ends_in_a_time_out(
    ends: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each read would be in time; all of them together are not."""
    monkeypatch.setattr(worker, "GRACE", timedelta(0))
    monkeypatch.setattr(worker, "SLOWEST", 1)
    reader = PacedReader(ends[0])
    ends[1].sendall(b"x" * 10)

    with pytest.raises(TimeoutError):
        reader.read(10)


def test_a_body_at_the_least_pace_is_read_however_long_it_takes(
    ends: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What has come buys time for what is to come; another request begins anew."""
    monkeypatch.setattr(worker, "GRACE", timedelta(seconds=5))
    monkeypatch.setattr(worker, "SLOWEST", 1)
    reader = PacedReader(ends[0])
    ends[1].sendall(b"x" * 100)
    reader.read(100)
    monkeypatch.setattr(worker, "GRACE", timedelta(0))
    ends[1].sendall(b"y")

    bought = reader.read(1)
    reader.begin()
    ends[1].sendall(b"z")

    assert bought == b"y"
    with pytest.raises(TimeoutError):
        reader.read(1)
