"""The operations on locks."""

from dataclasses import asdict

from service.core.lock import Lock
from service.web.body import read_body
from service.web.operations import Answered, Asked, Operation
from service.web.store_models import (
    LockDocument,
    LockNote,
    LocksDocument,
    LockStores,
    StoreLockNote,
)
from service.web.stores import store_hash_of


def _lock(asked: Asked) -> Answered:
    store_hash = store_hash_of(asked)
    body = read_body(asked.request, LockStores)
    lock = asked.edge.locks.lock(asked.call, store_hash, body.reason)
    return Answered(200, LockDocument(store_hash=store_hash, lock=_note(lock)))


def _unlock(asked: Asked) -> Answered:
    store_hash = store_hash_of(asked)
    asked.edge.locks.unlock(asked.call, store_hash)
    return Answered(200, LockDocument(store_hash=store_hash, lock=None))


def _lock_all(asked: Asked) -> Answered:
    body = read_body(asked.request, LockStores)
    lock = asked.edge.locks.lock_all(asked.call, body.reason)
    return Answered(200, LockDocument(store_hash="*", lock=_note(lock)))


def _unlock_all(asked: Asked) -> Answered:
    asked.edge.locks.unlock_all(asked.call)
    return Answered(200, LockDocument(store_hash="*", lock=None))


def _list(asked: Asked) -> Answered:
    locks = asked.edge.locks.in_force(asked.call)
    document = LocksDocument(
        on_all=None if locks.on_all is None else _note(locks.on_all),
        stores=[
            StoreLockNote(store_hash=name, **asdict(lock)) for name, lock in locks.stores.items()
        ],
    )
    return Answered(200, document)


def _note(lock: Lock) -> LockNote:
    return LockNote(**asdict(lock))


OPERATIONS = (
    Operation(
        method="POST",
        path="/v1/stores/{store_hash}/lock",
        name="lockStore",
        action="store.lock",
        summary="Let nobody use a store, at once and on every replica, until it is unlocked.",
        run=_lock,
        body=LockStores,
        answers={200: LockDocument},
        problems=(404,),
    ),
    Operation(
        method="POST",
        path="/v1/stores/{store_hash}/unlock",
        name="unlockStore",
        action="store.lock",
        summary="Take the lock off a store.",
        run=_unlock,
        answers={200: LockDocument},
    ),
    Operation(
        method="POST",
        path="/v1/lock",
        name="lockAll",
        action="store.lock",
        summary="The panic stop: let nobody use any store, until all are unlocked.",
        run=_lock_all,
        body=LockStores,
        answers={200: LockDocument},
    ),
    Operation(
        method="POST",
        path="/v1/unlock",
        name="unlockAll",
        action="store.lock",
        summary="Take the lock off all stores; those that are locked by themselves stay so.",
        run=_unlock_all,
        answers={200: LockDocument},
    ),
    Operation(
        method="GET",
        path="/v1/locks",
        name="listLocks",
        action="store.read",
        summary="Show what is locked, by whom, and why.",
        run=_list,
        answers={200: LocksDocument},
    ),
)
