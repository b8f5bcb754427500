"""What breaks around the secrets: an upstream that shows them back, storage and audit trail away, defects, and processes that die."""

import functools
import os
import signal

from sandbox.demo.processes import Program, wait_until
from tests.leaks.arena import Arena
from tests.leaks.traffic import arena_store, new_account, put
from tests.leaks.upstream_tap import MIRRORS

_OUTCOMES = ("bad_credentials", "role_forbidden", "commit_then_drop", "commit_then_500", "html", "redirect", "empty_token",
             "huge_body", "wrong_store_claim", "status_429", "commit_then_hang")  # fmt: skip
_REFLECTIONS = (
    {"reflect_headers": True},
    {"reflect_headers": True, "reflect_escaped": True},
    {"reflect_in_header": True},
)


def mirrored(arena: Arena) -> None:
    """The upstream shows back whatever it is sent: a password to whoever registers a store, a token to whoever uses the proxy."""
    service = arena.service
    store = arena_store(arena)
    reference = service.mint(store)
    for name, mirror in MIRRORS.items():
        new, credential = new_account(arena, f"a store behind the mirror {name}")
        arena.tap.mirror = mirror
        assert put(arena, new, credential).status in (409, 429, 502)
        service.companies(reference)
        arena.recorder.ask(service.operator, "POST", f"/v1/stores/{store}/rotate")
        arena.tap.mirror = None
    for switches in _REFLECTIONS:
        service.upstream("PATCH", "/_sandbox/behaviours", {"store_hash": store, **switches})
        assert service.companies(reference).status == 502
        service.reset_switches(store)


def misbehaving(arena: Arena) -> None:
    """Everything else that an upstream does when it is asked for a token."""
    for outcome in _OUTCOMES:
        store, credential = new_account(arena, f"a store that ends in {outcome}")
        switch = {"store_hash": store, "create_outcome": outcome}
        arena.service.upstream("PATCH", "/_sandbox/behaviours", switch)
        assert put(arena, store, credential, retain=True).status in (409, 429, 502, 504)


def altered(arena: Arena) -> None:
    """Somebody who can write Redis flips a bit of a record, and swaps two."""
    service = arena.service
    stores = [arena_store(arena), arena_store(arena)]
    references = [service.mint(store) for store in stores]
    with arena.redis() as client:
        keys = [next(client.scan_iter(f"*store:{store}")) for store in stores]
        lines = [client.get(key) or b"" for key in keys]
        client.set(keys[0], lines[1])
        client.set(keys[1], lines[1][:-1] + bytes([lines[1][-1] ^ 1]))
    for store, reference in zip(stores, references, strict=True):
        assert service.companies(reference).status == 409
        arena.recorder.ask(service.operator, "GET", f"/v1/stores/{store}")
        credential = {"kind": "access_token", "access_token": arena.token("a token too many")}
        assert put(arena, store, credential).status == 409


def audit_failing(arena: Arena) -> None:
    """A broker whose audit trail takes nothing releases nothing."""
    store = arena_store(arena)
    reference = arena.service.mint(store)
    new, credential = new_account(arena, "a store without record")
    with arena.another_broker({"BROKER_AUDIT_FILE": "/dev/full"}) as (service, recorder):
        assert service.companies(reference).status == 503
        body = {"credential": credential}
        path = f"/v1/stores/{new}"
        assert recorder.ask(service.operator, "PUT", path, body).status == 503
        assert service.redeem(reference).status == 503


def storage_away(arena: Arena) -> None:
    """Redis stops in the middle."""
    service = arena.service
    store, credential = new_account(arena, "a store without storage")
    reference = service.mint(arena_store(arena))
    service.stack.redis.signal(signal.SIGSTOP)
    try:
        assert put(arena, store, credential).status == 503
        assert service.companies(reference).status == 503
        assert service.redeem(reference).status == 503
    finally:
        service.stack.redis.signal(signal.SIGCONT)
    wait_until("Redis is back", lambda: service.companies(reference).status == 200)


def defects(arena: Arena) -> None:
    """A broker whose parts fail with all that they know in the text of the error."""
    reference = arena.service.mint(arena_store(arena))
    for name in ("a store", "another store"):
        store, credential = new_account(arena, f"{name} of a defective broker")
        with arena.another_broker({}, "tests.leaks.defective_broker") as (service, recorder):
            path, body = f"/v1/stores/{store}", {"credential": credential}
            assert recorder.ask(service.operator, "PUT", path, body).status == 500
            assert service.companies(reference).status == 500
            arena.look_at_processes()


def crashes(arena: Arena) -> None:
    """Workers end in each way in which a process can, with secrets in their memory, and nothing of that is left behind."""
    service = arena.service
    broker = service.stack.broker
    reference = service.mint(arena_store(arena))
    arena.look_at_processes()
    for number in (signal.SIGABRT, signal.SIGSEGV, signal.SIGBUS, signal.SIGKILL, signal.SIGQUIT):
        assert service.companies(reference).status == 200
        before = set(broker.children())
        for pid in before:
            os.kill(pid, number)
        wait_until("others serve", functools.partial(_others_serve, broker, before))
    arena.look_at_processes()


def _others_serve(broker: Program, before: set[int]) -> bool:
    now = set(broker.children())
    return len(now) == len(before) and not now & before
