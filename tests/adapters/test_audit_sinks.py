"""``AuditSink`` on sinks that are full, stuck, moved or gone: what is refused, how fast, and that it ends by itself."""

import contextlib
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest

from service.adapters.audit_file import AuditFile
from service.core.audit import unlink
from service.core.audit_lines import entries_of
from service.core.errors import AuditError
from tests.adapters.auditing import PATIENCE, chain_of, entry, last_entry, read_all, sink, takes


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the trail goes."""
    return tmp_path / "audit.jsonl"


def test_a_blocked_sink_costs_sixteen_threads_one_second_and_then_nothing(
    fifo: Path, reader: int
) -> None:
    """The first wave waits no longer than the patience, all together; whoever comes later is refused at once."""
    patience = timedelta(seconds=1)
    audit = sink(str(fifo), patience)
    _fill(fifo)
    began = time.monotonic()
    with ThreadPoolExecutor(16) as pool:
        first = list(pool.map(lambda number: takes(audit, f"r-{number}"), range(16)))
        first_took = time.monotonic() - began
        second = list(pool.map(lambda number: takes(audit, f"r-{number}"), range(160)))
    took = time.monotonic() - began

    read_all(reader)

    assert not any(first)
    assert not any(second)
    assert first_took < 1.8
    assert took - first_took < 0.5
    assert takes(audit, "after")


def _fill(fifo: Path) -> None:
    """Fill a pipe to its last byte."""
    descriptor = os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)
    for size in (4096, 1):
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(descriptor, b"\n" * size)
    os.close(descriptor)


def test_a_sink_says_what_its_problem_is_until_it_takes_an_entry(
    fifo: Path, reader: int, told: list[str]
) -> None:
    """For ``/readyz``; each refusal is told for the metric."""
    audit = AuditFile(str(fifo), told.append, PATIENCE)
    _fill(fifo)
    assert not takes(audit, "lost")
    with pytest.raises(AuditError) as blocked:
        audit.probe()
    read_all(reader)

    assert takes(audit, "kept")
    audit.probe()

    assert blocked.value.reason == "audit_blocked"
    assert audit.problem == ""
    assert told == ["audit_blocked"]


@pytest.fixture
def told() -> list[str]:
    """The reasons that the sink told."""
    return []


def test_a_file_that_is_moved_away_is_begun_anew_and_the_chain_goes_on(path: Path) -> None:
    """As logrotate does it, with no signal to anybody: nothing is lost between the two."""
    audit = sink(str(path))
    audit.record(entry("before"))
    moved = path.rename(path.with_suffix(".1"))

    audit.record(entry("after"))

    assert chain_of(moved.read_bytes() + path.read_bytes()) == ["before", "after"]


def test_a_file_that_is_replaced_by_another_is_left_for_it(path: Path) -> None:
    """What stands under the name is what counts."""
    audit = sink(str(path))
    audit.record(entry("before"))
    path.rename(path.with_suffix(".1"))
    path.write_bytes(b"")

    audit.record(entry("after"))

    fields, _ = unlink(path.read_bytes())
    assert fields["request_id"] == "after"


def test_storage_that_hangs_holds_one_thread_and_the_others_for_one_moment(path: Path) -> None:
    """A write that never returns: whoever comes after the first wave is refused at once."""
    audit = sink(str(path), PATIENCE)
    with audit._lock:  # as the thread that is stuck in the kernel holds it
        began = time.monotonic()
        first = takes(audit, "waits")
        waited = time.monotonic() - began
        others = [takes(audit, f"r-{number}") for number in range(50)]
        took = time.monotonic() - began - waited

    assert waited >= PATIENCE.total_seconds()
    assert not first
    assert not any(others)
    assert took < PATIENCE.total_seconds()
    assert takes(audit, "after")


def test_a_file_that_is_deleted_is_begun_anew_and_the_gap_shows(path: Path) -> None:
    """Entries are not written where nobody can find them any more."""
    audit = sink(str(path))
    audit.record(entry("deleted"))
    path.unlink()

    audit.record(entry("after"))

    fields, fits = unlink(path.read_bytes())
    assert (fields["seq"], fields["request_id"], fits) == (2, "after", True)


def test_a_file_that_was_truncated_goes_on_at_its_new_end(path: Path) -> None:
    """As logrotate's copytruncate does it."""
    audit = sink(str(path))
    audit.record(entry("copied"))
    copied = path.read_bytes()
    os.truncate(path, 0)

    audit.record(entry("after"))

    assert chain_of(copied + path.read_bytes()) == ["copied", "after"]


def test_a_disk_that_is_full_in_the_middle_of_a_line_refuses_and_recovers(path: Path) -> None:
    """What was written of the line stays alone, and the chain goes on behind it."""
    audit = sink(str(path))
    audit.record(entry("whole"))
    with _room_for(path, 50):
        refused = [not takes(audit, "torn") for _ in range(2)]

    audit.record(entry("next"))

    whole, torn, *rest = path.read_bytes().splitlines(keepends=True)
    assert refused == [True, True]
    assert len(torn) == 51
    assert chain_of(whole + b"".join(rest)) == ["whole", "next"]


def test_an_entry_that_lacks_only_the_end_of_its_line_is_recorded(path: Path) -> None:
    """It is whole, and written again it would be there twice; whoever comes next ends the line first."""
    audit = sink(str(path))
    audit.record(entry("r-0"))
    with _room_for(path, path.stat().st_size - 1):
        taken = [takes(audit, "r-1"), takes(audit, "r-2")]

    audit.record(entry("r-3"))

    assert taken == [True, False]
    whole = b"".join(line for line in path.read_bytes().splitlines(keepends=True) if line.strip())
    assert chain_of(whole) == ["r-0", "r-1", "r-3"]


def test_two_processes_on_a_full_disk_lose_no_entry(path: Path) -> None:
    """What one could not write to its end does not swallow what the other writes next."""
    one, other = sink(str(path)), sink(str(path))
    one.record(entry("r-0"))
    with _room_for(path, 50):
        refused = not takes(one, "lost")

    for audit in (other, one):
        audit.record(entry("r-1"))

    found = [e for raw in path.read_bytes().splitlines(keepends=True) for e in entries_of(raw)]
    whole = [line for line in found if line.endswith(b"}\n")]
    assert refused
    assert [unlink(line)[1] for line in whole] == [True] * 3


@contextlib.contextmanager
def _room_for(path: Path, size: int) -> Iterator[None]:
    """Let a file grow by so many bytes only, for a block."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("where", ["/proc/version", "/proc", "/nowhere/audit.jsonl"])
def test_whatever_cannot_be_written_is_a_refusal_and_no_defect(where: str) -> None:
    """An input/output error, a directory, and a folder that is not there."""
    assert not takes(sink(where), "lost")


def test_nothing_follows_the_end_of_a_chain(path: Path) -> None:
    """A request that outlives the stop of its process is refused instead of appended."""
    audit = sink(str(path))
    audit.record(entry("first"))

    head = audit.end(last_entry())

    assert not takes(audit, "late")
    assert chain_of(path.read_bytes()) == ["first", "last"]
    assert head == audit.head()
    assert (head.seq, head.hash) == (
        2,
        unlink(path.read_bytes().splitlines(keepends=True)[-1])[0]["hash"],
    )


def test_standard_output_that_is_a_full_pipe_refuses_in_time() -> None:
    """Also when it is shared with whoever started the process, and would make a write wait."""
    program = (
        "import os, sys; from datetime import timedelta\n"
        "from service.adapters.audit_file import AuditFile\n"
        "from tests.adapters.auditing import takes\n"
        "audit = AuditFile('-', lambda _reason: None, timedelta(milliseconds=100))\n"
        "taken = int(takes(audit, 'r-0'))\n"
        "waits = [os.get_blocking(fd) for fd in (audit._descriptor, 1)]\n"
        "while takes(audit, f'r-{taken}'): taken += 1\n"
        "print(*waits, taken, file=sys.stderr, flush=True)\n"
        "sys.stdin.readline()\n"
        "print('again', takes(audit, 'after'), file=sys.stderr, flush=True)\n"
    )
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    arguments = [sys.executable, "-c", program]
    with subprocess.Popen(arguments, **pipes) as process:  # type: ignore[call-overload]  # noqa: S603 — the program above
        *waits, taken = process.stderr.readline().split()
        content = os.read(process.stdout.fileno(), 1_000_000)
        process.stdin.write(b"\n")
        process.stdin.flush()
        again = process.stderr.readline()
        content += process.stdout.read()

    assert (waits, again) == ([b"False", b"True"], b"again True\n")
    assert chain_of(content) == [*(f"r-{n}" for n in range(int(taken))), "after"]
