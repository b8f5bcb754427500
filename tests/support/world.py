"""The use cases, joined as ``app.py`` joins them.

Beneath them are fakeredis (with the real adapters and their Lua), a fake upstream, and a clock that stands still.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

import fakeredis

from service.adapters.redis_connections import Process
from service.adapters.redis_heads import RedisHeads
from service.adapters.redis_keys import RedisKeys
from service.adapters.redis_link import RedisLink
from service.adapters.redis_locks import RedisLocks
from service.adapters.redis_maintenance import RedisMaintenance
from service.adapters.redis_node import Node
from service.adapters.redis_nodes import OneNode
from service.adapters.redis_references import RedisReferences
from service.adapters.redis_stores import RedisStores
from service.core.caller import Caller
from service.core.cleaning import Cleaner
from service.core.credential import B2BPassword, Credential
from service.core.errors import LockedError
from service.core.gate import Call, Gate
from service.core.issuing import Issuer, Naming
from service.core.key_agreement import KeyAgreement
from service.core.keyring import Key, Keyring
from service.core.keys import Keys
from service.core.locks import Locks
from service.core.login_pause import LoginPause
from service.core.maintenance import Maintenance
from service.core.minting import Minter
from service.core.policy import AccessGrant, Limits, Policy
from service.core.provision import Provision, Times
from service.core.proxy import Proxy
from service.core.references import References
from service.core.repair import Repair
from service.core.rewrapper import Rewrapper
from service.core.secret import Secret
from service.core.store_reader import StoreReader
from service.core.stores import Stores
from service.core.token_cache import TokenCache
from service.core.uses import Uses
from tests.support.audit import MemoryAudit
from tests.support.clock import ManualClock
from tests.support.upstream import EMAIL, PASSWORD, FakeUpstream

INSTANCE = "test"
TOKEN_PREFIX = f"b2b-broker/{INSTANCE}"
LEASE = timedelta(seconds=70)
PREVIOUS = timedelta(hours=1)
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


def fake_node(client: "fakeredis.FakeRedis") -> Node:
    """Return the process to which a client of fakeredis leads."""
    pool = client.connection_pool
    arguments = pool.connection_kwargs | {"connection_class": pool.connection_class}
    return Node(Process(arguments, allow_evicting=True))


def link_to_fake(client: "fakeredis.FakeRedis") -> RedisLink:
    """Return a link to where a client of fakeredis leads."""
    return RedisLink(OneNode(fake_node(client)))


class CountingObserver:
    """Fulfils ``Observer`` and ``KeyObserver``."""

    def __init__(self) -> None:
        self.counts: Counter[tuple[str, ...]] = Counter()
        self.paused = False
        self.signed_at: datetime | None = None
        self.stores: dict[tuple[str, str], int] = {}
        self.live_references = 0
        self.shares: list[float] = []
        self.records: dict[str, int] = {}
        self.pending = False
        self.locks: tuple[bool, int] | None = None

    def security_event(self, kind: str) -> None:
        """See ``Observer.security_event``."""
        self.counts["security", kind] += 1

    def audit_head_signed(self, at: datetime) -> None:
        """See ``Observer.audit_head_signed``."""
        self.signed_at = at

    def store_issued(self, outcome: str) -> None:
        """See ``Observer.store_issued``."""
        self.counts["issue", outcome] += 1

    def reference(self, operation: str, outcome: str) -> None:
        """See ``Observer.reference``."""
        self.counts["reference", operation, outcome] += 1

    def budget_left(self, share: float) -> None:
        """See ``Observer.budget_left``."""
        self.shares.append(share)

    def budget_refusal(self, kind: str) -> None:
        """See ``Observer.budget_refusal``."""
        self.counts["budget", kind] += 1

    def issuing_paused(self, *, paused: bool) -> None:
        """See ``Observer.issuing_paused``."""
        self.paused = paused

    def stores_counted(self, counts: Mapping[tuple[str, str], int]) -> None:
        """See ``Observer.stores_counted``."""
        self.stores = dict(counts)

    def references_counted(self, live: int) -> None:
        """See ``Observer.references_counted``."""
        self.live_references = live

    def records_counted(self, counts: Mapping[str, int]) -> None:
        """See ``KeyObserver.records_counted``."""
        self.records = dict(counts)

    def primary_pending(self, *, pending: bool) -> None:
        """See ``KeyObserver.primary_pending``."""
        self.pending = pending

    def locks_counted(self, *, everything: bool, stores: int) -> None:
        """See ``Observer.locks_counted``."""
        self.locks = everything, stores


class FakeMounted:
    """Mounted credentials in memory. Fulfils ``MountedCredentials``."""

    def __init__(self) -> None:
        self.credentials: dict[str, Credential] = {}

    def find(self, store_hash: str) -> Credential | None:
        """See ``MountedCredentials.find``."""
        return self.credentials.get(store_hash)

    def versions(self) -> dict[str, object]:
        """See ``MountedCredentials.versions``."""
        return {name: id(credential) for name, credential in self.credentials.items()}


class World:
    """Everything beneath the HTTP edge, in memory."""

    def __init__(
        self,
        redis: "fakeredis.FakeRedis | None" = None,
        *,
        clock: ManualClock | None = None,
        upstream: FakeUpstream | None = None,
        link: "Callable[[fakeredis.FakeRedis], RedisLink] | None" = None,
    ) -> None:
        self.clock = clock or ManualClock()
        self.redis = redis if redis is not None else fakeredis.FakeRedis()
        self.link = (link or link_to_fake)(self.redis)
        self.upstream = upstream or FakeUpstream()
        self.audit = MemoryAudit()
        self.observer = CountingObserver()
        self.ring: Keyring | None = keyring()
        self.stores_table = RedisStores(self.link)
        self.references_table = RedisReferences(self.link)
        self.agreed = RedisMaintenance(self.link)
        self.heads_table = RedisHeads(self.link)
        self.mounted = FakeMounted()
        self.gate = Gate(self.audit, self.clock)
        self.reader = StoreReader(self.stores_table, self.observer, INSTANCE, self.clock)
        self.cleaner = Cleaner(self.stores_table, self.upstream, INSTANCE, TOKEN_PREFIX, self.clock)
        self.issuer = Issuer(
            table=self.stores_table,
            upstream=self.upstream,
            cleaner=self.cleaner,
            pause_logins=LoginPause(self.gate, self.agreed, self.observer, self.clock),
            observer=self.observer,
            naming=Naming(INSTANCE, TOKEN_PREFIX),
            lease_span=LEASE,
            previous_for=PREVIOUS,
            clock=self.clock,
            pause=self.clock.move,
        )
        self.provision = Provision(
            reader=self.reader,
            table=self.stores_table,
            agreed=self.agreed,
            upstream=self.upstream,
            issuer=self.issuer,
            mounted=self.mounted,
            instance=INSTANCE,
            times=Times(timedelta(seconds=5), PREVIOUS),
            clock=self.clock,
            pause=self.clock.move,
        )
        self.stores = Stores(
            gate=self.gate,
            keyring=self.keyring,
            reader=self.reader,
            table=self.stores_table,
            references=self.references_table,
            provision=self.provision,
            cleaner=self.cleaner,
            observer=self.observer,
            instance=INSTANCE,
            clock=self.clock,
        )
        self.locks = Locks(self.gate, RedisLocks(self.link), self.observer, self.clock)
        self.repair = Repair(
            gate=self.gate,
            keyring=self.keyring,
            reader=self.reader,
            agreed=self.agreed,
            upstream=self.upstream,
            provision=self.provision,
            observer=self.observer,
            instance=INSTANCE,
        )
        self.maintenance = self.another_maintenance()
        self.key_table = RedisKeys(self.link)
        self.agreement = self.another_agreement("replica-a")
        self.keys = Keys(
            gate=self.gate,
            keyring=self.keyring,
            table=self.key_table,
            agreement=self.agreement,
            settled_after=LEASE,
            clock=self.clock,
        )
        self.rewrapper = self.another_rewrapper()
        self.minter = Minter(
            gate=self.gate,
            keyring=self.keyring,
            table=self.references_table,
            observer=self.observer,
            instance=INSTANCE,
            clock=self.clock,
        )
        self.uses = Uses(
            gate=self.gate,
            keyring=self.keyring,
            table=self.references_table,
            observer=self.observer,
            tokens=TokenCache(),
            instance=INSTANCE,
            clock=self.clock,
        )
        self.references = References(
            gate=self.gate,
            keyring=self.keyring,
            table=self.references_table,
            observer=self.observer,
            instance=INSTANCE,
            clock=self.clock,
        )
        self.proxy = Proxy(self.uses, self.upstream, self.repair, self.gate, self.observer)

    def keyring(self) -> Keyring:
        """Fulfil ``KeyringSource``; locked while ``ring`` is None."""
        if self.ring is None:
            raise LockedError("locked", reason="locked")
        return self.ring

    def another_maintenance(self) -> Maintenance:
        """Return the maintenance of another replica."""
        return Maintenance(
            gate=self.gate,
            keyring=self.keyring,
            reader=self.reader,
            table=self.stores_table,
            agreed=self.agreed,
            provision=self.provision,
            cleaner=self.cleaner,
            mounted=self.mounted,
            observer=self.observer,
            instance=INSTANCE,
            clock=self.clock,
        )

    def another_agreement(self, replica: str) -> KeyAgreement:
        """Return what another replica agrees by."""
        return KeyAgreement(self.key_table, self.observer, INSTANCE, replica, self.clock)

    def another_rewrapper(self) -> Rewrapper:
        """Return the rewrapper of another replica."""
        return Rewrapper(
            gate=self.gate,
            keyring=self.keyring,
            table=self.key_table,
            agreement=self.agreement,
            agreed=self.agreed,
            observer=self.observer,
            counted=self.observer,
            instance=INSTANCE,
            clock=self.clock,
            pause=self.clock.move,
        )

    def active(self, store_hash: str = STORE) -> "World":
        """Register a store with the right password."""
        self.stores.put(call(OPERATOR), store_hash, CREDENTIAL, retain=False)
        return self
