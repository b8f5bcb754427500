"""Several requests for one store: one issues, the others wait for its outcome, and a lost commit is made good."""

from collections.abc import Callable
from datetime import timedelta
from threading import Event, Thread

import pytest

from service.adapters.redis_stores import RedisStores
from service.core.credential import B2BPassword
from service.core.errors import (
    AuditError,
    CredentialRefusedError,
    StorageError,
    StoreBusyError,
    UpstreamTimeoutError,
)
from service.core.secret import Secret
from service.core.store_ports import Lease
from service.core.stores import Stores
from tests.core.leasing import end_lease
from tests.support.upstream import EMAIL
from tests.support.world import CREDENTIAL, OPERATOR, STORE, World, call


class FailingStores(RedisStores):
    """Stores whose next commits fail as if Redis were away."""

    failures = 0

    def settle(
        self, store_hash: str, lease: Lease, line: bytes | None, *, keep_intent: bool
    ) -> bool:
        """See ``StoreTable.settle``."""
        if self.failures:
            self.failures -= 1
            raise StorageError("away", reason="redis_ConnectionError")
        return super().settle(store_hash, lease, line, keep_intent=keep_intent)


def patient(world: World, pause: Callable[[timedelta], None]) -> Stores:
    """Return the use cases of a world that wait in this way."""
    world.provision._pause = pause
    return world.stores


def test_whoever_comes_while_another_issues_waits_and_then_gives_up(world: World) -> None:
    """The wait is bounded, nothing is exchanged twice, and the store shows that it is being issued."""
    other = World(world.redis)
    seen = []

    def come_too() -> None:
        with pytest.raises(StoreBusyError) as busy:
            other.active()
        seen.append((busy.value.reason, other.stores.get(call(OPERATOR), STORE).status))

    world.upstream.before_issue = come_too
    world.active()

    assert seen == [("store_busy", "issuing")]
    assert other.clock() >= world.clock() + timedelta(seconds=5)
    assert other.upstream.logins == 0
    assert other.audit.told()[0] == ("store.write", "failed", "store_busy")


def test_whoever_waits_gets_the_outcome_of_the_one_who_issues(world: World) -> None:
    """Two requests, one exchange, one token, the same answer."""
    begun, finish = Event(), Event()
    other = World(world.redis)

    def hold() -> None:
        begun.set()
        assert finish.wait(10)

    world.upstream.before_issue = hold
    issuing = Thread(target=world.active)
    issuing.start()
    assert begun.wait(10)

    def wait_for_the_other(span: timedelta) -> None:
        finish.set()
        issuing.join(10)
        other.clock.move(span)

    document, created = patient(other, wait_for_the_other).put(
        call(OPERATOR), STORE, CREDENTIAL, retain=False
    )

    assert (document.status, document.generation, created) == ("active", 1, False)
    assert (world.upstream.logins, other.upstream.logins) == (1, 0)


def test_a_commit_is_tried_again_while_redis_is_away(world: World) -> None:
    """The process holds the only copy of the token, so it does not give it up at once."""
    table = FailingStores(world.link)
    table.failures = 24
    world.issuer._table = table

    world.active()

    assert world.stores.get(call(OPERATOR), STORE).status == "active"
    assert world.upstream.logins == 1


def test_a_token_that_could_not_be_committed_is_found_and_deleted_later(world: World) -> None:
    """The intent was written before, so nothing is lost with the process."""
    table = FailingStores(world.link)
    table.failures = 25
    world.issuer._table = table
    with pytest.raises(StorageError):
        world.active()
    end_lease(world)
    uncertain = world.stores.get(call(OPERATOR), STORE)

    world.active()

    assert uncertain.status == "uncertain"
    assert [made.deleted for made in world.upstream.ledger] == [True, False]


@pytest.mark.parametrize(("failures", "sent"), [(1, 1), (24, 1), (25, 2)])
def test_a_refusal_is_told_and_noted_though_redis_is_away(
    world: World, failures: int, sent: int
) -> None:
    """The note is tried again like a commit; without it the credential is sent once more, and no more than that is lost."""
    wrong = B2BPassword(Secret(EMAIL), Secret("wrong"))
    table = FailingStores(world.link)
    table.failures = failures
    world.issuer._table = table
    with pytest.raises(CredentialRefusedError):
        world.stores.put(call(OPERATOR), STORE, wrong, retain=False)
    end_lease(world)

    with pytest.raises(CredentialRefusedError) as again:
        world.stores.put(call(OPERATOR), STORE, wrong, retain=False)

    assert again.value.reason == "credential_incorrect"
    assert world.upstream.logins == sent


def test_what_the_upstream_did_is_told_though_redis_is_away(world: World) -> None:
    """The intent was written before, so the attempt is not forgotten."""

    def time_out() -> None:
        raise UpstreamTimeoutError("late", reason="upstream_timeout")

    world.upstream.after_issue = time_out
    table = FailingStores(world.link)
    table.failures = 25
    world.issuer._table = table

    with pytest.raises(UpstreamTimeoutError):
        world.active()

    end_lease(world)
    assert world.stores.get(call(OPERATOR), STORE).status == "uncertain"


def test_nothing_is_exchanged_when_the_audit_trail_fails_and_the_store_can_be_put_again_at_once(
    world: World,
) -> None:
    """No record, no effect: the lease and the intent are taken back."""
    world.audit.broken = True
    with pytest.raises(AuditError):
        world.active()
    view = world.stores_table.read([STORE], world.clock())[0]
    world.audit.broken = False
    world.active()

    assert (view.lease_left, view.attempts) == (None, ())
    assert world.upstream.logins == 1
    assert world.stores.get(call(OPERATOR), STORE).status == "active"
