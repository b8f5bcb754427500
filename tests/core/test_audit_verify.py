"""Verifying a trail: what is told of what, where, and what a trail that nobody altered may look like."""

import hashlib
import json
import random
from dataclasses import replace
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from service.core.audit_heads import read_head, sign_head
from service.core.audit_report import MOST_OF_A_KIND, Place, Report
from service.core.audit_verify import UNSIGNED_FOR, Verifier
from tests.support.clock import START
from tests.support.trails import KEY, Trail, Writing, forged, verified, written

WRITERS = 2


@pytest.fixture
def trail() -> Trail:
    """Of two processes that have stopped."""
    return written(1, WRITERS, 10)


@pytest.fixture
def writing() -> Writing:
    """Two processes that are running."""
    return Writing(WRITERS, random.Random(2))  # noqa: S311 — a test that can be repeated


def told(report: Report) -> list[tuple[str, str, int]]:
    """Return kind, writer and number of each finding."""
    return [(finding.kind, finding.writer, finding.seq) for finding in report.findings]


def test_a_running_trail_is_whole(writing: Writing) -> None:
    """What was written since the latest head is vouched for by the next."""
    writing.write(writer := next(iter(writing._processes)))
    writing.sign(writer)
    writing._now += UNSIGNED_FOR
    writing.write(writer)

    report = verified(writing.trail)

    assert (report.verdict, report.findings) == ("whole", [])
    chain = next(chain for chain in report.chains if chain.writer == writer)
    assert (chain.first, chain.last, chain.entries, chain.signed_to) == (1, 2, 2, 1)
    assert (chain.began_at, chain.last_at) == (START, START + UNSIGNED_FOR)
    assert not chain.ended


def test_entries_that_no_head_covers_are_told(writing: Writing) -> None:
    """When they are older than heads ever are: Redis was away, or somebody made them up."""
    writing.write(writer := next(iter(writing._processes)))
    writing.sign(writer)
    writing._now += UNSIGNED_FOR + timedelta(milliseconds=1)
    writing.write(writer)

    report = verified(writing.trail)

    assert report.verdict == "unproven"
    assert told(report) == [("unsigned_tail", writer, 2)]


def test_a_writer_without_a_head_is_told(trail: Trail) -> None:
    """It was killed at once, or is made up: nobody can say, so it is not fine."""
    stranger = Writing(1, random.Random(9))  # noqa: S311 — a test that can be repeated
    stranger.write(next(iter(stranger._processes)))
    trail.lines += stranger.trail.lines

    report = verified(trail)

    assert report.verdict == "unproven"
    assert [kind for kind, _, _ in told(report)] == ["unsigned_chain"]


def test_without_heads_nothing_is_vouched_for(trail: Trail) -> None:
    """The chains are still checked in themselves."""
    trail.heads = {}

    report = verified(trail)

    assert report.verdict == "unproven"
    assert report.counts == {"unsigned_chain": WRITERS}


def test_a_process_that_stopped_without_an_end_is_noted(writing: Writing) -> None:
    """It was killed; that alone is nothing wrong."""
    killed, other = writing._processes
    for name in (killed, other):
        writing.write(name)
        writing.sign(name)
    writing._now += UNSIGNED_FOR + timedelta(seconds=1)
    writing.sign(other)

    report = verified(writing.trail)

    assert report.verdict == "whole"
    assert told(report) == [("not_ended", killed, 1)]


def test_a_finding_says_where(trail: Trail) -> None:
    """File, line, writer and number."""
    writer, line = trail.lines[4]
    trail.lines[4] = (writer, line.replace(b'"v":1', b'"v":1', 1).replace(b"r-", b"R-"))

    (finding,) = verified(trail).findings

    assert finding.place == Place("audit.jsonl", 5)
    assert (finding.kind, finding.writer) == ("edited", writer)
    assert finding.seq == json.loads(line)["seq"]


def test_a_gap_is_told_once(trail: Trail) -> None:
    """At the first entry behind it, and no other entry is blamed."""
    writer = next(iter(trail.heads))
    for place in reversed(trail.of(writer)[1:3]):
        del trail.lines[place]

    report = verified(trail)

    assert told(report) == [("gap", writer, 4)]
    assert "entries 2 to 3 are not before it" in report.findings[0].text


@pytest.mark.parametrize(
    "other",
    [
        b'{"time": "2026-11-23T12:00:00.000Z", "level": "info", "event": "request"}\n',
        b"Traceback (most recent call last):\n",
        b'  {"v":1}\n',
        b'{"log":"something of somebody else","stream":"stdout"}\n',
        b'{"log":1}\n',
        b'{"log":"\n',
        b"\xff\xfe\n",
    ],
)
def test_lines_of_somebody_else_are_skipped_and_counted(trail: Trail, other: bytes) -> None:
    """Standard output of a container is shared."""
    for place in (0, 5, len(trail.lines)):
        trail.lines.insert(place, ("", other))
    trail.lines.append(("", b"\n"))

    report = verified(trail)

    assert (report.verdict, report.findings, report.others) == ("whole", [], 3)


def _cri(line: bytes) -> bytes:
    return b"2026-11-23T12:00:00.000000001Z stdout F " + line


def _docker(line: bytes) -> bytes:
    wrapped = {"log": line.decode("ascii"), "stream": "stdout", "time": "2026-11-23T12:00:00Z"}
    return json.dumps(wrapped, separators=(",", ":")).encode("ascii") + b"\n"


@pytest.mark.parametrize("wrap", [_cri, _docker])
def test_what_a_container_runtime_wraps_is_unwrapped(trail: Trail, wrap: object) -> None:
    """The log files of a node can be verified as they are."""
    assert callable(wrap)
    trail.lines = [(writer, wrap(line)) for writer, line in trail.lines]

    report = verified(trail)

    assert (report.verdict, report.others) == ("whole", 0)
    assert report.entries == len(trail.lines)


def test_what_an_error_has_left_of_a_line_is_noted(trail: Trail) -> None:
    """The entry was written again behind it, so nothing is missing."""
    writer, line = trail.lines[3]
    trail.lines.insert(3, (writer, line[:50] + b"\n"))

    report = verified(trail)

    assert report.verdict == "whole"
    assert told(report) == [("torn_line", "", 0)]
    assert report.findings[0].place == Place("audit.jsonl", 4)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("seq", "1"), ("seq", None), ("v", 2), ("caller", 7), ("writer", None), ("prev", 1)),
        *(("time", "yesterday"), ("time", "2026-11-23T12:00:00")),
    ],
)
def test_an_entry_of_another_form_is_none(trail: Trail, field: str, value: object) -> None:
    """Also one whose hash fits; its chain then misses it."""
    writer, line = trail.lines[0]
    body = json.dumps(json.loads(line) | {field: value}, separators=(",", ":")).encode()
    body = body[: body.rindex(b',"hash":')] + b"}"
    digest = hashlib.sha256(body).hexdigest().encode()
    trail.lines[0] = (writer, body[:-1] + b',"hash":"' + digest + b'"}\n')

    report = verified(trail)

    assert report.counts["torn_line"] == 1
    assert report.verdict == "broken"


def test_files_that_begin_later_are_taken_at_ones_word(trail: Trail) -> None:
    """With ``since``, a chain may begin with an entry from before, and older heads need no chain."""
    writer = next(iter(trail.heads))
    begun = trail.of(writer)[2]
    since = START + timedelta(seconds=begun + 2)
    trail.lines = trail.lines[begun - 1 :]

    strict, lenient = verified(trail), verified(trail, since=since)
    later = verified(Trail([], trail.heads), since=START + timedelta(days=1))

    assert strict.verdict == "broken"
    assert lenient.verdict == "whole"
    assert later.verdict == "whole"


def test_a_chain_that_begins_after_since_has_a_gap(trail: Trail) -> None:
    """The entry before its first may be one that should be there."""
    writer = next(iter(trail.heads))
    del trail.lines[trail.of(writer)[0]]

    report = verified(trail, since=START)

    assert told(report) == [("gap", writer, 2)]


def test_exports_of_other_days_are_held_against_the_trail_too(trail: Trail) -> None:
    """Whoever keeps heads elsewhere finds also what was put back everywhere."""
    exports = [(name, signed) for name, heads in trail.older.items() for _, signed in heads]
    writer = next(iter(trail.heads))
    before = verified(trail, heads=exports)
    trail.lines = [line for line in trail.lines if line[0] != writer]
    trail.heads = {}

    after = verified(trail, heads=exports)

    assert before.verdict == "whole"
    assert [kind for kind, _, _ in told(after)] == ["missing_chain"]


def test_heads_of_two_installations_do_not_go_together(trail: Trail) -> None:
    """A trail is one installation's."""
    writer, signed = next(iter(trail.heads.items()))
    elsewhere = replace(read_head(KEY.public_key(), signed), instance="elsewhere")

    report = verified(trail, heads=[(writer, sign_head(KEY, elsewhere))])

    assert told(report) == [("forged_head", writer, 0)]


def test_findings_are_kept_up_to_a_number_of_each_kind(trail: Trail) -> None:
    """A file full of fragments does not hide what else is wrong, and takes no memory without end."""
    fragments = [("", b'{"v":1,\n')] * (MOST_OF_A_KIND + 5)
    trail.lines = [*fragments, *trail.lines[1:]]

    report = verified(trail)

    assert report.counts == {"torn_line": MOST_OF_A_KIND + 5, "gap": 1}
    assert len(report.findings) == MOST_OF_A_KIND + 1


def test_another_public_key_takes_no_head(trail: Trail) -> None:
    """The one of another installation, or none at all."""
    other = Ed25519PrivateKey.from_private_bytes(b"o" * 32).public_key()
    for keys in ([other], []):
        verifier = Verifier(keys)
        verifier.take_heads(trail.heads.items())

        assert verifier.report().counts == {"forged_head": WRITERS}


def test_two_heads_of_one_entry_that_differ_are_told(trail: Trail) -> None:
    """The key has signed both, so a writer's name was used twice, or its key by somebody else."""
    other = Writing(WRITERS, random.Random(1))  # noqa: S311 — a test that can be repeated
    names = iter(other._processes)
    writer = next(names)
    other._random.random()
    number = len(trail.of(writer))
    for _ in range(number):
        other.write(writer)
    other.sign(writer)

    report = verified(trail, heads=other.trail.heads.items())

    assert ("forged_head", writer, number) in told(report)


def test_a_first_entry_that_names_one_before_is_edited() -> None:
    """There is none, also in a chain that no head vouches for."""
    line = forged("ab" * 8, 1, "f" * 64, random.Random(1))[0]  # noqa: S311 — a test that can be repeated

    report = verified(Trail([("", line)]))

    assert told(report)[0] == ("edited", "ab" * 8, 1)


def test_a_key_that_was_changed_leaves_two_to_verify_with(trail: Trail) -> None:
    """Each head is held against all that are given."""
    other = Ed25519PrivateKey.from_private_bytes(b"o" * 32)
    writer, signed = next(iter(trail.heads.items()))
    trail.heads[writer] = sign_head(other, read_head(KEY.public_key(), signed))
    verifier = Verifier([KEY.public_key(), other.public_key()])
    verifier.take_heads(trail.heads.items())
    for number, (_, line) in enumerate(trail.lines, start=1):
        verifier.read(Place("audit.jsonl", number), line)

    assert verifier.report().verdict == "whole"
    assert verified(trail).counts["forged_head"] == 1


@pytest.mark.parametrize("cut", [1, 50])
def test_an_entry_behind_what_another_process_could_not_write_is_read(
    trail: Trail, cut: int
) -> None:
    """A disk was full in the middle of a line, or of its end alone, and the next to write was somebody else."""
    place = next(p for p in range(9) if trail.lines[p][0] != trail.lines[p + 1][0])
    (writer, line), (_, following) = trail.lines[place : place + 2]
    whole = cut == 1
    trail.lines[place : place + 2] = [("", line[:-cut] + following)] + [(writer, line)] * (
        not whole
    )

    report = verified(trail)

    assert report.verdict == "whole"
    assert report.counts == ({} if whole else {"torn_line": 1})
