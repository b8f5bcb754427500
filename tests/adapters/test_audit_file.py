"""``AuditSink``: an unbroken chain, or a refusal within bounded time."""

import json
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from service.adapters.audit_file import STDOUT
from service.core.audit import unlink
from service.core.errors import AuditError
from tests.adapters.auditing import PATIENCE, chain_of, entry, read_all, sink, takes


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the trail goes."""
    return tmp_path / "audit.jsonl"


def test_entries_form_one_chain(path: Path) -> None:
    """Each line carries the hash of the one before."""
    audit = sink(str(path))

    for number in range(5):
        audit.record(entry(f"r-{number}"))

    assert chain_of(path.read_bytes()) == [f"r-{number}" for number in range(5)]


def test_a_new_process_appends_a_chain_of_its_own(path: Path) -> None:
    """Nothing that stands there is touched, and the writers differ."""
    sink(str(path)).record(entry("first"))
    before = path.read_bytes()
    sink(str(path)).record(entry("second"))

    content = path.read_bytes()
    writers = {str(unlink(line)[0]["writer"]) for line in content.splitlines(keepends=True)}
    assert content.startswith(before)
    assert chain_of(content[len(before) :]) == ["second"]
    assert len(writers) == 2


def test_the_file_is_not_for_everybody(path: Path) -> None:
    """It tells who does what."""
    sink(str(path)).record(entry())

    assert path.stat().st_mode & 0o007 == 0


def test_standard_output_takes_lines(capfd: pytest.CaptureFixture[str]) -> None:
    """The default in a container."""
    audit = sink(STDOUT)
    audit.probe()
    audit.record(entry("r-1"))
    audit.record(entry("r-2"))

    assert chain_of(capfd.readouterr().out.encode()) == ["r-1", "r-2"]


def test_threads_share_one_unbroken_chain(path: Path) -> None:
    """Whoever comes first, the order in the file is the order of the chain."""
    audit = sink(str(path))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: audit.record(entry(f"r-{number}")), range(400)))

    assert sorted(chain_of(path.read_bytes())) == sorted(f"r-{number}" for number in range(400))


def test_a_full_disk_refuses_and_the_chain_does_not_move() -> None:
    """What could not be written did not happen."""
    audit = sink("/dev/full")

    for _ in range(2):
        with pytest.raises(AuditError) as caught:
            audit.record(entry())

    assert caught.value.reason == "audit_write_failed"
    assert caught.value.retry_after is not None
    assert audit.head().seq == 0


def test_a_path_that_cannot_be_opened_refuses_until_it_can(tmp_path: Path) -> None:
    """The folder appears, and the next entry is the first of the chain."""
    path = tmp_path / "later" / "audit.jsonl"
    audit = sink(str(path))
    with pytest.raises(AuditError) as caught:
        audit.probe()
    with pytest.raises(AuditError):
        audit.record(entry("lost"))
    path.parent.mkdir()

    audit.record(entry("kept"))
    audit.probe()

    assert caught.value.reason == "audit_unopenable"
    assert chain_of(path.read_bytes()) == ["kept"]


def test_a_pipe_without_a_reader_refuses_at_once(fifo: Path) -> None:
    """Opening does not wait for somebody to read."""
    audit = sink(str(fifo), PATIENCE)
    began = time.monotonic()

    with pytest.raises(AuditError):
        audit.record(entry())

    assert time.monotonic() - began < 0.5


def test_a_pipe_that_nobody_empties_refuses_in_time_and_recovers(fifo: Path, reader: int) -> None:
    """A reader that hangs costs the patience, not a thread; afterwards the chain goes on unbroken."""
    audit = sink(str(fifo), PATIENCE)
    recorded = 0
    began = time.monotonic()
    while takes(audit, f"r-{recorded}"):
        recorded += 1
    took = time.monotonic() - began

    content = read_all(reader)
    audit.record(entry("after"))

    assert took < 2
    assert recorded > 10
    assert chain_of(content + read_all(reader)) == [*(f"r-{n}" for n in range(recorded)), "after"]


def test_a_pipe_whose_reader_leaves_refuses_and_recovers(fifo: Path) -> None:
    """A closed pipe is a failure like any other."""
    audit = sink(str(fifo), PATIENCE)
    first = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    audit.record(entry("first"))
    os.close(first)
    with pytest.raises(AuditError):
        audit.record(entry("lost"))
    second = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    audit.record(entry("second"))

    content = read_all(second)
    os.close(second)
    fields, fits = unlink(content)
    assert (fields["request_id"], fields["seq"], fits) == ("second", 2, True)


def test_a_line_that_was_cut_off_is_ended_before_the_next(fifo: Path, reader: int) -> None:
    """A torn line stays alone; the entry after it can be read and continues the chain."""
    audit = sink(str(fifo), PATIENCE)
    audit.record(entry("whole"))
    with pytest.raises(AuditError):
        audit.record(entry("torn", caller="x" * 200_000))
    first = read_all(reader)

    audit.record(entry("next"))
    audit.record(entry("last"))

    whole, torn, *rest = (first + read_all(reader)).splitlines(keepends=True)
    with pytest.raises(json.JSONDecodeError):
        unlink(torn)
    assert chain_of(whole + b"".join(rest)) == ["whole", "next", "last"]


def test_whoever_waits_for_a_blocked_sink_is_refused_in_time(fifo: Path, reader: int) -> None:
    """A stuck writer does not collect all threads behind it."""
    assert reader
    audit = sink(str(fifo), PATIENCE)
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
        audit.record(entry())
    with pytest.raises(AuditError) as probing:
        audit.probe()
    release.set()
    holder.join()

    assert recording.value.reason == probing.value.reason == "audit_blocked"
