"""``AuditSink``: an unbroken chain, or a refusal within bounded time."""

import json
import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest

from service.adapters.audit_file import STDOUT, AuditFile
from service.core.audit import AuditEntry, unlink
from service.core.errors import AuditError
from tests.support.clock import START

PATIENCE = timedelta(milliseconds=100)


def _entry(request_id: str = "r-1", caller: str = "corp:ops-anna") -> AuditEntry:
    return AuditEntry(START, request_id, caller, "store.write", "allowed", "abc123")


def _sink(path: str, patience: timedelta = timedelta(seconds=1)) -> AuditFile:
    return AuditFile(path, lambda _reason: None, patience)


def _chain(content: bytes) -> list[str]:
    """Return the request ids of an unbroken chain."""
    ids, head = [], "0" * 64
    for number, line in enumerate(content.splitlines(keepends=True), start=1):
        fields, fits = unlink(line)
        assert fits
        assert (fields["seq"], fields["prev"]) == (number, head)
        head = str(fields["hash"])
        ids.append(str(fields["request_id"]))
    return ids


def _takes(audit: AuditFile, request_id: str) -> bool:
    try:
        audit.record(_entry(request_id))
    except AuditError:
        return False
    return True


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the trail goes."""
    return tmp_path / "audit.jsonl"


@pytest.fixture
def fifo(tmp_path: Path) -> Path:
    """A pipe with a name."""
    path = tmp_path / "audit.fifo"
    os.mkfifo(path)
    return path


@pytest.fixture
def reader(fifo: Path) -> Iterator[int]:
    """The reading end of the pipe, which reads only what a test makes it."""
    descriptor = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    yield descriptor
    os.close(descriptor)


def _read_all(descriptor: int) -> bytes:
    content = b""
    while True:
        try:
            read = os.read(descriptor, 1_000_000)
        except BlockingIOError:
            return content
        if not read:
            return content
        content += read


def test_entries_form_one_chain(path: Path) -> None:
    """Each line carries the hash of the one before."""
    audit = _sink(str(path))

    for number in range(5):
        audit.record(_entry(f"r-{number}"))

    assert _chain(path.read_bytes()) == [f"r-{number}" for number in range(5)]


def test_a_new_process_appends_a_chain_of_its_own(path: Path) -> None:
    """Nothing that stands there is touched, and the writers differ."""
    _sink(str(path)).record(_entry("first"))
    before = path.read_bytes()
    _sink(str(path)).record(_entry("second"))

    content = path.read_bytes()
    writers = {str(unlink(line)[0]["writer"]) for line in content.splitlines(keepends=True)}
    assert content.startswith(before)
    assert _chain(content[len(before) :]) == ["second"]
    assert len(writers) == 2


def test_the_file_is_not_for_everybody(path: Path) -> None:
    """It tells who does what."""
    _sink(str(path)).record(_entry())

    assert path.stat().st_mode & 0o007 == 0


def test_standard_output_takes_lines(capfd: pytest.CaptureFixture[str]) -> None:
    """The default in a container."""
    audit = _sink(STDOUT)
    audit.probe()
    audit.record(_entry("r-1"))
    audit.record(_entry("r-2"))

    assert _chain(capfd.readouterr().out.encode()) == ["r-1", "r-2"]


def test_threads_share_one_unbroken_chain(path: Path) -> None:
    """Whoever comes first, the order in the file is the order of the chain."""
    audit = _sink(str(path))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: audit.record(_entry(f"r-{number}")), range(400)))

    assert sorted(_chain(path.read_bytes())) == sorted(f"r-{number}" for number in range(400))


def test_a_full_disk_refuses_and_the_chain_does_not_move() -> None:
    """What could not be written did not happen."""
    audit = _sink("/dev/full")

    for _ in range(2):
        with pytest.raises(AuditError) as caught:
            audit.record(_entry())

    assert caught.value.reason == "audit_write_failed"
    assert caught.value.retry_after is not None
    assert audit.head().seq == 0


def test_a_path_that_cannot_be_opened_refuses_until_it_can(tmp_path: Path) -> None:
    """The folder appears, and the next entry is the first of the chain."""
    path = tmp_path / "later" / "audit.jsonl"
    audit = _sink(str(path))
    with pytest.raises(AuditError) as caught:
        audit.probe()
    with pytest.raises(AuditError):
        audit.record(_entry("lost"))
    path.parent.mkdir()

    audit.record(_entry("kept"))
    audit.probe()

    assert caught.value.reason == "audit_unopenable"
    assert _chain(path.read_bytes()) == ["kept"]


def test_a_pipe_without_a_reader_refuses_at_once(fifo: Path) -> None:
    """Opening does not wait for somebody to read."""
    audit = _sink(str(fifo), PATIENCE)
    began = time.monotonic()

    with pytest.raises(AuditError):
        audit.record(_entry())

    assert time.monotonic() - began < 0.5


def test_a_pipe_that_nobody_empties_refuses_in_time_and_recovers(fifo: Path, reader: int) -> None:
    """A reader that hangs costs the patience, not a thread; afterwards the chain goes on unbroken."""
    audit = _sink(str(fifo), PATIENCE)
    recorded = 0
    began = time.monotonic()
    while _takes(audit, f"r-{recorded}"):
        recorded += 1
    took = time.monotonic() - began

    content = _read_all(reader)
    audit.record(_entry("after"))

    assert took < 2
    assert recorded > 10
    assert _chain(content + _read_all(reader)) == [*(f"r-{n}" for n in range(recorded)), "after"]


def test_a_pipe_whose_reader_leaves_refuses_and_recovers(fifo: Path) -> None:
    """A closed pipe is a failure like any other."""
    audit = _sink(str(fifo), PATIENCE)
    first = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    audit.record(_entry("first"))
    os.close(first)
    with pytest.raises(AuditError):
        audit.record(_entry("lost"))
    second = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    audit.record(_entry("second"))

    content = _read_all(second)
    os.close(second)
    fields, fits = unlink(content)
    assert (fields["request_id"], fields["seq"], fits) == ("second", 2, True)


def test_a_line_that_was_cut_off_is_ended_before_the_next(fifo: Path, reader: int) -> None:
    """A torn line stays alone; the entry after it can be read and continues the chain."""
    audit = _sink(str(fifo), PATIENCE)
    audit.record(_entry("whole"))
    with pytest.raises(AuditError):
        audit.record(_entry("torn", caller="x" * 200_000))
    first = _read_all(reader)

    audit.record(_entry("next"))
    audit.record(_entry("last"))

    whole, torn, *rest = (first + _read_all(reader)).splitlines(keepends=True)
    with pytest.raises(json.JSONDecodeError):
        unlink(torn)
    assert _chain(whole + b"".join(rest)) == ["whole", "next", "last"]


def test_whoever_waits_for_a_blocked_sink_is_refused_in_time(fifo: Path, reader: int) -> None:
    """A stuck writer does not collect all threads behind it."""
    assert reader
    audit = _sink(str(fifo), PATIENCE)
    held = threading.Event()
    release = threading.Event()

    def hold() -> None:
        with audit._lock:
            held.set()
            release.wait(5)

    holder = threading.Thread(target=hold)
    holder.start()
    held.wait(5)
    with pytest.raises(AuditError) as recording:
        audit.record(_entry())
    with pytest.raises(AuditError) as probing:
        audit.probe()
    release.set()
    holder.join()

    assert recording.value.reason == probing.value.reason == "audit_blocked"
