"""A closed loop over keep-alive connections: each sends a prepared request, waits for the whole answer, and sends again.

One thread, one epoll, no HTTP library: it must cost a small part of what the servers cost, because it runs on the same cores. It reads
the status and the length of an answer and nothing else, and it gives up at the first answer that is not the expected one: a fast
refusal must never pass for throughput.
"""

import select
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass

_BETWEEN_CONNECTIONS_SECONDS = 0.002
_READ_BYTES = 256 * 1024
_SILENCE_SECONDS = 20.0
_LENGTH = b"\r\ncontent-length:"
_CHUNKED = b"\r\ntransfer-encoding: chunked"
_LAST_CHUNK = b"\r\n0\r\n\r\n"


class LoadError(Exception):
    """A server did not answer as expected, so there is nothing to measure."""


@dataclass(frozen=True, slots=True)
class Target:
    """What is measured.

    Attributes:
        name: As the report has it.
        port: On loopback.
        status: The only status that counts.
        requests: Whole requests; the connections take them in turn, and each keeps to its own.
        floor: The name of the target that it is compared with; that of a floor is its own.
    """

    name: str
    port: int
    status: int
    requests: tuple[bytes, ...]
    floor: str


@dataclass(frozen=True, slots=True)
class Phase:
    """How long to load.

    Attributes:
        connections: How many requests are under way at any time.
        seconds: The time that counts.
        warm_up_seconds: The time before, which does not.
    """

    connections: int
    seconds: float
    warm_up_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Load:
    """What came of it.

    Attributes:
        seconds: The time that counts.
        latencies: In seconds, of each answer within that time, sorted.
        answers: All answers, those before and after that time too.
        client_cpu_seconds: What the client itself used for all of it.
    """

    seconds: float
    latencies: Sequence[float]
    answers: int
    client_cpu_seconds: float

    @property
    def per_second(self) -> float:
        """Answers per second."""
        return len(self.latencies) / self.seconds

    def latency(self, quantile: float) -> float:
        """Return a quantile of the latencies (nearest rank)."""
        return self.latencies[min(int(len(self.latencies) * quantile), len(self.latencies) - 1)]


def apply_load(target: Target, phase: Phase) -> Load:
    """Load a server on loopback for some time, and let it answer everything before it returns.

    Raises:
        LoadError: An answer has another status, or none comes.
    """
    cpu = time.process_time()
    connections = _opened(target, phase.connections)
    try:
        latencies, answers = _loop(connections, phase)
    finally:
        for connection in connections:
            connection.sock.close()
    if not latencies:
        raise LoadError(f"{target.name}: no answer within {phase.seconds:g} s")
    return Load(phase.seconds, sorted(latencies), answers, time.process_time() - cpu)


def _opened(target: Target, count: int) -> list["_Connection"]:
    """Open connections one after the other, as callers do, so that all workers get to take some."""
    opened = []
    for number in range(count):
        opened.append(_Connection(target, number))
        time.sleep(_BETWEEN_CONNECTIONS_SECONDS)
    return opened


def ask_often(target: Target, times: int, connections: int) -> None:
    """Send a number of requests, as fast as the server takes them.

    Raises:
        LoadError: An answer has another status, or none comes.
    """
    opened = {c.sock.fileno(): c for c in (_Connection(target, n) for n in range(connections))}
    poll = _polled(opened)
    to_send, to_come = times, times
    try:
        for connection in list(opened.values())[:times]:
            connection.send()
            to_send -= 1
        while to_come:
            for connection in _answered(poll, opened):
                to_come -= 1
                if to_send:
                    connection.send()
                    to_send -= 1
    finally:
        poll.close()
        for connection in opened.values():
            connection.sock.close()


class _Connection:
    """One connection and the request that it repeats."""

    __slots__ = ("_expected", "_missing", "_name", "_received", "_request", "sent_at", "sock")

    def __init__(self, target: Target, number: int) -> None:
        self._request = target.requests[number % len(target.requests)]
        self._expected = b"HTTP/1.1 %d " % target.status
        self._name = target.name
        self._received = b""
        self._missing = 0
        self.sent_at = 0.0
        # Blocking, without a timeout: a request fits the socket's buffer, and reading happens only when there is something to read.
        self.sock = socket.create_connection(("127.0.0.1", target.port))
        self.sock.settimeout(None)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self) -> None:
        """Send the request."""
        self.sent_at = time.monotonic()
        self.sock.sendall(self._request)

    def answered(self) -> bool:
        """Read what has arrived, and tell whether the answer is complete."""
        received = self.sock.recv(_READ_BYTES)
        if not received:
            raise LoadError(f"{self._name}: the server closed a connection")
        if self._missing:
            self._missing = max(0, self._missing - len(received))
            return not self._missing
        received = self._received + received
        missing = missing_bytes(received)
        if missing is None:
            self._received = received
            return False
        self._received = b""
        self._missing = missing
        if not received.startswith(self._expected):
            raise LoadError(f"{self._name}: answered {received[:400].decode('latin-1')!r}")
        return not missing


def missing_bytes(received: bytes) -> int | None:
    """Return how much of an answer has yet to come, by its length or its last chunk; None if that cannot be told yet."""
    end = received.find(b"\r\n\r\n")
    if end < 0:
        return None
    head = received[:end].lower()
    at = head.find(_LENGTH)
    if at < 0:
        return 0 if _CHUNKED in head and received.endswith(_LAST_CHUNK) else None
    length = int(head[at + len(_LENGTH) :].partition(b"\r\n")[0])
    return max(0, end + 4 + length - len(received))


def _loop(connections: list[_Connection], phase: Phase) -> tuple[list[float], int]:
    by_descriptor = {connection.sock.fileno(): connection for connection in connections}
    latencies: list[float] = []
    answers, under_way = 0, len(connections)
    begin = time.monotonic() + phase.warm_up_seconds
    end = begin + phase.seconds
    with _polled(by_descriptor) as poll:
        for connection in connections:
            connection.send()
        while under_way:
            for connection in _answered(poll, by_descriptor):
                now = time.monotonic()
                answers += 1
                if begin <= now < end:
                    latencies.append(now - connection.sent_at)
                if now < end:
                    connection.send()
                else:
                    under_way -= 1
    return latencies, answers


def _polled(by_descriptor: dict[int, _Connection]) -> select.epoll:
    poll = select.epoll()
    for descriptor in by_descriptor:
        poll.register(descriptor, select.EPOLLIN)
    return poll


def _answered(poll: select.epoll, by_descriptor: dict[int, _Connection]) -> list[_Connection]:
    events = poll.poll(_SILENCE_SECONDS)
    if not events:
        raise LoadError(f"no answer for {_SILENCE_SECONDS:g} s")
    ready = [by_descriptor[descriptor] for descriptor, _ in events]
    return [connection for connection in ready if connection.answered()]
