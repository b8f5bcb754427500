"""What the tests of this folder store, mint and connect to."""

import contextlib
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import count

from service.adapters.redis_connections import RedisOptions
from service.adapters.redis_link import RedisLink
from service.adapters.redis_node import Wait
from service.adapters.redis_references import RedisReferences
from service.adapters.redis_stores import RedisStores
from service.core.grant import Grant, signed_grant, uses_field
from service.core.policy import Access
from service.core.reference import Accessor, accessor_of, new_reference
from service.core.reference_ports import Minted
from service.core.store_ports import Lease, Start
from tests.support.clock import START
from tests.support.world import INSTANCE, MINTER, STORE, WORKER, keyring

ACTIVE = b"1 active 1 k1 mac body"
SPAN = timedelta(seconds=60)
TTL = timedelta(minutes=5)
_NUMBERS = count(1)


def begin(
    table: RedisStores,
    line: bytes = ACTIVE,
    *,
    store_hash: str = STORE,
    seen: bytes | None = None,
    intent: bytes | None = b"signed intent",
    span: timedelta = SPAN,
) -> Lease:
    """Begin an attempt that nobody is in the way of, and return its lease."""
    number = next(_NUMBERS)
    start = Start(store_hash, f"owner-{number}", f"attempt-{number}", seen, line, intent, START)
    fence = table.begin(start, span)
    assert fence is not None
    return Lease(start.owner, start.attempt_id, fence, line, start.ends_at)


def store(table: RedisStores, line: bytes = ACTIVE, store_hash: str = STORE) -> bytes:
    """Put a record where there is none."""
    lease = begin(table, line, store_hash=store_hash, intent=None)
    assert table.settle(store_hash, lease, None, keep_intent=False)
    return line


def minted(
    *,
    store_hash: str = STORE,
    max_uses: int | None = None,
    access: Access = "proxy",
    audience: str = WORKER,
    ttl: timedelta = TTL,
    now: datetime = START,
    requests: tuple[str, ...] = ("GET /api/v3/io/companies/**",),
) -> Minted:
    """Return a reference as ``Minter.mint`` would store it."""
    accessor = accessor_of(new_reference(store_hash))
    grant = Grant(store_hash, audience, access, requests, max_uses, MINTER, now, now + ttl)
    signed = signed_grant(keyring(), INSTANCE, accessor, grant)
    uses = uses_field(max_uses)
    return Minted(accessor, store_hash, MINTER, audience, uses, signed, ttl, now + ttl)


def mint(table: RedisReferences, reference: Minted, now: datetime = START) -> Accessor:
    """Store a reference and return its accessor."""
    assert table.mint(reference, now) == "ok"
    return reference.accessor


@contextlib.contextmanager
def linked(port: int, password_file: str = "", username: str = "") -> Iterator[RedisLink]:
    """Connect a link as the broker does, and close its connections at the end."""
    with linked_to(
        f"redis://127.0.0.1:{port}/0", username=username, password_file=password_file
    ) as link:
        yield link


@contextlib.contextmanager
def linked_to(
    url: str,
    *,
    username: str = "",
    password_file: str = "",
    ca_file: str = "",
    sentinel_password_file: str = "",
    allow_evicting: bool = False,
    replicas: int = 0,
    wait_millis: int = 1000,
) -> Iterator[RedisLink]:
    """Connect a link to any kind of Redis, as the broker does, and close its connections at the end.

    It waits longer for replicas than a broker does: on a busy machine they are slow to acknowledge.
    """
    wait = Wait(replicas, timedelta(milliseconds=wait_millis)) if replicas else None
    options = RedisOptions(
        url=url,
        username=username,
        password_file=password_file,
        ca_file=ca_file,
        timeout=timedelta(milliseconds=450 + (wait_millis if wait else 0)),
        sentinel_password_file=sentinel_password_file,
        allow_evicting=allow_evicting,
    )
    link = RedisLink.connect(options, wait)
    try:
        yield link
    finally:
        link.close()
