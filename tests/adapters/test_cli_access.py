"""``broker access``: an access file looked at before it is mounted."""

import hashlib
import json
from pathlib import Path

import jsonschema
import pytest
import yaml
from click.testing import CliRunner, Result

from sandbox.demo.identities import Identities
from sandbox.demo.stack import write_access
from service.adapters.api_keys import ApiKeys
from service.cli import main
from service.core.caller import Caller
from service.core.secret import Secret


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The demo's access file; the key files that it names are gone, as on an author's machine."""
    path = write_access(tmp_path, Identities())
    for keys in tmp_path.glob("*.json"):
        keys.unlink()
    return path


def broker(*arguments: str | Path) -> Result:
    """Run a command of ``broker access``."""
    return CliRunner().invoke(main, ["access", *map(str, arguments)])


def changed(file: Path, old: str, new: str) -> Path:
    """Return a copy of an access file with some text replaced."""
    text = file.read_text("utf-8")
    assert old in text
    copy = file.with_name("changed.yaml")
    copy.write_text(text.replace(old, new), "utf-8")
    return copy


def test_a_good_file_is_ok_without_the_issuers_keys(file: Path) -> None:
    """Policy is checked where it is written."""
    result = broker("check", file)

    assert (result.exit_code, result.output) == (0, "ok: 3 grants, 3 tests\n")


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("version: 1", "version: 2", "version: "),
        ("expect: allow", "expect: deny", "its own tests fail"),
        ("store.*", "shop.*", "there is no such action"),
    ],
)
def test_a_file_that_would_be_refused_is_told_in_one_line(
    file: Path, old: str, new: str, told: str
) -> None:
    """Exit code 1, for a pipeline."""
    result = broker("check", changed(file, old, new))

    assert result.exit_code == 1
    assert told in result.output
    assert len(result.output.splitlines()) == 1


def test_each_test_of_the_file_is_shown_with_what_decides_it(file: Path) -> None:
    """The one that fails is marked, and says why."""
    result = broker("test", changed(file, "expect: allow", "expect: deny"))

    assert result.exit_code == 1
    lines = result.output.splitlines()
    assert [line[:4] for line in lines] == ["FAIL", "ok  ", "ok  "]
    assert lines[0].endswith("'order-sync mints for the order worker' allows it")


def test_a_decision_is_explained(file: Path) -> None:
    """The grant that allows it, or the nearest one and what fails; the exit code is the decision."""
    mint = ("explain", file, "--caller", "k8s:commerce/order-sync", "--action", "reference.mint")
    allowed = broker(*mint, "--audience", "k8s:commerce/order-worker", "--store", "abc123")
    denied = broker(*mint, "--store", "abc123")
    unknown = broker("explain", file, "--caller", "k8s:x/y", "--action", "store.read")
    wrong = broker(*mint, "--request", "companies")

    assert (allowed.exit_code, allowed.output) == (
        0,
        "allowed by 'order-sync mints for the order worker'\n",
    )
    assert (denied.exit_code, "fails at limits.audiences" in denied.output) == (1, True)
    assert (unknown.exit_code, "no grant names the caller" in unknown.output) == (1, True)
    assert wrong.exit_code == 1


def test_two_files_with_the_same_grants_differ_in_no_decision(file: Path) -> None:
    """Renaming a grant or adding a comment changes nothing."""
    result = broker("diff", file, changed(file, "name: platform operators", "name: operators #"))

    # The grant's name is part of what is told, but not of what is decided.
    assert (result.exit_code, result.output) == (0, "no decision changes\n")


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('["corp:ops-*"]', '["corp:admin-*"]', "corp:ops-* store.write *: allowed"),
        ("max_ttl: 15m", "max_ttl: 1m", "(300 s, any number of uses"),
        ("max_ttl: 15m", "max_ttl: 15m\n      max_rate: 60/m", "any number of uses, 60/m, GET"),
        (
            "access: [proxy, redeem]",
            "access: [proxy]",
            "redeem for k8s:commerce/order-worker: allowed",
        ),
        ("actions: [reference.redeem]", "actions: [reference.read]", "reference.redeem *: allowed"),
        ('"GET /api/v3/io/orders/**"', '"POST /api/v3/io/orders"', "POST /api/v3/io/orders"),
    ],
)
def test_every_decision_that_changes_is_shown(file: Path, old: str, new: str, told: str) -> None:
    """Callers, actions, stores, and everything that a reference could be."""
    result = broker("diff", file, changed(file, old, new))

    assert result.exit_code == 1
    assert told in result.output


def test_a_new_key_is_shown_once_and_only_its_digest_is_for_the_file() -> None:
    """The entry goes into the access file, the key to its caller, and it proves who that is."""
    result = CliRunner().invoke(main, ["access", "new-key", "ci"])

    key = result.stdout.strip()
    (entry,) = yaml.safe_load(result.stderr)
    assert entry == {"name": "ci", "sha256": hashlib.sha256(key.encode()).hexdigest()}
    caller = Caller("key:ci", "key", "api_key")
    assert ApiKeys({entry["sha256"]: caller}).verify(Secret(key)) is caller


def test_the_exported_schema_accepts_what_the_broker_accepts(file: Path, tmp_path: Path) -> None:
    """An editor that knows it underlines what would be refused."""
    output = tmp_path / "schema.json"
    assert broker("schema", "--output", output).exit_code == 0
    schema = json.loads(output.read_text("utf-8"))
    document = yaml.safe_load(file.read_text("utf-8"))

    jsonschema.validate(document, schema)
    limits = next(grant["limits"] for grant in document["grants"] if "limits" in grant)
    limits["max_rate"] = "60/m"
    jsonschema.validate(document, schema)
    limits["max_rate"] = "60"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document, schema)
    del limits["max_rate"]
    document["grants"][0]["callerz"] = []
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document, schema)

    assert broker("schema").output == output.read_text("utf-8")


def test_machines_read_json(file: Path) -> None:
    """The same as people, with the same exit codes."""
    other = changed(file, "[reference.redeem]", "[store.read]")
    who = ["--caller", "k8s:commerce/order-sync", "--action", "reference.mint"]
    audience = ["--audience", "k8s:commerce/order-worker"]

    checked = broker("check", file, "--json")
    tested = broker("test", file, "--json")
    allowed = broker("explain", file, *who, *audience, "--json")
    denied = broker("explain", file, *who, "--json")
    differs = broker("diff", file, other, "--json")

    results = [checked, tested, allowed, denied, differs]
    assert [result.exit_code for result in results] == [0, 0, 0, 1, 1]
    documents = [json.loads(result.stdout) for result in results]
    assert documents[0] == {"grants": 3, "tests": 3}
    assert [test["passed"] for test in documents[1]] == [True] * 3
    assert documents[2]["terms"]["ttl_seconds"] == 300
    assert (documents[3]["allowed"], documents[3]["failed"]) == (False, "limits.audiences")
    assert {change.split()[1] for change in documents[4]} == {"reference.redeem", "store.read"}
