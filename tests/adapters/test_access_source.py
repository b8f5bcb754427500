"""The access file is replaced as a whole while running, or not at all."""

import os
from pathlib import Path

import pytest

from sandbox.demo.identities import Identities
from sandbox.demo.stack import write_access
from service.adapters.access_file import AccessFileError
from service.adapters.access_source import AccessFile
from service.adapters.issuer_links import IssuerLinks
from service.core.errors import AuditError, UnauthenticatedError
from service.core.secret import Secret
from tests.support.clock import ManualClock

OPERATORS = "corp:ops-*"
FAILING = b"""
version: 1
issuers: []
grants: []
tests: [{caller: "key:x", action: store.read, store: abc123, expect: allow}]
"""


class Reloading:
    """An access file on disk, the source that reads it, and what the source told."""

    def __init__(self, folder: Path) -> None:
        self.identities = Identities()
        self.path = write_access(folder, self.identities)
        self.told: list[bool] = []
        self.source = AccessFile(str(self.path), ManualClock(), IssuerLinks(), self.told.append)

    def rewrite(self, old: str, new: str) -> None:
        """Replace some text of the file in place."""
        text = self.path.read_text("utf-8")
        assert old in text
        self.path.write_text(text.replace(old, new), "utf-8")

    def may_write(self, identity: str) -> bool:
        """Tell what policy in force lets somebody do."""
        return self.source().policy.decide(identity, "store.write", "abc123").allowed


@pytest.fixture
def reloading(tmp_path: Path) -> Reloading:
    """The demo's access file."""
    return Reloading(tmp_path)


def test_a_new_version_is_taken_as_a_whole(reloading: Reloading) -> None:
    """Grants and digest change together; a snapshot that somebody holds stays as it was."""
    before = reloading.source()
    reloading.rewrite(OPERATORS, "corp:admin-*")

    reloading.source.reload()

    assert not reloading.may_write("corp:ops-anna")
    assert reloading.may_write("corp:admin-anna")
    assert before.policy.decide("corp:ops-anna", "store.write", "abc123").allowed
    assert reloading.source().policy.digest != before.policy.digest
    assert (reloading.told, reloading.source.problem) == ([True], "")


def test_an_unchanged_file_is_not_read_again(reloading: Reloading) -> None:
    """The snapshot stays the same object, with all tokens that it remembers; a touched file is not a changed one."""
    before = reloading.source()
    os.utime(reloading.path)

    reloading.source.reload()

    assert reloading.source() is before
    assert reloading.told == []


@pytest.mark.parametrize(
    "broken",
    [
        b"version: 2\n",
        b"",
        b"version: 1\nissuers: [\n",
        b"\xff\xfe",
        FAILING,
    ],
    ids=["another version", "empty", "half written", "not text", "its own test fails"],
)
def test_a_broken_version_never_replaces_a_good_one(reloading: Reloading, broken: bytes) -> None:
    """It is told once, shows as a problem, and what was in force stays so until a good version comes."""
    good = reloading.path.read_bytes()
    reloading.path.write_bytes(broken)
    reloading.source.reload()
    reloading.source.reload()
    problem = reloading.source.problem
    held = reloading.may_write("corp:ops-anna")
    reloading.path.write_bytes(good)

    reloading.source.reload()

    assert problem
    assert held
    assert reloading.told == [False, True]
    assert reloading.source.problem == ""


def test_a_file_that_vanishes_leaves_the_old_one_in_force(reloading: Reloading) -> None:
    """A mount that is away for a moment locks nobody out."""
    reloading.path.unlink()

    reloading.source.reload()

    assert reloading.source.problem
    assert reloading.may_write("corp:ops-anna")


def test_the_swap_of_kubernetes_links_is_noticed(tmp_path: Path) -> None:
    """The kubelet writes a new directory and renames the link ``..data``; the mounted file itself never changes."""
    first, second, mount = tmp_path / "..1", tmp_path / "..2", tmp_path
    for folder in (first, second):
        folder.mkdir()
    identities = Identities()
    good = write_access(first, identities)
    (second / "access.yaml").write_text(
        good.read_text("utf-8").replace(OPERATORS, "corp:admin-*"), "utf-8"
    )
    (mount / "..data").symlink_to(first.name)
    (mount / "access.yaml").symlink_to("..data/access.yaml")
    told: list[bool] = []
    source = AccessFile(str(mount / "access.yaml"), ManualClock(), IssuerLinks(), told.append)
    (mount / "..next").symlink_to(second.name)

    (mount / "..next").rename(mount / "..data")
    source.reload()

    assert told == [True]
    assert source().policy.decide("corp:admin-x", "store.write", "abc123").allowed


def test_new_keys_in_a_named_file_are_taken(reloading: Reloading, tmp_path: Path) -> None:
    """A rotated JWK set is a new version too: tokens of the old key end, those of the new one work."""
    old = Secret(reloading.identities.person("ops-anna"))
    reloading.source().by_token(old)
    reloading.identities = Identities()
    reloading.identities.company.write_jwk_set(tmp_path / "company-jwks.json")

    reloading.source.reload()

    new = Secret(reloading.identities.person("ops-anna"))
    assert reloading.source().by_token(new).identity == "corp:ops-anna"
    with pytest.raises(UnauthenticatedError):
        reloading.source().by_token(old)


def test_a_broken_file_stops_the_start(tmp_path: Path) -> None:
    """There is no old version to stay with."""
    path = tmp_path / "access.yaml"
    path.write_text("version: 1\n", "utf-8")

    with pytest.raises(AccessFileError):
        AccessFile(str(path), ManualClock(), IssuerLinks(), lambda _taken: None)


def test_a_new_version_that_cannot_be_recorded_is_not_taken(tmp_path: Path) -> None:
    """What callers may do changes only with an entry that says so; it is tried again the next time."""
    path = write_access(tmp_path, Identities())
    recorded: list[tuple[bool, str]] = []
    broken = True

    def record(taken: bool, digest: str) -> None:  # noqa: FBT001 — the port's form
        if broken:
            raise AuditError("broken", reason="audit_blocked")
        recorded.append((taken, digest))

    source = AccessFile(str(path), ManualClock(), IssuerLinks(), lambda _taken: None, record=record)
    before = source().policy.digest
    path.write_text(path.read_text("utf-8").replace(OPERATORS, "corp:admin-*"), "utf-8")
    for _ in range(2):
        with pytest.raises(AuditError):
            source.reload()
    kept = source().policy.digest
    broken = False
    source.reload()
    after = source().policy.digest
    path.write_text("version: 2", "utf-8")
    source.reload()

    assert kept == before != after == source().policy.digest
    assert recorded == [(True, after), (False, after)]
