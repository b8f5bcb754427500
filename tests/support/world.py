"""The use cases, joined as ``app.py`` joins them.

Beneath them are fakeredis (with the real adapters and their Lua), a fake upstream, and a clock that stands still.
"""

from collections import Counter
from datetime import timedelta

import fakeredis

from service.adapters.redis_connections import Process
from service.adapters.redis_link import RedisLink
from service.adapters.redis_node import Node
from service.adapters.redis_nodes import OneNode
from service.adapters.redis_references import RedisReferences
from service.adapters.redis_stores import RedisStores
from service.core.caller import Caller
from service.core.cleaning import Cleaner
from service.core.credential import B2BPassword
from service.core.errors import LockedError
from service.core.gate import Call, Gate
from service.core.issuing import Issuer, Naming
from service.core.keyring import Key, Keyring
from service.core.policy import AccessGrant, Limits, Policy
from service.core.proxy import Proxy
from service.core.references import References
from service.core.secret import Secret
from service.core.stores import Stores
from service.core.token_cache import TokenCache
from tests.support.audit import MemoryAudit
from tests.support.clock import ManualClock
from tests.support.upstream import EMAIL, PASSWORD, FakeUpstream

INSTANCE = "test"
STORE = "abc123"
OPERATOR = "corp:ops-anna"
MINTER = "k8s:commerce/order-sync"
WORKER = "k8s:commerce/order-worker"
CREDENTIAL = B2BPassword(Secret(EMAIL), Secret(PASSWORD))
POLICY = Policy(
    (
        AccessGrant(
            "operators", ("corp:ops-*",), ("*",), ("store.*", "reference.revoke", "reference.read")
        ),
        AccessGrant(
            "minter",
            (MINTER,),
            ("*",),
            ("reference.mint",),
            Limits(
                access=("proxy", "redeem"),
                audiences=(WORKER, MINTER),
                max_ttl=timedelta(minutes=15),
                requests=("GET /api/v3/io/companies/**", "POST /api/v3/io/orders"),
            ),
        ),
        AccessGrant("worker", (WORKER,), ("abc*",), ("reference.redeem",)),
    )
)


def keyring(*key_ids: str, primary: str = "k1") -> Keyring:
    """Return a ring of keys that differ by their id; the same ids give the same keys."""
    ids = key_ids or ("k1",)
    return Keyring({i: Key(i, i.encode().ljust(32, b"*")) for i in ids}, primary)


def call(identity: str, policy: Policy = POLICY, request_id: str = "r-1") -> Call:
    """Return an authenticated call."""
    return Call(Caller(identity, "test", "api_key"), request_id, policy)


def link_to_fake(client: "fakeredis.FakeRedis") -> RedisLink:
    """Return a link to where a client of fakeredis leads."""
    pool = client.connection_pool
    arguments = pool.connection_kwargs | {"connection_class": pool.connection_class}
    return RedisLink(OneNode(Node(Process(arguments, allow_evicting=True))))


class CountingObserver:
    """Fulfils ``Observer``."""

    def __init__(self) -> None:
        self.counts: Counter[tuple[str, ...]] = Counter()

    def security_event(self, kind: str) -> None:
        """See ``Observer.security_event``."""
        self.counts["security", kind] += 1

    def store_issued(self, outcome: str) -> None:
        """See ``Observer.store_issued``."""
        self.counts["issue", outcome] += 1

    def reference(self, operation: str, outcome: str) -> None:
        """See ``Observer.reference``."""
        self.counts["reference", operation, outcome] += 1


class World:
    """Everything beneath the HTTP edge, in memory."""

    def __init__(self, redis: "fakeredis.FakeRedis | None" = None) -> None:
        self.clock = ManualClock()
        self.redis = redis if redis is not None else fakeredis.FakeRedis()
        self.link = link_to_fake(self.redis)
        self.upstream = FakeUpstream()
        self.audit = MemoryAudit()
        self.observer = CountingObserver()
        self.ring: Keyring | None = keyring()
        self.stores_table = RedisStores(self.link)
        self.references_table = RedisReferences(self.link)
        self.gate = Gate(self.audit, self.clock)
        self.cleaner = Cleaner(self.stores_table, self.upstream, INSTANCE, self.clock)
        self.issuer = Issuer(
            table=self.stores_table,
            upstream=self.upstream,
            cleaner=self.cleaner,
            observer=self.observer,
            naming=Naming(INSTANCE, f"b2b-broker/{INSTANCE}"),
            lease_span=timedelta(seconds=70),
            clock=self.clock,
            pause=self.clock.move,
        )
        self.stores = Stores(
            gate=self.gate,
            keyring=self.keyring,
            table=self.stores_table,
            references=self.references_table,
            cleaner=self.cleaner,
            issuer=self.issuer,
            observer=self.observer,
            instance=INSTANCE,
            patience=timedelta(seconds=5),
            clock=self.clock,
            pause=self.clock.move,
        )
        self.references = References(
            gate=self.gate,
            keyring=self.keyring,
            table=self.references_table,
            observer=self.observer,
            tokens=TokenCache(),
            instance=INSTANCE,
            clock=self.clock,
        )
        self.proxy = Proxy(self.references, self.upstream, self.gate, self.observer)

    def keyring(self) -> Keyring:
        """Fulfil ``KeyringSource``; locked while ``ring`` is None."""
        if self.ring is None:
            raise LockedError("locked", reason="locked")
        return self.ring

    def active(self, store_hash: str = STORE) -> "World":
        """Register a store with the right password."""
        self.stores.put(call(OPERATOR), store_hash, CREDENTIAL, retain=False)
        return self
