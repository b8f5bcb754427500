"""``broker audit``: what each command prints and how it exits, on files as an operator has them."""

import gzip
import json
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jsonschema import Draft202012Validator

from service.cli import main
from service.core.audit_ocsf import CLASSES
from tests.support.trails import KEY, Trail, written
from tests.support.world import MINTER, STORE, WORKER


def _run(*arguments: str | Path, given: bytes = b"") -> Result:
    assert isinstance(main, click.Group)
    return CliRunner().invoke(main, ["audit", *map(str, arguments)], input=given)


class Files:
    """A trail, its heads and the public key, in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.trail: Trail = written(5, 2, 12)
        self.audit = folder / "audit.jsonl"
        self.heads = folder / "heads.json"
        self.key = folder / "key.pub"
        pem = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        self.key.write_bytes(pem)
        self.write()

    def write(self) -> None:
        """Write the trail and its heads."""
        self.audit.write_bytes(b"".join(line for _, line in self.trail.lines))
        rows = [{"writer": name, "signed": head} for name, head in self.trail.heads.items()]
        self.heads.write_text(json.dumps({"heads": rows}), "utf-8")

    def verify(self, *files: str | Path, given: bytes = b"") -> Result:
        """Verify files against the heads."""
        chosen = files or (self.audit,)
        return _run("verify", *chosen, "--heads", self.heads, "--public-key", self.key, given=given)


@pytest.fixture
def files(tmp_path: Path) -> Files:
    """Of two processes that have stopped."""
    return Files(tmp_path)


def test_a_file_that_is_named_twice_is_wrong_usage(files: Files) -> None:
    """As `audit.jsonl*` with `audit.jsonl` beside it does; it is no sign of somebody who repeats entries."""
    result = files.verify(files.audit, files.audit)

    assert (result.exit_code, result.stderr) == (2, f"Error: {files.audit} is named twice\n")


def test_a_whole_trail_exits_with_0(files: Files) -> None:
    """One line says how much it is."""
    result = files.verify()

    assert (result.exit_code, result.stderr) == (0, "")
    assert (
        result.stdout == "whole: 14 entries in 2 chains, 2 of them signed; 0 other lines skipped\n"
    )


def test_a_broken_trail_exits_with_1_and_says_where(files: Files) -> None:
    """File, line, writer, entry and what is wrong."""
    writer, line = files.trail.lines[3]
    files.trail.lines[3] = (writer, line.replace(b"r-", b"R-"))
    files.write()

    result = files.verify()

    assert result.exit_code == 1
    head, row, last = result.stdout.splitlines()
    assert head.split() == ["KIND", "WRITER", "ENTRY", "WHERE", "WHAT"]
    assert row.split()[:4] == ["edited", writer, str(json.loads(line)["seq"]), f"{files.audit}:4"]
    assert last.startswith("broken: 14 entries")


def test_a_trail_without_heads_exits_with_4(files: Files) -> None:
    """Nothing is wrong in it, and nobody vouches for it."""
    result = _run("verify", files.audit)

    assert result.exit_code == 4
    assert result.stdout.count("unsigned_chain") == 2
    assert "unproven: 14 entries" in result.stdout


def test_the_outcome_as_json(files: Files) -> None:
    """For machines: verdict, counts, findings and chains."""
    del files.trail.lines[3]
    files.write()

    result = _run(
        "verify", files.audit, "--heads", files.heads, "--public-key", files.key, "--json"
    )

    report = json.loads(result.stdout)
    assert (result.exit_code, report["verdict"], report["counts"]) == (1, "broken", {"gap": 1})
    assert report["findings"][0]["place"]["file"] == str(files.audit)
    assert report["chains"][0]["began_at"].endswith("Z")


def test_rotated_and_packed_files_in_any_order(files: Files) -> None:
    """As a shell's wildcard lists them."""
    lines = [line for _, line in files.trail.lines]
    first, second, third = (files.folder / name for name in ("a.2.gz", "a.1", "a"))
    with gzip.open(first, "wb") as packed:
        packed.write(b"some other line\n" + b"".join(lines[:5]))
    second.write_bytes(b"".join(lines[5:9]))
    third.write_bytes(b"".join(lines[9:]))

    result = files.verify(third, second, first)

    assert result.exit_code == 0
    assert "14 entries" in result.stdout
    assert "1 other lines skipped" in result.stdout


def test_standard_input_is_a_file(files: Files) -> None:
    """As ``kubectl logs`` gives it."""
    assert files.verify("-", given=files.audit.read_bytes()).exit_code == 0
    assert files.verify("-", given=b"").exit_code == 1


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["--heads", "{heads}"], 2, "--public-key"),
        (["--online"], 2, "--public-key"),
        (["--heads", "/nowhere", "--public-key", "{key}"], 2, "/nowhere cannot be read"),
        (["--heads", "{key}", "--public-key", "{key}"], 2, "no export"),
        (["--public-key", "{heads}"], 2, "not a public key"),
        (["--online", "--public-key", "{key}", "--url", "http://127.0.0.1:9"], 3, "reached"),
        (["--since", "yesterday"], 2, "--since"),
    ],
)
def test_what_cannot_be_verified_says_why(
    files: Files, arguments: list[str], code: int, says: str
) -> None:
    """One line, and the exit code that is documented."""
    given = [text.format(heads=files.heads, key=files.key) for text in arguments]

    result = _run("verify", files.audit, *given)

    assert result.exit_code == code
    assert says in result.stderr


@pytest.mark.parametrize("others", [0, 1])
@pytest.mark.parametrize("name", ["nowhere", "broken.gz", "."])
def test_a_file_that_cannot_be_read_is_named(files: Files, name: str, others: int) -> None:
    """It is never passed over in silence, and not taken for a trail in which something is wrong."""
    (files.folder / "broken.gz").write_bytes(b"not packed")

    result = files.verify(*[files.audit] * others, files.folder / name)

    assert result.exit_code == 2
    assert result.stderr == f"Error: {files.folder / name} cannot be read\n"


def test_files_that_begin_later_need_since(files: Files) -> None:
    """With one entry of each chain from before it."""
    files.trail.lines = files.trail.lines[2:]
    files.write()
    arguments = ("verify", files.audit, "--heads", files.heads, "--public-key", files.key)

    assert _run(*arguments).exit_code == 1
    assert _run(*arguments, "--since", "2026-11-24").exit_code == 0


def test_a_new_key_is_two_files_that_nobody_overwrites(tmp_path: Path) -> None:
    """The private one is for its owner only, and is never printed."""
    path = tmp_path / "audit.pem"

    first, again = _run("new-key", path), _run("new-key", path)

    assert (first.exit_code, again.exit_code) == (0, 1)
    assert path.stat().st_mode & 0o777 == 0o600
    assert "PRIVATE" in path.read_text("ascii")
    assert "PUBLIC" in (tmp_path / "audit.pem.pub").read_text("ascii")
    assert "KEY" not in first.output + again.output
    assert "exists" in again.stderr


def test_every_line_conforms_to_the_exported_schema(files: Files) -> None:
    """And what is no line does not."""
    schema = json.loads(_run("schema").stdout)
    validator = Draft202012Validator(schema)

    for _, line in files.trail.lines:
        validator.validate(json.loads(line))

    assert not validator.is_valid(json.loads(files.trail.lines[0][1]) | {"more": 1})
    assert not validator.is_valid(json.loads(files.trail.lines[0][1]) | {"action": "other"})


def _queried(files: Files, *options: str) -> list[dict[str, object]]:
    result = _run("query", files.audit, *options, "--json")
    assert result.exit_code == 0
    rows: list[dict[str, object]] = json.loads(result.stdout)
    return rows


@pytest.mark.parametrize(
    ("options", "field", "value"),
    [
        (("--store", STORE), "store_hash", STORE),
        (("--store", f"store-{STORE}.mybigcommerce.com"), "store_hash", STORE),
        (("--store", f"https://store-{STORE}.mybigcommerce.com/"), "store_hash", STORE),
        (("--store", f"stores/{STORE}"), "store_hash", STORE),
        (("--caller", MINTER), "caller", MINTER),
        (("--caller", "*sync"), "caller", MINTER),
        (("--subject", WORKER), "subject", WORKER),
        (("--accessor", "cba_1", "--action", "reference.mint"), "action", "reference.mint"),
        (("--outcome", "denied"), "outcome", "denied"),
        (("--action", "store.write"), "action", "store.write"),
    ],
)
def test_entries_are_found_by_what_they_say(
    files: Files, options: tuple[str, ...], field: str, value: str
) -> None:
    """All of those, and no others."""
    everything = _queried(files)

    found = _queried(files, *options)

    assert len(everything) == len(files.trail.lines)
    assert found == [row for row in everything if row[field] == value]
    assert found


def test_entries_are_found_by_time(files: Files) -> None:
    """From a moment on, and before another."""
    times = [row["time"] for row in _queried(files)]
    moments = [str(time)[:19] for time in (times[4], times[8])]

    found = _queried(files, "--since", moments[0], "--until", moments[1])

    assert [row["time"] for row in found] == times[4:8]


@pytest.mark.parametrize("option", [("--store", "../x"), ("--action", "none"), ("--since", "x")])
def test_a_question_that_makes_no_sense_is_refused(files: Files, option: tuple[str, str]) -> None:
    """Wrong usage, not an empty answer."""
    assert _run("query", files.audit, *option).exit_code == 2


def test_an_entry_that_does_not_fit_its_hash_is_marked(files: Files) -> None:
    """It is shown, because it may be what somebody looks for."""
    writer, line = files.trail.lines[3]
    files.trail.lines[3] = (writer, line.replace(b"r-", b"R-"))
    files.trail.lines.append(("", b'{"v":1, cut off'))
    files.write()

    table = _run("query", files.audit).stdout.splitlines()

    assert table[0].split()[-1] == "INTACT"
    assert [row.split()[-1] for row in table[1:]].count("no") == 1
    assert len(table) == 1 + 14


def test_entries_as_ocsf_events(files: Files) -> None:
    """One a line, each with the class of its action and the whole entry."""
    lines = _run("query", files.audit, "--ocsf").stdout.splitlines()

    for text, (_, line) in zip(lines, files.trail.lines, strict=True):
        event, entry = json.loads(text), json.loads(line)
        class_uid, activity_id = CLASSES[entry["action"]]
        refused = entry["outcome"] == "denied"
        assert event["unmapped"] == entry
        assert (event["class_uid"], event["activity_id"]) == (class_uid, activity_id)
        assert event["type_uid"] == class_uid * 100 + activity_id
        assert event["category_uid"] == 6
        assert (event["status_id"], event["action_id"]) == ((2, 2) if refused else (1, 1))
        assert event["actor"]["user"]["uid"] == entry["caller"]
        assert event["metadata"]["uid"] == entry["hash"]


def test_every_command_explains_itself() -> None:
    """``--help`` says what each is for, and how it exits where that matters."""
    assert isinstance(main, click.Group)
    for name in ("verify", "query", "heads", "schema", "new-key"):
        assert len(_run(name, "--help").stdout.splitlines()) > 4
    assert "Exit codes: 0" in _run("verify", "--help").stdout
