"""``KeyringSource``: locked until there is a ring that may be used, and never without one again."""

import threading

import pytest
import structlog.testing

from sandbox.demo.processes import wait_until
from service.adapters.keyring_in_force import KeyringInForce
from service.core.errors import AuditError, BrokerError, LockedError, StorageError
from service.core.keyring import Keyring, KeyringError
from tests.support.world import keyring

AWAY = StorageError("away", reason="redis_away")


class Files:
    """What an operator puts into the directory, and what is made of it."""

    def __init__(self) -> None:
        self.ring: Keyring | Exception = KeyringError("there is nothing")
        self.refused = False
        self.recorded: list[tuple[bool, str]] = []
        self.unrecorded = False

    def read(self) -> Keyring:
        """Give the ring."""
        if isinstance(self.ring, Exception):
            raise self.ring
        return self.ring

    def source(self) -> KeyringInForce:
        """Return a source that takes whatever there is."""
        return KeyringInForce(self.read, lambda found, _before: found, self.observe, self.record)

    def record(self, taken: bool, key_id: str) -> None:  # noqa: FBT001 — the port's signature
        """Take the record, if it can be written."""
        if self.unrecorded:
            raise AuditError("full", reason="audit_write_failed")
        self.recorded.append((taken, key_id))

    def observe(self, refused: bool) -> None:  # noqa: FBT001 — the port's signature
        """Take the metric."""
        self.refused = refused


@pytest.fixture
def files() -> Files:
    """An empty directory."""
    return Files()


def _open(source: KeyringInForce) -> bool:
    try:
        source()
    except BrokerError:
        return False
    return True


def test_a_ring_that_is_there_opens_at_the_first_use(files: Files) -> None:
    """No waiting at an ordinary start."""
    files.ring = keyring()

    assert files.source()().primary.key_id == "k1"


def test_locked_until_the_keys_appear(files: Files) -> None:
    """It looks again by itself, and tells meanwhile what is wrong."""
    source = files.source()
    with pytest.raises(LockedError) as caught:
        source()
    problem, unlocked, refused = source.problem, source.unlocked, files.refused
    files.ring = keyring()
    with pytest.raises(LockedError):
        source()

    wait_until("the ring is picked up", lambda: _open(source), 3)

    assert (caught.value.reason, caught.value.retry_after is not None) == ("locked", True)
    assert (problem, unlocked, refused) == ("there is nothing", False, True)
    assert (source.problem, source.unlocked, files.refused) == ("", True, False)


def test_what_is_taken_and_what_is_refused_is_recorded_once(files: Files) -> None:
    """With the key that seals since then."""
    source = files.source()
    source.look()
    source.look()
    files.ring = keyring()
    source.look()
    source.look()
    files.ring = KeyringError("there is nothing any more")
    source.look()

    assert files.recorded == [(False, ""), (True, "k1"), (False, "k1")]


def test_a_ring_is_not_in_force_before_that_is_recorded(files: Files) -> None:
    """Whoever asks is told what is missing, and it is taken when it can be recorded."""
    files.ring, files.unrecorded = keyring(), True
    source = files.source()
    with pytest.raises(AuditError):
        source()
    files.unrecorded = False
    source.look()

    assert source.unlocked
    assert files.recorded == [(True, "k1")]


def test_another_ring_is_taken_without_a_restart(files: Files) -> None:
    """By the look in the background; the log tells once."""
    files.ring = keyring()
    source = files.source()
    source.look()
    files.ring = keyring("k1", "k2", primary="k2")

    with structlog.testing.capture_logs() as lines:
        source.look()
        source.look()

    assert (source().key_ids, source().primary.key_id) == (("k1", "k2"), "k2")
    assert [(line["event"], line["primary"]) for line in lines] == [("keyring_in_force", "k2")]


def test_a_bad_ring_never_replaces_a_good_one(files: Files) -> None:
    """It is told, once in the log, and gone when it is mended."""
    files.ring = keyring()
    source = files.source()
    good = source()
    files.ring = KeyringError("k2.key can be read by everybody")

    with structlog.testing.capture_logs() as lines:
        source.look()
        source.look()
    during = source(), source.problem, files.refused
    files.ring = keyring()
    source.look()

    assert during == (good, "k2.key can be read by everybody", True)
    assert [line["event"] for line in lines] == ["keyring_refused"]
    assert (source.problem, files.refused) == ("", False)


@pytest.mark.parametrize("open_before", [False, True], ids=["at the start", "later"])
def test_a_redis_that_is_away_says_nothing_about_the_ring(
    files: Files,
    open_before: bool,  # noqa: FBT001 — a case
) -> None:
    """At the start it is what the callers are told; later whoever needs Redis finds out by themselves."""
    files.ring = keyring()
    source = files.source()
    if open_before:
        source.look()
    files.ring = AWAY

    source.look()

    assert source.unlocked is open_before
    assert not files.refused
    if not open_before:
        with pytest.raises(StorageError):
            source()


def test_nobody_waits_long_for_a_slow_key_service(files: Files) -> None:
    """Whoever comes while it is asked is told that the broker is locked."""
    asked, go_on = threading.Event(), threading.Event()

    def slow() -> Keyring:
        asked.set()
        assert go_on.wait(20)
        return keyring()

    source = KeyringInForce(slow, lambda found, _before: found, files.observe)
    looking = threading.Thread(target=source.look)
    looking.start()
    assert asked.wait(5)

    with pytest.raises(LockedError):
        source()
    go_on.set()
    looking.join()

    assert source.unlocked
