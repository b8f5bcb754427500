"""``broker references`` and ``broker lock`` against the running broker: what stops callers, as an operator types it."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import Result

from sandbox.demo.story import MINTER
from service.core.reference import accessor_of
from service.core.secret import Secret
from tests.support.service import Service

Broker = Callable[..., Result]


@pytest.fixture
def store_hash(service: Service, broker: Broker) -> Iterator[str]:
    """An active store; nothing is locked at the end."""
    yield service.active_store()
    broker("unlock", "--yes")


def _accessor(reference: str) -> str:
    return accessor_of(Secret(reference)).text


def test_references_are_listed_and_shown_without_themselves(
    service: Service, broker: Broker, store_hash: str
) -> None:
    """Everything that they stand for, under the name that logs use."""
    reference = service.mint(store_hash, max_uses=3)
    accessor = _accessor(reference)

    table = broker("references", "list", store_hash)
    listed = json.loads(broker("references", "list", store_hash, "--json").stdout)
    shown = json.loads(broker("references", "show", accessor, "--json").stdout)

    assert table.stdout.splitlines()[0].startswith("ACCESSOR")
    assert accessor in table.stdout
    assert reference not in table.stdout
    assert listed == [shown]
    assert (shown["accessor"], shown["uses_left"], shown["minted_by"]) == (accessor, 3, MINTER)


@pytest.mark.parametrize(
    ("chosen", "code_when_declined"),
    [
        ("{accessor}", 0),
        ("--reference-file {file}", 0),
        ("--store {store_hash}", 1),
        (f"--caller {MINTER}", 1),
        ("--all", 1),
    ],
)
def test_revoking_more_than_one_asks_first(
    service: Service,
    broker: Broker,
    store_hash: str,
    tmp_path: Path,
    chosen: str,
    code_when_declined: int,
) -> None:
    """Whoever says no has revoked nothing; what was revoked is refused at once."""
    reference = service.mint(store_hash)
    file = tmp_path / "reference"
    file.write_text(reference, "utf-8")
    names = {"accessor": _accessor(reference), "file": file, "store_hash": store_hash}
    what = chosen.format(**names).split()

    declined = broker("references", "revoke", *what, typed="n\n")
    between = service.companies(reference).status
    done = broker("references", "revoke", *what, "--yes", "--json")
    after = service.companies(reference).status

    assert declined.exit_code == code_when_declined
    assert (between, after) == (200 if code_when_declined else 410, 410)
    assert done.exit_code == 0
    assert json.loads(done.stdout)["scope"]
    assert reference not in done.output


@pytest.mark.parametrize(
    "chosen", [[], ["--all", "--store", "abc123"], ["cba_x"], ["--store", "../x"]]
)
def test_what_to_revoke_is_said_once_and_well(broker: Broker, chosen: list[str]) -> None:
    """Exit code 2, and nothing was sent."""
    assert broker("references", "revoke", *chosen, "--yes").exit_code == 2


def test_a_reference_in_the_place_of_an_accessor_is_not_repeated(broker: Broker) -> None:
    """It is in the shell's history already; the terminal's log is one place too many."""
    result = broker("references", "show", "cbr_07canary")

    assert result.exit_code == 2
    assert "canary" not in result.output


def test_a_store_is_locked_shown_and_unlocked(
    service: Service, broker: Broker, store_hash: str
) -> None:
    """Its callers meet the lock; whoever looks sees who and why."""
    reference = service.mint(store_hash)

    locked = broker("stores", "lock", store_hash, "--reason", "INC-42")
    during = service.companies(reference).status
    listed = broker("locks").stdout
    beside = broker("stores", "list").stdout
    rotated = broker("stores", "rotate", store_hash)
    unlocked = broker("stores", "unlock", store_hash, "--json")

    assert (locked.exit_code, during, rotated.exit_code) == (0, 423, 1)
    assert "locked      yes" in locked.stdout
    row = next(line for line in listed.splitlines() if store_hash in line)
    assert row.endswith("INC-42")
    assert next(line for line in beside.splitlines() if store_hash in line).endswith("yes")
    assert "broker locks" in rotated.stderr
    assert json.loads(unlocked.stdout) == {"store_hash": store_hash, "lock": None}
    assert service.companies(reference).status == 200


def test_the_panic_stop_asks_both_ways(service: Service, broker: Broker, store_hash: str) -> None:
    """No is no; with yes every store stops, and the list says so with a star."""
    reference = service.mint(store_hash)

    declined = broker("lock", "--reason", "INC-42", typed="n\n")
    before = service.companies(reference).status
    locked = broker("lock", "--reason", "INC-42", typed="y\n")
    during = service.companies(reference).status
    listed = json.loads(broker("locks", "--json").stdout)
    kept = broker("unlock", typed="n\n")
    still = service.companies(reference).status
    unlocked = broker("unlock", typed="y\n")
    after = service.companies(reference).status

    codes = [declined, locked, kept, unlocked]
    assert [result.exit_code for result in codes] == [1, 0, 1, 0]
    assert (before, during, still, after) == (200, 423, 423, 200)
    assert (listed[0]["store_hash"], listed[0]["reason"]) == ("*", "INC-42")


def test_a_lock_without_a_reason_is_wrong_usage(broker: Broker) -> None:
    """Exit code 2: whoever finds it locked has to know why."""
    assert broker("lock", "--yes").exit_code == 2


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--url", "https://h/path"], "--url is scheme, host and port"),
        (["--url", "https://h", "--ca-file", "/nowhere"], "--ca-file is not"),
        (["--url", "https://h", "--cert-file", "/nowhere"], "--cert-file and --cert-key-file"),
    ],
)
def test_a_way_to_the_broker_that_is_none_is_wrong_usage(
    broker: Broker, options: list[str], says: str
) -> None:
    """One line instead of a stack, and nothing was sent."""
    result = broker("locks", *options)

    assert result.exit_code == 2
    assert says in result.stderr


def test_nobody_is_told_how_to_prove_who_they_are(broker: Broker) -> None:
    """The broker's 401 says nothing of this command's options."""
    result = broker("locks", B2B_BROKER_TOKEN_FILE="")

    assert result.exit_code == 1
    assert "--token-file" in result.stderr
