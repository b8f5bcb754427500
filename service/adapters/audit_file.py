"""The audit trail as a file or a stream. Fulfils ``AuditSink``.

Lines are written straight to the operating system, with no buffer in between. A sink that does not take a line within the time
limit (a full disk, a pipe that nobody reads) fails, and the broker refuses to act until it takes lines again: from then on nobody waits
for it, so that it cannot collect the threads of the process; each further entry is tried at once, and the first that is taken ends it.

A file that is moved away or deleted (logrotate) is begun anew under its name; the chain goes on in it. What was deleted shows as a gap.
"""

import os
import secrets
import select
import stat
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Final

import structlog

from service.core.audit import AuditEntry, Chain, ChainHead
from service.core.errors import AuditError

STDOUT: Final = "-"
_STDOUT_DESCRIPTOR = 1
_MODE = 0o640
_AGAIN = timedelta(seconds=1)
_FLAGS = os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | os.O_NONBLOCK

Told = Callable[[str], None]
"""Told the reason of every refusal."""


class AuditFile:
    """Appends this process's chain to a file or to standard output.

    Attributes:
        problem: Why the last entry was refused; empty when it was written.
    """

    def __init__(self, path: str, told: Told, patience: timedelta = timedelta(seconds=1)) -> None:
        """Take the path; ``-`` is standard output. The file is opened with the first entry, in the process that writes it."""
        self._path = path
        self._told = told
        self._patience = patience.total_seconds()
        self._chain = Chain(secrets.token_hex(8))
        self._lock = threading.Lock()
        self._descriptor: int | None = None
        self._identity = (0, 0)
        self._torn = False
        self._ended = False
        self._may_block = True
        self._poll = select.poll()
        self.problem = ""

    def record(self, entry: AuditEntry) -> None:
        """See ``AuditSink.record``."""
        deadline = self._take()
        try:
            self._append(entry, deadline)
        finally:
            self._lock.release()

    def probe(self) -> None:
        """See whether the sink takes entries, as far as can be told without writing one.

        Raises:
            AuditError: It does not.
        """
        if self.problem:
            raise _refused(self.problem)
        self._take()
        try:
            self._open()
        except OSError:
            raise _refused("audit_unopenable") from None
        finally:
            self._lock.release()

    def head(self) -> ChainHead:
        """See ``AuditSink.head``."""
        self._take()
        try:
            return self._chain.head
        finally:
            self._lock.release()

    def end(self, entry: AuditEntry) -> ChainHead:
        """See ``AuditSink.end``."""
        deadline = self._take()
        try:
            self._append(entry, deadline)
            self._ended = True
            return self._chain.head
        finally:
            self._lock.release()

    def _take(self) -> float:
        """Take the lock, and return until when its holder may wait: not at all for a sink that is known to fail."""
        deadline = time.monotonic() + self._patience
        if not self._lock.acquire(timeout=0 if self.problem else self._patience):
            # Whoever holds it is stuck in a write, on storage that hangs for instance.
            raise self._fail("audit_blocked")
        return 0 if self.problem else deadline

    def _append(self, entry: AuditEntry, deadline: float) -> None:
        if self._ended:
            raise self._fail("audit_ended")
        try:
            line, digest = self._chain.link(entry)
            # A line that was cut off by an error is ended first, so that it never runs into the next one.
            self._write(b"\n" + line if self._torn else line, deadline)
        except TimeoutError:
            self._close()
            raise self._fail("audit_blocked") from None
        except OSError:
            self._close()
            raise self._fail("audit_write_failed") from None
        self._chain.advance(digest)
        self.problem = ""

    def _write(self, line: bytes, deadline: float) -> None:
        descriptor = self._open()
        rest = memoryview(line)
        while rest:
            if self._may_block and not self._poll.poll(_millis_until(deadline)):
                raise TimeoutError
            try:
                written = os.write(descriptor, rest)
            except BlockingIOError:  # another process was faster
                if time.monotonic() >= deadline:
                    raise TimeoutError from None
                continue
            rest = rest[written:]
            self._torn = bool(rest)
            if len(rest) == 1:
                # The entry is whole but for its line feed, which the next one brings; written again it would be there twice.
                return

    def _open(self) -> int:
        if self._descriptor is not None and not self._is_in_place():
            structlog.get_logger().warning("audit_file_moved")
            self._close()
        if self._descriptor is None:
            descriptor = self._opened()
            self._poll.register(descriptor, select.POLLOUT)
            opened = os.fstat(descriptor)
            self._may_block = not stat.S_ISREG(opened.st_mode)
            self._identity = opened.st_dev, opened.st_ino
            self._descriptor = descriptor
        return self._descriptor

    def _opened(self) -> int:
        if self._path == STDOUT:
            return _standard_output()
        return os.open(self._path, _FLAGS | os.O_CREAT, _MODE)

    def _is_in_place(self) -> bool:
        """Tell whether what is open is still what stands under the name."""
        if self._path == STDOUT:
            return True
        try:
            found = os.stat(self._path)  # noqa: PTH116 — making a path costs more than looking, and each line looks
        except FileNotFoundError:
            return False
        return (found.st_dev, found.st_ino) == self._identity

    def _close(self) -> None:
        if self._descriptor is not None:
            self._poll.unregister(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = None

    def _fail(self, reason: str) -> AuditError:
        self.problem = reason
        self._told(reason)
        return _refused(reason)


def _standard_output() -> int:
    """Return a descriptor of standard output; of a pipe one of its own, which does not wait where the shared one would."""
    if stat.S_ISFIFO(os.fstat(_STDOUT_DESCRIPTOR).st_mode):
        try:
            return os.open(f"/proc/self/fd/{_STDOUT_DESCRIPTOR}", _FLAGS)
        except PermissionError:
            # The pipe is another user's. A line is short enough for a pipe with room to take it whole.
            pass
    return os.dup(_STDOUT_DESCRIPTOR)


def _millis_until(deadline: float) -> int:
    return max(0, int((deadline - time.monotonic()) * 1000))


def _refused(reason: str) -> AuditError:
    return AuditError(
        "The audit trail cannot be written, so nothing is done.", reason=reason, retry_after=_AGAIN
    )
