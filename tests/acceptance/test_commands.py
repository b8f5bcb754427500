"""``broker stores`` and ``broker orphans`` against the running broker, as an operator types them."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from sandbox.demo.processes import free_port
from tests.support.service import Service

PASSWORD = "right password"

Broker = Callable[..., Result]


def _secret(folder: Path, content: str) -> str:
    path = folder / "secret"
    path.write_text(content, "utf-8")
    return str(path)


def _put(broker: Broker, service: Service, folder: Path, *options: str) -> str:
    """Register a new store with its password in a file, and return its hash."""
    name = service.new_store(PASSWORD)
    password = _secret(folder, PASSWORD + "\n")
    result = broker(
        "stores",
        "put",
        name,
        "--email",
        f"owner@{name}.example",
        "--password-file",
        password,
        *options,
    )
    assert result.exit_code == 0, result.output
    return name


def _shown(broker: Broker, name: str) -> dict[str, object]:
    document: dict[str, object] = json.loads(broker("stores", "show", name, "--json").stdout)
    return document


def test_a_store_is_registered_with_a_password_from_a_prompt(
    broker: Broker, service: Service
) -> None:
    """It is not shown while it is typed, and nothing of it is in the output."""
    name = service.new_store(PASSWORD)

    result = broker("stores", "put", name, typed=f"owner@{name}.example\n{PASSWORD}\n")

    assert result.exit_code == 0, result.output
    assert PASSWORD not in result.output
    assert _shown(broker, name)["status"] == "active"


def test_a_token_is_rotated_and_brought_back(
    broker: Broker, service: Service, tmp_path: Path
) -> None:
    """From the retained password; until its time has come, the old one is alive."""
    name = _put(broker, service, tmp_path, "--retain")

    rotated = broker("stores", "rotate", name, "--json")
    back = broker("stores", "rollback", name, "--json")

    assert json.loads(rotated.stdout)["generation"] == 2
    assert json.loads(back.stdout)["generation"] == 1
    assert len(service.live_tokens(name)) == 2


def test_a_store_is_migrated_and_no_longer_listed_as_deprecated(
    broker: Broker, service: Service, tmp_path: Path
) -> None:
    """The access token comes from a prompt; who still has to move is one command."""
    name = _put(broker, service, tmp_path)
    access_token = f"{name}accesstoken000000"
    service.upstream("POST", "/_sandbox/stores", {"store_hash": name, "access_token": access_token})

    before = broker("stores", "list", "--deprecated").stdout
    migrated = broker("stores", "migrate", name, typed=f"{access_token}\n")
    after = broker("stores", "list", "--deprecated").stdout

    assert migrated.exit_code == 0, migrated.output
    assert access_token not in migrated.output
    assert (name in before, name in after) == (True, False)


def test_a_removal_asks_first(broker: Broker, service: Service, tmp_path: Path) -> None:
    """Whoever says no has changed nothing."""
    name = _put(broker, service, tmp_path)

    refused = broker("stores", "remove", name, typed="n\n")
    still = _shown(broker, name)["status"]
    removed = broker("stores", "remove", name, "--yes")

    assert (refused.exit_code, still, removed.exit_code) == (1, "active", 0)
    assert service.live_tokens(name) == []


def test_orphans_are_shown_before_they_are_deleted(
    broker: Broker, service: Service, tmp_path: Path
) -> None:
    """An attempt whose answer was lost has left a token; the dry run deletes nothing."""
    name = _put(broker, service, tmp_path, "--retain")
    service.upstream(
        "PATCH", "/_sandbox/behaviours", {"store_hash": name, "create_outcome": "commit_then_drop"}
    )
    failed = broker("stores", "rotate", name)

    listed = broker("orphans", "list", "--json")
    dry = broker("orphans", "delete", name)
    alive = len(service.live_tokens(name))
    deleted = broker("orphans", "delete", name, "--no-dry-run")

    assert failed.exit_code == 3
    assert [row["alive"] for row in json.loads(listed.stdout) if row["store_hash"] == name] == [
        True
    ]
    assert "nothing was deleted" in dry.stdout
    assert (alive, len(service.live_tokens(name))) == (2, 1)
    assert deleted.exit_code == 0
    assert "none" in broker("orphans", "list", name).stdout


def test_a_problem_is_told_with_its_request_id(broker: Broker) -> None:
    """Exit code 1: asking again would not help."""
    result = broker("stores", "show", "zzz999zzz")

    assert result.exit_code == 1
    assert "Unknown store" in result.stderr
    assert "request " in result.stderr


def test_a_broker_that_is_not_there_is_told(broker: Broker) -> None:
    """Exit code 3: asking again may help."""
    result = broker("stores", "list", B2B_BROKER_URL=f"http://127.0.0.1:{free_port()}")

    assert result.exit_code == 3
    assert "cannot be reached" in result.stderr


@pytest.mark.parametrize("content", ["", "two\nlines", "bell\x07"])
def test_a_file_that_holds_no_secret_is_refused(
    broker: Broker, tmp_path: Path, content: str
) -> None:
    """Before anything is sent, and without showing what is in it."""
    result = broker(
        "stores", "migrate", "abc123", "--access-token-file", _secret(tmp_path, content)
    )

    assert result.exit_code == 2
    assert "does not hold one line" in result.stderr


@pytest.mark.parametrize("url", ["ftp://broker", "broker:8080", "https://"])
def test_an_address_that_is_none_is_wrong_usage(broker: Broker, url: str) -> None:
    """Exit code 2."""
    assert broker("stores", "list", "--url", url).exit_code == 2
