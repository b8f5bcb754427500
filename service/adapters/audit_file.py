"""The audit trail as a file or a stream. Fulfils ``AuditSink``.

Lines are written straight to the operating system, with no buffer in between. A sink that does not take a line within the time
limit (a full disk, a pipe that nobody reads) fails, and the broker refuses to act until it takes lines again.
"""

import os
import secrets
import select
import stat
import threading
from datetime import timedelta
from typing import Final

from service.core.audit import AuditEntry, Chain
from service.core.errors import AuditError

STDOUT: Final = "-"
_MODE = 0o640
_AGAIN = timedelta(seconds=1)


class AuditFile:
    """Appends this process's chain to a file or to standard output."""

    def __init__(self, path: str, patience: timedelta = timedelta(seconds=1)) -> None:
        """Take the path; ``-`` is standard output. The file is opened with the first entry, in the process that writes it."""
        self._path = path
        self._patience_millis = patience // timedelta(milliseconds=1)
        self._chain = Chain(secrets.token_hex(8))
        self._lock = threading.Lock()
        self._descriptor: int | None = None
        self._torn = False
        self._may_block = True
        self._poll = select.poll()

    def record(self, entry: AuditEntry) -> None:
        """See ``AuditSink.record``."""
        if not self._lock.acquire(timeout=self._patience_millis / 1000):
            raise _failed("audit_blocked")
        try:
            line, digest = self._chain.link(entry)
            # A line that was cut off by an error is ended first, so that it never runs into the next one.
            self._write(b"\n" + line if self._torn else line)
            self._torn = False
            self._chain.advance(digest)
        except OSError:
            self._close()
            raise _failed("audit_write_failed") from None
        finally:
            self._lock.release()

    def probe(self) -> None:
        """See whether the sink can be opened, without writing.

        Raises:
            AuditError: It cannot.
        """
        if not self._lock.acquire(timeout=self._patience_millis / 1000):
            raise _failed("audit_blocked")
        try:
            self._open()
        except OSError:
            raise _failed("audit_unopenable") from None
        finally:
            self._lock.release()

    def _write(self, line: bytes) -> None:
        descriptor = self._open()
        rest = memoryview(line)
        while rest:
            if self._may_block and not self._poll.poll(self._patience_millis):
                raise TimeoutError
            written = os.write(descriptor, rest)
            rest = rest[written:]
            self._torn = bool(rest)

    def _open(self) -> int:
        if self._descriptor is None:
            descriptor = 1
            if self._path != STDOUT:
                flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK
                descriptor = os.open(self._path, flags, _MODE)
            self._poll.register(descriptor, select.POLLOUT)
            self._may_block = not stat.S_ISREG(os.fstat(descriptor).st_mode)
            self._descriptor = descriptor
        return self._descriptor

    def _close(self) -> None:
        if self._descriptor is not None and self._path != STDOUT:
            self._poll.unregister(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = None


def _failed(reason: str) -> AuditError:
    return AuditError(
        "The audit trail cannot be written, so nothing is done.", reason=reason, retry_after=_AGAIN
    )
