"""A primary with replicas under sentinels: who is talked to, and what a failover may cost."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from sandbox.demo.processes import wait_until
from service.adapters.redis_link import RedisLink
from service.adapters.redis_references import RedisReferences
from service.adapters.redis_stores import RedisStores
from service.core.errors import StorageError
from service.core.reference import Accessor
from tests.adapters.making import linked_to, mint, minted, store
from tests.support.clock import START
from tests.support.redis_group import Group, Member
from tests.support.world import STORE, WORKER


def _reason(ask: Callable[[], object]) -> str:
    """Return why Redis did not do something; empty if it did."""
    try:
        ask()
    except StorageError as error:
        return error.reason
    return ""


def _use(link: RedisLink, accessor: Accessor) -> str:
    return RedisReferences(link).use(accessor, WORKER, "proxy", ("*",), START).verdict


def _cut_off(member: Member) -> None:
    """Cut a member off from everybody but the broker."""
    member.proxy.swallow(b"REPLCONF", b"sentinel-")


def test_a_failover_ends_by_itself(group: Group) -> None:
    """The primary is killed; within five seconds the same link works on another one, and knows what it knew."""
    with linked_to(group.url, replicas=1) as link:
        store(RedisStores(link))
        accessor = mint(RedisReferences(link), minted(max_uses=1))
        group.primary().program.kill()
        began = time.monotonic()
        wait_until("it works again", lambda: not _reason(lambda: mint_one(link)), 10)
        took = time.monotonic() - began

        assert _use(link, accessor) == "ok"

    assert took < 5


def mint_one(link: RedisLink) -> Accessor:
    """Store a reference."""
    return mint(RedisReferences(link), minted())


def test_a_demoted_primary_is_left_at_once(group: Group) -> None:
    """F23: it answers READONLY, did nothing, and the link goes to the new primary with the same call."""
    with linked_to(group.url) as link:
        store(RedisStores(link))
        old = group.primary()
        with old.client() as client:
            others = [member for member in group.members if member is not old]
            with others[0].client() as chosen:
                wait_until("the replica has it", lambda: bool(chosen.keys("*:store:*")))
            client.execute_command("REPLICAOF", "127.0.0.1", others[0].proxy.port)
            reason = _reason(lambda: mint_one(link))
            client.execute_command("REPLICAOF", "NO", "ONE")

    # The sentinels still name the demoted one, which is not taken for a primary.
    assert reason == "redis_ConnectionError"


def test_too_few_replicas_are_refused_and_asking_again_waits_again(group: Group) -> None:
    """What was done stays, and does not count: neither at once, nor for whoever finds it done already."""
    with linked_to(group.url, replicas=2) as link, linked_to(group.url, replicas=2) as other:
        stores = RedisStores(link)
        line = store(stores)
        new = line + b" changed"
        RedisStores(other).read([STORE], START)
        group.primary().proxy.swallow(b"REPLCONF")
        first = _reason(lambda: stores.replace(STORE, line, new))
        again = _reason(lambda: stores.replace(STORE, line, new))
        elsewhere = _reason(lambda: RedisStores(other).replace(STORE, line, new))
        written = stores.read([STORE], START)[0].line
        group.make_whole_again()
        durable = stores.replace(STORE, line, new)

    assert (first, again, elsewhere) == ("not_durable",) * 3
    assert written == new
    assert durable


def test_what_replicas_acknowledged_before_does_not_confirm_what_is_found_done(
    group: Group,
) -> None:
    """A script that writes nothing is confirmed by a write of our own: an isolated primary has nothing to say."""
    with linked_to(group.url, replicas=2) as link:
        stores = RedisStores(link)
        line = store(stores)
        assert stores.replace(STORE, line, line + b" changed")
        group.primary().proxy.swallow(b"REPLCONF")

        assert _reason(lambda: stores.replace(STORE, line, line + b" changed")) == "not_durable"


def test_one_replica_of_two_is_enough_for_one(group: Group) -> None:
    """As many as were asked for, not more."""
    with linked_to(group.url, replicas=1) as link:
        store(RedisStores(link))
        replica = next(member for member in group.members if member is not group.primary())
        replica.program.kill()

        assert not _reason(lambda: mint_one(link))


class Acknowledged:
    """Uses and mints that were answered, and not refused."""

    def __init__(self, link: RedisLink) -> None:
        self._references = RedisReferences(link)
        self.used: list[Accessor] = []
        self.minted: list[Accessor] = []
        self.refused = 0

    def use(self, accessor: Accessor) -> None:
        """Take the one use of a reference."""
        try:
            taken = self._references.use(accessor, WORKER, "proxy", ("*",), START)
        except StorageError:
            self.refused += 1
        else:
            assert taken.verdict == "ok"
            self.used.append(accessor)

    def mint(self) -> None:
        """Store a reference with one use."""
        fresh = minted(max_uses=1)
        try:
            self._references.mint(fresh, START)
        except StorageError:
            self.refused += 1
        else:
            self.minted.append(fresh.accessor)


@pytest.mark.parametrize("replicas", [2, 0], ids=["waiting", "not waiting"])
def test_a_failover_behind_a_partition(group: Group, replicas: int) -> None:
    """The broker is left alone with the old primary, while the others choose a new one.

    With WAIT, nothing that was acknowledged is lost and no single-use reference works twice. Without it, both happen: that is what this
    test is able to see.
    """
    with linked_to(group.url, replicas=replicas) as link:
        store(RedisStores(link))
        singles = [mint(RedisReferences(link), minted(max_uses=1)) for _ in range(26)]
        old = group.primary()
        acknowledged = Acknowledged(link)
        before, during, after = singles[:10], singles[10:16], singles[16:]
        _do(acknowledged, before)
        _wait_until_replicated(group, old)
        _cut_off(old)
        _do(acknowledged, during)
        wait_until("there is a new primary", lambda: group.primary() is not old, 15)
        old.program.kill()
        old.proxy.close_all()
        group.make_whole_again()
        wait_until("it works again", lambda: not _reason(lambda: mint_one(link)), 10)
        _do(acknowledged, after)

        verdicts = [_use(link, single) for single in acknowledged.used]
        found = [RedisReferences(link).look(single).verdict for single in acknowledged.minted]

    assert len(acknowledged.used) >= 20
    if replicas:
        assert acknowledged.refused == 12
        assert set(verdicts) == {"used_up"}
        assert set(found) == {"ok"}
    else:
        assert acknowledged.refused == 0
        assert verdicts[10:16] == ["ok"] * 6
        assert found[10:16] == ["unknown"] * 6


def _do(acknowledged: Acknowledged, singles: list[Accessor]) -> None:
    for single in singles:
        acknowledged.use(single)
        acknowledged.mint()


def _wait_until_replicated(group: Group, primary: Member) -> None:
    def same() -> bool:
        offsets = {
            member.info().get("master_repl_offset" if member is primary else "slave_repl_offset")
            for member in group.members
        }
        return len(offsets) == 1

    wait_until("the replicas have everything", same)


def test_sentinels_that_are_away_are_an_outage_and_one_is_enough(group: Group) -> None:
    """Any of those that are named can be asked; if none answers, that is told as what it is."""
    known = f"127.0.0.1:{group.sentinel_ports[2]}"
    with linked_to(f"redis+sentinel://127.0.0.1:1,{known}/b2b") as link:
        link.ping()
    with linked_to("redis+sentinel://127.0.0.1:1,127.0.0.1:2/b2b/0") as link:
        assert _reason(link.ping) == "redis_MasterNotFoundError"
        assert _reason(link.ping) == "redis_away"
    with linked_to(f"redis+sentinel://{known}/another/0") as link:
        assert _reason(link.ping) == "redis_MasterNotFoundError"


def test_the_sentinels_own_password(group: Group, tmp_path: Path) -> None:
    """It comes from a file of its own."""
    secret = tmp_path / "password"
    secret.write_text("sentinels' canary", "utf-8")
    port = group.sentinel_ports[0]
    url = f"redis+sentinel://127.0.0.1:{port}/b2b/0"
    with group.sentinel(port) as sentinel:
        sentinel.acl_setuser("default", enabled=True, passwords=["+sentinels' canary"])
        try:
            with linked_to(url) as link:
                without = _reason(link.ping)
            with linked_to(url, sentinel_password_file=str(secret)) as link:
                given = _reason(link.ping)
        finally:
            sentinel.acl_setuser("default", enabled=True, nopass=True)

    assert (without, given) == ("redis_MasterNotFoundError", "")
