"""Programs on loopback: free ports, start, wait until they answer, stop."""

import contextlib
import http.client
import os
import secrets
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

_START_SECONDS = 20.0
_STOP_SECONDS = 10.0

# They, and what is 10,000 above each (a Redis Cluster's bus), are below those that the kernel gives by itself. In an order of each
# process's own, which a seeded generator would not give.
_untried = secrets.SystemRandom().sample(range(10_000, 22_000), 12_000)


class StackError(Exception):
    """Something of the stack did not start; the text says what and where its log is."""


def free_port() -> int:
    """Return a port that nobody listens on at this moment, and no port twice.

    Never one that the kernel would give to somebody's outgoing connection before the program that it is for takes it.
    """
    while True:
        port = _untried.pop()
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def wait_until(what: str, condition: Callable[[], bool], seconds: float = _START_SECONDS) -> None:
    """Wait until a condition holds.

    Raises:
        StackError: It did not within the time.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise StackError(f"{what}: not within {seconds:g} s")
        time.sleep(0.02)


def answers(port: int, path: str, status: int = 200) -> bool:
    """Tell whether a server on loopback answers a path with a status."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == status
    except OSError:
        return False
    finally:
        connection.close()


def accepts(port: int) -> bool:
    """Tell whether anything listens on a port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Program:
    """One running program whose output goes to files."""

    def __init__(
        self, name: str, arguments: Sequence[str], folder: Path, environment: Mapping[str, str]
    ) -> None:
        """Start it.

        Args:
            name: Names its output files, ``<name>.out`` and ``<name>.err``.
            arguments: The command line.
            folder: Where its output goes.
            environment: All of its environment but ``PATH``.
        """
        self.name = name
        self.stdout = folder / f"{name}.out"
        self.stderr = folder / f"{name}.err"
        self._files: list[IO[bytes]] = [self.stdout.open("ab"), self.stderr.open("ab")]
        self._process = subprocess.Popen(  # noqa: S603 — the arguments are this module's callers' own
            arguments,
            stdout=self._files[0],
            stderr=self._files[1],
            stdin=subprocess.DEVNULL,
            env={"PATH": os.environ.get("PATH", ""), **environment},
        )

    @property
    def pid(self) -> int:
        """Return the process id."""
        return self._process.pid

    def is_running(self) -> bool:
        """Tell whether it has not ended."""
        return self._process.poll() is None

    def children(self) -> list[int]:
        """Return the process ids of its direct children."""
        listed = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text("ascii")
        return [int(pid) for pid in listed.split()]

    def wait_ready(self, condition: Callable[[], bool]) -> None:
        """Wait until it is ready, and stop it if it does not become so.

        Raises:
            StackError: It ended, or did not become ready in time.
        """

        def is_ready() -> bool:
            self._refuse_ended()
            return condition()

        try:
            wait_until(self.name, is_ready)
        except StackError:
            self.stop()
            raise

    def _refuse_ended(self) -> None:
        if not self.is_running():
            tail = self.stderr.read_text("utf-8", "replace")[-2000:]
            raise StackError(f"{self.name} ended with {self._process.returncode}:\n{tail}")

    def exit_code(self, seconds: float = _START_SECONDS) -> int:
        """Wait for it to end by itself, and return its exit code.

        Raises:
            subprocess.TimeoutExpired: It did not within the time.
        """
        return self._process.wait(seconds)

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self._process.send_signal(number)

    def stop(self) -> None:
        """Ask it to stop, and make it stop if it does not."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.kill()
        self._close()

    def kill(self) -> None:
        """End it without warning."""
        self._process.kill()
        self._process.wait(_STOP_SECONDS)
        self._close()

    def _close(self) -> None:
        for file in self._files:
            file.close()


@contextlib.contextmanager
def stopping(program: Program) -> Iterator[Program]:
    """Stop a program at the end of a block."""
    try:
        yield program
    finally:
        program.stop()
