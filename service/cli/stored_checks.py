"""``broker doctor``: what the broker keeps in Redis beside stores and references: which keys are in use, what is locked, and its marks."""

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import replace

from service.adapters.keyring_dir import KeyringDirectory
from service.adapters.redis_installation import Marks
from service.adapters.redis_keys import RedisKeys
from service.adapters.redis_link import RedisLink
from service.adapters.redis_locks import RedisLocks
from service.cli.finding import Finding, ok, skipped
from service.core.errors import StorageError
from service.core.key_checks import listed, require_ours
from service.core.keyring import Keyring, KeyringError
from service.core.lock import read_note
from service.core.store_ports import LockNotes
from service.outside import key_wrappers, redis_options
from service.settings import Settings

_MARKS, _LOCKS, _KEYS = "redis contents", "locks", "keys in use"


def check_what_is_stored(settings: Settings) -> list[Finding]:
    """Look at it as one that only reads."""
    link = RedisLink.connect(replace(redis_options(settings), allow_evicting=True))
    with contextlib.closing(link):
        try:
            link.ping()
        except StorageError:
            return [skipped(name, "Redis does not answer") for name in (_MARKS, _LOCKS, _KEYS)]
        return [
            _judged(_MARKS, lambda: _judge_marks(*Marks(link).read())),
            _judged(_LOCKS, lambda: _judge_locks(RedisLocks(link).read())),
            _judged(_KEYS, lambda: _judge_keys(settings, RedisKeys(link).checks())),
        ]


def _judged(name: str, judge: Callable[[], Finding]) -> Finding:
    try:
        return judge()
    except StorageError as error:
        return Finding(
            name,
            "failed",
            f"Redis refuses to tell: {error.reason}",
            "The broker cannot read it either, and answers 503 where it has to.",
            "See the rights of the ACL user (README). If they are there, something else writes into this Redis.",
        )


def _judge_marks(marks: list[bytes | None], has_others: bool) -> Finding:  # noqa: FBT001 — as read
    missing = marks.count(None)
    if missing == len(marks) and not has_others:
        return Finding(
            _MARKS,
            "warning",
            "nothing of a broker is there",
            "Right before the first start. After it, Redis was emptied or is another one: stores, locks and revocations are gone.",
            "If it should not be so, follow the runbook B2BBrokerStorageWiped in docs/operations.md.",
        )
    if missing or len(set(marks)) > 1:
        return Finding(
            _MARKS,
            "failed",
            f"{missing or 'some'} of {len(marks)} partitions are not as the broker left them",
            "A part of Redis was emptied or replaced: stores, locks and revocations are gone.",
            "Follow the runbook B2BBrokerStorageWiped in docs/operations.md.",
        )
    return ok(_MARKS, "its marks are whole; of a loss before a start the log tells (storage_wiped)")


def _judge_locks(notes: LockNotes) -> Finding:
    if notes.on_all is not None:
        lock = read_note("all", notes.on_all)
        since = "" if lock.since is None else f" since {lock.since:%Y-%m-%d %H:%M} UTC"
        return Finding(
            _LOCKS,
            "warning",
            f"all stores are locked{since}: {lock.reason or 'the note cannot be read'}",
            "The panic stop is on: whoever uses any store gets 423 (store_locked).",
            f"Ask {lock.by or 'whoever is in the audit trail'} whether it is over; then: broker unlock",
        )
    return ok(_LOCKS, f"{len(notes.stores)} stores are locked")


def _judge_keys(settings: Settings, checks: Mapping[str, bytes]) -> Finding:
    try:
        ring = KeyringDirectory(settings.keyring_dir, key_wrappers(settings)).read()
    except KeyringError:
        return skipped(_KEYS, "there is no usable keyring")
    return _judge_ring(ring, checks, settings.instance)


def _judge_ring(ring: Keyring, checks: Mapping[str, bytes], instance: str) -> Finding:
    try:
        require_ours(ring, checks, instance)
    except KeyringError as error:
        return Finding(
            _KEYS,
            "failed",
            str(error),
            "The broker refuses this keyring: it starts locked, or goes on with the one that it has.",
            "Put back the keys that this Redis was sealed with, or correct BROKER_REDIS_URL or BROKER_INSTANCE: one of the three is"
            " another installation's.",
        )
    missing = checks.keys() - set(ring.key_ids)
    if missing:
        return Finding(
            _KEYS,
            "failed",
            f"{listed(missing)} is in use, and not in the keyring",
            "What is sealed with it cannot be opened: its stores are shown as quarantined (key_unavailable), its references fail.",
            "Put it back, and take it away only after 'broker keys rewrap' and 'broker keys retire'.",
        )
    return ok(_KEYS, listed(checks) if checks else "none yet")
