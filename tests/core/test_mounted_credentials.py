"""Mounted credentials: what the operator mounts is what counts, within seconds, and a refused one waits until it changes.

The directory is a real one, read by the real adapter.
"""

from pathlib import Path

import pytest

from service.adapters.stores_dir import StoresDirectory
from service.core.credential import B2BPassword
from service.core.errors import CredentialNeededError
from service.core.secret import Secret
from tests.core.replicas import (
    HOUR,
    SECOND,
    access_token,
    active_name,
    elapse,
    live_names,
    look_if_due,
    maintain_after,
    maintain_for,
    met,
    record,
    shown,
)
from tests.support.upstream import EMAIL, PASSWORD
from tests.support.world import CREDENTIAL, LEASE, OPERATOR, STORE, World, call

PASS = 3 * SECOND


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A world whose mounts are in a directory."""
    made = World()
    directory = StoresDirectory(str(tmp_path))
    made.provision._mounted = directory
    made.maintenance._mounted = directory
    return made


def write(tmp_path: Path, store_hash: str = STORE, **files: str) -> None:
    """Mount files for a store."""
    folder = tmp_path / store_hash
    folder.mkdir(exist_ok=True)
    for name, content in files.items():
        path = folder / f"{name}.new"
        path.write_text(content, "utf-8")
        path.chmod(0o600)
        path.rename(folder / name)


def test_a_mounted_store_is_registered_without_anybody_asking(world: World, tmp_path: Path) -> None:
    """Within one pass; the password is retained nowhere."""
    write(tmp_path, email=EMAIL, password=PASSWORD)

    world.maintenance.run()

    assert (shown(world).status, shown(world).retained) == ("active", False)
    assert world.upstream.logins == 1


def test_a_wrong_password_is_sent_once_however_long_it_stays(world: World, tmp_path: Path) -> None:
    """Touching the file is no change of the credential."""
    write(tmp_path, email=EMAIL, password="wrong")

    for _ in range(5):
        maintain_after(world, HOUR)
        write(tmp_path, email=EMAIL, password="wrong")

    assert shown(world).status == "rejected"
    assert world.upstream.logins == 1


def test_a_corrected_password_clears_the_refusal_within_one_pass(
    world: World, tmp_path: Path
) -> None:
    """Nobody has to call."""
    write(tmp_path, email=EMAIL, password="wrong")
    world.maintenance.run()
    rejected = shown(world).status

    write(tmp_path, email=EMAIL, password=PASSWORD)
    maintain_after(world, PASS)

    assert rejected == "rejected"
    assert (shown(world).status, shown(world).generation) == ("active", 1)
    assert world.upstream.logins == 2


def test_a_correction_is_not_kept_waiting_by_the_attempt_before(
    world: World, tmp_path: Path
) -> None:
    """The pace is for a credential that stays the same."""
    write(tmp_path, email=EMAIL, password="wrong")
    world.maintenance.run()
    for number in range(4):
        write(tmp_path, email=EMAIL, password=f"wrong{number}")
        maintain_after(world, PASS)

    assert world.upstream.logins == 5


def test_a_changed_password_makes_no_second_token_for_a_store_that_has_one(
    world: World, tmp_path: Path
) -> None:
    """It is used when there is need."""
    write(tmp_path, email=EMAIL, password=PASSWORD)
    world.maintenance.run()

    write(tmp_path, email=EMAIL, password="the next one")
    maintain_for(world, 20 * LEASE, LEASE)

    assert world.upstream.logins == 1
    assert shown(world).generation == 1


def test_a_mounted_access_token_migrates_the_store(world: World, tmp_path: Path) -> None:
    """The old token is the previous one, and is deleted in the end."""
    write(tmp_path, email=EMAIL, password=PASSWORD)
    world.maintenance.run()
    access_token(world, "a")

    write(tmp_path, access_token="a" * 31)
    maintain_after(world, PASS)
    moved = shown(world)
    look_if_due(world, HOUR)
    look_if_due(world, HOUR)

    assert (moved.token_style, moved.deprecated, moved.generation) == ("x_auth_token", False, 2)
    assert moved.previous is not None
    assert live_names(world) == []
    assert world.upstream.logins == 1


def test_a_changed_access_token_is_imported(world: World, tmp_path: Path) -> None:
    """Rotation of that style is mounting another one."""
    access_token(world, "a")
    write(tmp_path, access_token="a" * 31)
    world.maintenance.run()
    access_token(world, "b")

    write(tmp_path, access_token="b" * 31)
    maintain_after(world, PASS)

    assert shown(world).generation == 2
    assert met(world).secret.reveal() == "b" * 31


def test_a_wrong_access_token_leaves_the_store_as_it_is(world: World, tmp_path: Path) -> None:
    """And is checked once."""
    world.active()
    write(tmp_path, access_token="z" * 31)

    maintain_for(world, 20 * LEASE, LEASE)

    assert (shown(world).status, shown(world).generation) == ("active", 1)
    assert len(record(world).refusals) == 1
    failed = [entry for entry in world.audit.told() if entry[1] == "failed"]
    assert failed == [("store.write", "failed", "token_rejected")]


def test_a_mount_that_is_taken_away_is_not_at_hand_any_more(world: World, tmp_path: Path) -> None:
    """The broker has kept no copy."""
    write(tmp_path, email=EMAIL, password=PASSWORD)
    world.maintenance.run()
    world.stores.rotate(call(OPERATOR), STORE, None)

    (tmp_path / STORE / "password").unlink()
    (tmp_path / STORE / "email").unlink()

    with pytest.raises(CredentialNeededError):
        world.stores.rotate(call(OPERATOR), STORE, None)


def test_a_mount_that_cannot_be_used_makes_way_for_the_retained_password(
    world: World, tmp_path: Path
) -> None:
    """It is no credential at all."""
    world.stores.put(call(OPERATOR), STORE, CREDENTIAL, retain=True)
    write(tmp_path, email=EMAIL, password=PASSWORD)
    (tmp_path / STORE / "password").chmod(0o644)

    world.stores.rotate(call(OPERATOR), STORE, None)

    assert world.upstream.logins == 2


def test_a_refused_mount_makes_way_for_the_retained_password(world: World, tmp_path: Path) -> None:
    """Each is sent for what it is worth."""
    world.stores.put(call(OPERATOR), STORE, CREDENTIAL, retain=True)
    seen = world.reader.seen(world.keyring(), STORE)
    wrong = B2BPassword(Secret(EMAIL), Secret("wrong"))
    write(tmp_path, email=EMAIL, password="wrong")
    assert world.provision.at_hand(world.keyring(), seen.record) is not None
    with pytest.raises(Exception, match="refused"):
        world.stores.rotate(call(OPERATOR), STORE, wrong)

    document = world.stores.rotate(call(OPERATOR), STORE, None)

    assert (document.generation, document.retained) == (2, True)


def test_what_a_mount_began_and_a_crash_ended_is_finished(world: World, tmp_path: Path) -> None:
    """The intent was there first."""
    write(tmp_path, email=EMAIL, password=PASSWORD)

    def die() -> None:
        raise KeyboardInterrupt

    world.upstream.after_issue = die
    with pytest.raises(KeyboardInterrupt):
        world.maintenance.run()
    world.upstream.after_issue = lambda: None
    elapse(world, LEASE)
    world.maintenance = world.another_maintenance()
    world.maintenance._mounted = world.provision._mounted

    maintain_after(world, LEASE)

    assert shown(world).status == "active"
    assert live_names(world) == [active_name(world)]


def test_a_directory_that_cannot_be_read_does_not_stop_maintenance(
    world: World, tmp_path: Path
) -> None:
    """Everything else goes on."""
    world.active()
    world.stores.rotate(call(OPERATOR), STORE, CREDENTIAL)
    write(tmp_path, email=EMAIL, password=PASSWORD)
    (tmp_path / STORE / "password").unlink()
    (tmp_path / STORE / "password").mkdir()

    look_if_due(world, HOUR)
    maintain_after(world, HOUR)

    assert live_names(world) == [active_name(world)]
