"""What the network loses between the broker and Redis: requests, replies, time."""

import time
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest

from sandbox.demo.processes import wait_until
from service.adapters.redis_link import RedisLink
from service.adapters.redis_locks import RedisLocks
from service.adapters.redis_references import RedisReferences
from service.adapters.redis_stores import RedisStores
from service.core.errors import StorageError
from service.core.reference import Accessor
from service.core.store_ports import Lease, Start
from tests.adapters.making import ACTIVE, SPAN, begin, linked, mint, minted, store
from tests.support.clock import START
from tests.support.fault_proxy import FaultProxy, fault_proxy
from tests.support.world import STORE, WORKER

SETTLED = b"1 active 2 k1 mac settled"


@pytest.fixture
def proxy(valkey_port: int, real_link: RedisLink) -> Iterator[FaultProxy]:
    """A proxy in front of the real Valkey, which is empty."""
    real_link.ping()
    with fault_proxy(valkey_port) as proxy:
        yield proxy


@pytest.fixture
def link(proxy: FaultProxy) -> Iterator[RedisLink]:
    """A link through the proxy, with a connection at hand."""
    with linked(proxy.port) as link:
        link.ping()
        yield link


@pytest.fixture
def directly(real_link: RedisLink) -> RedisReferences:
    """The references, with nothing in between."""
    return RedisReferences(real_link)


def _use(references: RedisReferences, accessor: Accessor) -> str:
    return references.use(accessor, WORKER, "proxy", ("*",), START).verdict


Fault = Callable[[FaultProxy, int], None]
FAULTS: dict[str, Fault] = {"reply": FaultProxy.lose_replies, "request": FaultProxy.lose_requests}


@pytest.fixture(params=FAULTS)
def lose(request: pytest.FixtureRequest, proxy: FaultProxy) -> Callable[[int], None]:
    """Lose the next so many replies, or requests."""
    fault = FAULTS[request.param]
    return lambda count: fault(proxy, count)


def test_a_use_is_taken_exactly_once(
    lose: Callable[[int], None], proxy: FaultProxy, link: RedisLink, directly: RedisReferences
) -> None:
    """Whether it was the request or the reply that was lost: read back under the same nonce, one use is gone, and its user has it."""
    store(RedisStores(link))
    accessor = mint(RedisReferences(link), minted(max_uses=2))

    lose(1)
    verdict = _use(RedisReferences(link), accessor)

    assert (proxy.lost, verdict) == (1, "ok")
    assert [_use(directly, accessor) for _ in range(2)] == ["ok", "used_up"]


def test_a_begin_holds_its_lease(
    lose: Callable[[int], None], proxy: FaultProxy, link: RedisLink, real_link: RedisLink
) -> None:
    """F07: the owner reads its own lease back and goes on, instead of waiting for it to end."""
    lose(1)

    lease = begin(RedisStores(link))

    assert (proxy.lost, lease.fence) == (1, 1)
    assert len(RedisStores(real_link).read([STORE], START)[0].attempts) == 1


def test_a_settle_is_a_success(
    lose: Callable[[int], None], proxy: FaultProxy, link: RedisLink, real_link: RedisLink
) -> None:
    """F06: the token is committed, so nobody makes a second one."""
    stores = RedisStores(link)
    lease = begin(stores)

    lose(1)
    committed = stores.settle(STORE, lease, SETTLED, keep_intent=False)

    view = RedisStores(real_link).read([STORE], START)[0]
    assert (proxy.lost, committed) == (1, True)
    assert (view.line, view.lease_left, view.attempts) == (SETTLED, None, ())


@pytest.mark.parametrize(
    "revoke",
    [
        lambda references, accessor: references.revoke(accessor, STORE),
        lambda references, _: references.revoke_store(STORE),
        lambda references, _: references.revoke_caller(WORKER),
        lambda references, _: references.revoke_all(),
    ],
    ids=["one", "store", "caller", "all"],
)
def test_a_revocation_revokes(
    lose: Callable[[int], None],
    proxy: FaultProxy,
    link: RedisLink,
    directly: RedisReferences,
    revoke: Callable[[RedisReferences, Accessor], object],
) -> None:
    """Of every kind: to be told that it is done, it is done; to revoke twice is harmless."""
    store(RedisStores(link))
    accessor = mint(RedisReferences(link), minted())

    lose(1)
    revoke(RedisReferences(link), accessor)

    assert proxy.lost == 1
    assert _use(directly, accessor) == "revoked"


def test_attempts_are_forgotten(
    lose: Callable[[int], None], proxy: FaultProxy, link: RedisLink, real_link: RedisLink
) -> None:
    """To delete again what is deleted is harmless."""
    stores = RedisStores(link)
    lease = begin(stores)

    lose(1)
    stores.forget_attempts(STORE, [lease.attempt_id])

    assert proxy.lost == 1
    assert RedisStores(real_link).read([STORE], START)[0].attempts == ()


def test_what_stays_unknown_is_a_storage_error(
    lose: Callable[[int], None], proxy: FaultProxy, link: RedisLink, directly: RedisReferences
) -> None:
    """Read back once, not for ever; nothing is released, and at most one use is gone."""
    store(RedisStores(link))
    accessor = mint(RedisReferences(link), minted(max_uses=2))

    lose(2)
    with pytest.raises(StorageError) as caught:
        _use(RedisReferences(link), accessor)

    assert (proxy.lost, caught.value.reason) == (2, "redis_ConnectionError")
    assert _use(directly, accessor) == "ok"


def test_a_begin_whose_outcome_stays_unknown_leaves_nobody_waiting(
    proxy: FaultProxy, link: RedisLink, real_link: RedisLink
) -> None:
    """The lease was taken and its owner gave up; the next one does not wait for it to run out."""
    start = Start(STORE, "owner", "attempt", None, ACTIVE, b"signed intent", START)
    taken = RedisStores(real_link).begin(start, SPAN)
    proxy.lose_requests(2)
    with pytest.raises(StorageError):
        RedisStores(link).begin(start, SPAN)

    wait_until("the link works again", lambda: _answers(link), 5)
    given_back = RedisStores(link).settle(
        STORE, Lease("owner", "attempt", taken or 0, ACTIVE, START), None, keep_intent=False
    )

    assert given_back
    assert RedisStores(real_link).read([STORE], START)[0].lease_left is None


def _answers(link: RedisLink) -> bool:
    try:
        link.ping()
    except StorageError:
        return False
    return True


def test_reads_outlive_two_broken_connections(proxy: FaultProxy, link: RedisLink) -> None:
    """A read has no outcome to be unsure of, so it is tried a little longer than an effect."""
    stores = RedisStores(link)
    store(stores)

    proxy.lose_requests(2)
    view = stores.read([STORE], START)[0]

    assert (proxy.lost, view.line) == (2, ACTIVE)


def test_a_slow_redis_fails_within_a_second(proxy: FaultProxy, link: RedisLink) -> None:
    """F22: a reply that takes too long is an outage, and behind it everybody fails at once."""
    stores = RedisStores(link)
    proxy.delay(0.6)
    began = time.monotonic()
    with pytest.raises(StorageError) as caught:
        stores.read([STORE], START)
    took = time.monotonic() - began
    proxy.delay(0)

    wait_until("the link works again", lambda: _answers(link), 5)

    assert caught.value.reason == "redis_TimeoutError"
    assert timedelta(seconds=took) < timedelta(seconds=1.1)


def test_a_black_hole_ends_by_itself(proxy: FaultProxy, link: RedisLink) -> None:
    """Within two seconds of the network's return, without a restart."""
    store(RedisStores(link))
    proxy.swallow()
    with pytest.raises(StorageError):
        RedisReferences(link).look(minted().accessor)

    proxy.heal()
    wait_until("the link works again", lambda: _answers(link), 2)


def test_a_lock_is_on_and_its_own_note_is_in_force(
    lose: Callable[[int], None], proxy: FaultProxy, link: RedisLink, real_link: RedisLink
) -> None:
    """Whoever locked is not told that somebody else had."""
    store(RedisStores(link))

    lose(1)
    note = RedisLocks(link).lock(STORE, b"note")

    assert (proxy.lost, note) == (1, b"note")
    assert RedisLocks(real_link).read().stores == {STORE: b"note"}
