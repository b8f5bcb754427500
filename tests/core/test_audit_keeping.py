"""What a process does for its part of the trail: begins it, tries a failed sink, signs heads, watches those of others, ends it."""

from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from service.core.audit import AuditEntry, ChainHead
from service.core.audit_heads import Head, read_head, sign_head
from service.core.audit_keeping import HEADS_KEPT, RECENT, AuditKeeper, HeadReader
from service.core.errors import AuditError, ForbiddenError
from service.core.gate import Gate
from service.core.policy import AccessGrant, Policy
from tests.support.audit import MemoryAudit
from tests.support.world import INSTANCE, OPERATOR, World, call

KEY = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
DIGEST = "d1g357"
LOST = ("audit.heads", "failed", "audit_head_lost")


class Writer:
    """One process with a chain of its own."""

    def __init__(self, world: World, writer: str, *, key: Ed25519PrivateKey | None = KEY) -> None:
        self.name = writer
        self.world = world
        self.audit = MemoryAudit(writer)
        self.gate = Gate(self.audit, world.clock)
        self.keeper = AuditKeeper(
            gate=self.gate,
            sink=self.audit,
            table=world.heads_table,
            key=key,
            observer=world.observer,
            instance=INSTANCE,
            version="1.2.3",
            policy=lambda: DIGEST,
            clock=world.clock,
        )

    def stored(self) -> Head | None:
        """Return its head in Redis, verified."""
        heads = dict(self.world.heads_table.page("", 100))
        return read_head(KEY.public_key(), heads[self.name]) if self.name in heads else None

    def write(self, number: int = 1) -> None:
        """Write some entries."""
        for _ in range(number):
            self.gate.record_own("access.load", "allowed")


@pytest.fixture
def first(world: World) -> Writer:
    """A process."""
    return Writer(world, "1" * 16)


@pytest.fixture
def second(world: World) -> Writer:
    """Another one."""
    return Writer(world, "2" * 16)


def test_a_chain_begins_with_the_version_and_the_policy_in_force(first: Writer) -> None:
    """Once."""
    first.keeper.watch()
    first.keeper.watch()

    (entry,) = first.audit.entries
    assert entry == AuditEntry(
        first.world.clock(),
        "",
        "broker:worker",
        "broker.start",
        "allowed",
        subject=f"policy:{DIGEST}",
        reason="1.2.3",
    )


def test_a_sink_that_failed_is_tried_until_it_takes_an_entry(first: Writer) -> None:
    """Recovery needs no request, and the trail says why there was nothing in it."""
    first.keeper.watch()
    first.audit.broken = True
    with pytest.raises(AuditError):
        first.write()
    with pytest.raises(AuditError):
        first.keeper.watch()
    first.audit.broken = False

    first.keeper.watch()
    first.keeper.watch()

    assert first.audit.told()[1:] == [("audit.resume", "allowed", "audit_write_failed")]
    assert first.audit.problem == ""


def test_a_head_says_how_far_the_chain_has_come(first: Writer) -> None:
    """Signed, with the time, and counted."""
    first.write(3)

    first.keeper.publish()

    assert first.stored() == Head(INSTANCE, first.audit.head(), first.world.clock(), False, {})  # noqa: FBT003 — it has not ended
    assert first.world.observer.signed_at == first.world.clock()


def test_without_a_key_nothing_is_signed(world: World) -> None:
    """The chain still begins and ends."""
    writer = Writer(world, "3" * 16, key=None)

    writer.keeper.watch()
    writer.keeper.publish()
    writer.keeper.stop()

    assert writer.stored() is None
    assert [action for action, _, _ in writer.audit.told()] == ["broker.start", "broker.stop"]


def test_the_end_is_recorded_and_signed(first: Writer) -> None:
    """So that a tail that is cut off is missed."""
    first.keeper.publish()

    first.keeper.stop()

    stored = first.stored()
    assert stored is not None
    assert (stored.ended, stored.chain) == (True, first.audit.head())
    assert first.audit.told()[-1] == ("broker.stop", "allowed", "")


def test_a_head_names_what_was_seen_of_others(first: Writer, second: Writer) -> None:
    """Whoever puts an older head of one back has to do so with those of all that saw it."""
    first.write(5)
    first.keeper.publish()
    second.keeper.publish()
    second.keeper.publish()

    stored = second.stored()

    assert stored is not None
    assert stored.seen == {first.name: 5}


def test_a_head_of_long_ago_is_seen_no_more(first: Writer, second: Writer) -> None:
    """What is named stays small, and a process that has gone is not missed."""
    first.keeper.publish()
    second.keeper.publish()
    first.world.clock.move(RECENT)
    second.keeper.publish()
    second.keeper.publish()

    stored = second.stored()

    assert stored is not None
    assert stored.seen == {}
    assert LOST not in second.audit.told()


def test_a_head_that_went_back_is_told_once_and_not_forgotten(
    first: Writer, second: Writer
) -> None:
    """Somebody who writes Redis, but has no key, put an older one back."""
    first.write(2)
    first.keeper.publish()
    older = dict(first.world.heads_table.page("", 9))[first.name]
    first.write(2)
    first.keeper.publish()
    second.keeper.publish()
    first.world.redis.hset("b2b-broker:{p00}:audit:heads", first.name, older)

    for _ in range(3):
        second.keeper.publish()

    stored = second.stored()
    assert stored is not None
    assert stored.seen == {first.name: 4}
    assert second.audit.told() == [LOST]
    assert second.audit.entries[-1].subject == first.name
    assert first.world.observer.counts["security", "audit_head_lost"] == 1


@pytest.mark.parametrize("instead", [None, "garbage", "another key", "another installation"])
def test_a_head_that_is_gone_is_told(first: Writer, second: Writer, instead: str | None) -> None:
    """Deleted, overwritten, or signed by nobody that counts."""
    first.write()
    first.keeper.publish()
    second.keeper.publish()
    key = "b2b-broker:{p00}:audit:heads"
    head = Head(INSTANCE, ChainHead(first.name, 9, "a" * 64), first.world.clock(), False, {})  # noqa: FBT003 — it has not ended
    other = Head("other", head.chain, head.time, False, {})  # noqa: FBT003 — see above
    put = {
        "garbage": "garbage",
        "another key": sign_head(Ed25519PrivateKey.from_private_bytes(b"o" * 32), head),
        "another installation": sign_head(KEY, other),
    }
    if instead is None:
        first.world.redis.hdel(key, first.name)
    else:
        first.world.redis.hset(key, first.name, put[instead])

    second.keeper.publish()

    assert second.audit.told() == [LOST]


def test_a_process_misses_its_own_head(first: Writer) -> None:
    """When Redis was emptied, for instance."""
    first.keeper.publish()
    first.keeper.publish()
    first.world.redis.flushall()

    first.keeper.publish()

    assert first.audit.told() == [LOST]
    assert first.audit.entries[-1].subject == first.name


def test_writers_of_long_ago_are_forgotten(first: Writer, second: Writer) -> None:
    """Redis keeps no more than somebody verifies."""
    first.keeper.publish()
    first.world.clock.move(HEADS_KEPT + timedelta(seconds=1))

    second.keeper.publish()

    assert [writer for writer, _ in second.world.heads_table.page("", 9)] == [second.name]


def test_heads_are_shown_in_pages_to_whoever_may_read_them(world: World) -> None:
    """Sorted by writer, each page from where the last ended."""
    writers = [Writer(world, f"{number:016x}") for number in (3, 1, 2)]
    for writer in writers:
        writer.keeper.publish()
    auditor = Policy((AccessGrant("auditor", (OPERATOR,), ("*",), ("audit.read",)),))
    reader = HeadReader(world.gate, world.heads_table)

    first, following = reader.page(call(OPERATOR, auditor), "", 2)
    assert following is not None
    second, last = reader.page(call(OPERATOR, auditor), following, 2)

    assert [int(writer, 16) for writer, _ in first + second] == [1, 2, 3]
    assert last is None
    assert world.audit.told() == [("audit.read", "allowed", "")] * 2
    with pytest.raises(ForbiddenError):
        reader.page(call(OPERATOR), "", 2)
