"""Sealing everything again: under writers, crashes, and others who do the same.

Source: security.md §3.3 F44k.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from itertools import count

import pytest

from service.adapters.redis_keys import RedisKeys
from service.adapters.redis_link import RedisLink
from service.core.credential import B2BPassword
from service.core.errors import AuditError, CredentialRefusedError, IntegrityError
from service.core.maintenance import TERM
from service.core.rewrap_state import RewrapState, decode_state
from service.core.rewrapper import Rewrapper
from service.core.rewrapping import Stored, needed_keys, rewrapped
from service.core.secret import Secret
from tests.core.altering import alter, reference_key, store_key, stored
from tests.core.replicas import HOUR, SECOND, Killed, Steps, dying, elapse, record
from tests.core.rewrapping import (
    BOTH,
    KEEPER,
    NEW,
    OLD,
    REJECTED,
    VALUES,
    WRONG,
    Full,
    everything,
)
from tests.support.upstream import EMAIL
from tests.support.world import STORE, WORKER, World, call, keyring


@pytest.fixture
def full(world: World) -> Full:
    """Everything, under the old key."""
    return Full(world)


def _state(world: World) -> RewrapState:
    return decode_state(world.key_table.rewrapping())


def _finish(world: World) -> RewrapState:
    """Run until it is done."""
    for _ in range(6):
        world.rewrapper.run()
        elapse(world, TERM + SECOND)
        if not _state(world).asked_for:
            return _state(world)
    raise AssertionError(_state(world))


def test_everything_comes_under_the_new_key_and_says_the_same(full: Full) -> None:
    """Tokens, the retained password, refused credentials, references and intents; the old key is not needed any more."""
    before = full.said(OLD)
    assert full.needed() == {"k1": VALUES}

    full.ask()
    done = _finish(full.world)

    assert full.needed() == {"k2": VALUES}
    assert full.said(NEW) == before
    assert (done.state, done.to, done.rewrapped, done.left) == ("done", "k2", VALUES, 0)
    assert done.passes == 2  # the last one finds nothing
    assert full.world.observer.records == {"k2": VALUES}


def test_the_outcome_is_recorded_before_it_is_told(full: Full) -> None:
    """Under the request that asked for it; without the entry it is not done."""
    full.ask()
    full.world.rewrapper.run()
    full.world.audit.broken = True
    with pytest.raises(AuditError):
        full.world.rewrapper.run()
    before = _state(full.world).state
    full.world.audit.broken = False

    end = _finish(full.world)

    entry = full.world.audit.entries[-1]
    assert (before, end.state) == ("running", "done")
    assert (entry.caller, entry.request_id) == ("broker:maintenance", "r-1")
    assert (entry.action, entry.reason, entry.subject) == ("store.write", "rewrapped", "k2")


def test_nothing_is_done_unless_it_was_asked_for(full: Full) -> None:
    """It is only counted, for the metric."""
    full.world.rewrapper.run()

    assert full.needed() == full.world.observer.records == {"k1": VALUES}


def test_a_refused_password_is_not_sent_again_after_a_rotation(full: Full) -> None:
    """P7 holds across keys, also when the old one is gone."""
    full.ask()
    _finish(full.world)
    full.world.ring = NEW
    logins = full.world.upstream.logins

    with pytest.raises(CredentialRefusedError):
        full.world.stores.put(KEEPER, REJECTED, WRONG, retain=False)

    assert full.world.upstream.logins == logins


def test_a_reference_works_before_and_after(full: Full) -> None:
    """It keeps its uses."""
    reference = full.reference.reference
    world = full.world

    def use() -> str:
        return world.uses.take(call(WORKER), reference, "redeem", lambda _: True).token.style

    use()
    full.ask()
    _finish(world)
    world.ring = NEW

    assert use() == "auth_token"
    left = stored(world, reference_key(full.reference.accessor)).split(b" ")[1]
    assert left == b"0000001"


def test_what_others_seal_with_is_not_undone(full: Full) -> None:
    """A replica that has another primary leaves it to those who have the right one."""
    full.ask()
    full.world.ring = keyring("k1", "k2")

    full.world.rewrapper.run()

    assert full.needed() == {"k1": VALUES}
    assert _state(full.world).state == "wanted"


def test_another_primary_meanwhile_is_followed(full: Full) -> None:
    """Whoever asked meant the primary key: it begins anew, recorded under the same request, and comes to its end."""
    full.ask()
    full.world.rewrapper.run()
    third = keyring("k1", "k2", "k3", primary="k3")
    full.world.ring = third
    full.announce(third)

    end = _finish(full.world)

    last = [(e.caller, e.request_id, e.reason, e.subject) for e in full.world.audit.entries[-2:]]
    assert (end.state, end.to, end.rewrapped) == ("done", "k3", VALUES)
    assert full.needed() == {"k3": VALUES}
    assert last == [("broker:maintenance", "r-1", r, "k3") for r in ("rewrap", "rewrapped")]


def test_another_primary_is_not_followed_before_all_replicas_seal_with_it(full: Full) -> None:
    """What one seals again another would need again."""
    full.ask()
    third = keyring("k1", "k2", "k3", primary="k3")
    full.world.ring = third
    full.announce(third)
    full.announce(third.sealing_with("k2"), "replica-b")

    full.world.rewrapper.run()

    assert full.needed() == {"k1": VALUES}
    assert (_state(full.world).state, _state(full.world).to) == ("wanted", "k2")


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_crash_at_any_step_leaves_everything_readable_and_another_goes_on(*, after: bool) -> None:
    """Every exchange with Redis is such a step; in the end nothing needs the old key."""
    for last in count(1):
        full = Full(World())
        before = full.said(OLD)
        full.ask()
        process = dying(full.world, Steps(last, after=after))
        process.ring = BOTH
        try:
            process.rewrapper.run()
        except Killed:
            pass
        else:
            break

        assert full.said(BOTH) == before
        elapse(full.world, TERM + SECOND)
        assert _finish(full.world).state == "done"
        assert full.needed() == {"k2": VALUES}
        assert full.said(NEW) == before

    assert last > VALUES + 3


class Between(RedisKeys):
    """Redis, with something that happens between the look at a page and what is done about it."""

    def __init__(self, link: RedisLink, then: Callable[[], object]) -> None:
        super().__init__(link)
        self._then = then

    def scan(self) -> Iterator[Sequence[Stored]]:
        """See ``KeyTable.scan``."""
        for page in super().scan():
            self._then()
            yield page


def _run_between(world: World, then: Callable[[], object]) -> Rewrapper:
    rewrapper = world.another_rewrapper()
    rewrapper._table = Between(world.link, then)
    rewrapper.run()
    return rewrapper


def test_of_two_rewrappers_one_works(full: Full) -> None:
    """The other is not elected."""
    full.ask()
    second = full.world.another_rewrapper()
    seen: list[RewrapState] = []

    def also() -> None:
        second.run()
        seen.append(_state(full.world))

    _run_between(full.world, also)

    assert seen[0].state == "wanted"
    assert _state(full.world).rewrapped == VALUES
    assert full.needed() == {"k2": VALUES}


def test_the_election_holds_for_as_long_as_it_works(full: Full) -> None:
    """It is renewed on the way, so that a long pass is not begun again by somebody else."""
    full.ask()

    looks = count(1)

    def take_long() -> None:
        if next(looks) == 1:
            elapse(full.world, TERM - SECOND)

    _run_between(full.world, take_long)
    elapse(full.world, TERM - SECOND)

    assert not full.world.agreed.claim("rewrapping", "somebody else", TERM)


def test_what_was_changed_half_is_met(full: Full) -> None:
    """A record that was signed under the new key since, with tokens and a refusal from before; it needs both until it is sealed again."""
    world = full.world
    world.stores.roll_back(KEEPER, STORE)
    other = B2BPassword(Secret(EMAIL), Secret("wrong too"))
    with pytest.raises(CredentialRefusedError):
        world.stores.put(KEEPER, REJECTED, other, retain=False)
    stores = {
        found.name: needed_keys(found) for found in everything(world) if found.kind == "store"
    }

    full.ask()
    _finish(world)

    assert stores == {STORE: {"k1", "k2"}, REJECTED: {"k1", "k2"}}
    assert full.needed() == {"k2": VALUES}
    logins = world.upstream.logins
    for wrong in (WRONG, other):
        with pytest.raises(CredentialRefusedError):
            world.stores.put(KEEPER, REJECTED, wrong, retain=False)
    assert world.upstream.logins == logins


def test_two_that_both_think_they_are_elected_do_no_harm(full: Full) -> None:
    """The first is paused for longer than its election holds, and goes on with what it saw then."""
    before = full.said(OLD)
    full.ask()

    def overtake() -> None:
        elapse(full.world, TERM + SECOND)
        full.world.another_rewrapper().run()

    _run_between(full.world, overtake)
    elapse(full.world, TERM + SECOND)
    _finish(full.world)

    assert full.needed() == {"k2": VALUES}
    assert full.said(NEW) == before


def test_a_writer_in_between_wins(full: Full) -> None:
    """The store gets another token after it was read: that one stays, and is met again in the next pass."""
    full.ask()
    done: list[int] = []

    def rotate() -> None:
        if not done:
            full.world.ring = OLD  # a replica that has not changed over yet
            full.world.stores.roll_back(KEEPER, STORE)
            full.world.ring = BOTH
            done.append(1)

    _run_between(full.world, rotate)
    rolled_back = record(full.world)
    elapse(full.world, TERM + SECOND)
    end = _finish(full.world)

    assert rolled_back.token is not None
    assert rolled_back.token.generation == 1
    assert (end.state, full.needed()) == ("done", {"k2": VALUES})
    assert full.said(NEW)["status"] == ("active", 2, "")


def test_a_store_that_is_being_issued_for_is_left_until_that_is_over(full: Full) -> None:
    """Its token would otherwise be thrown away and deleted upstream."""
    world = full.world
    seen: list[RewrapState] = []

    def meanwhile() -> None:
        full.ask()
        for _ in range(3):
            world.rewrapper.run()
        seen.append(_state(world))

    world.upstream.before_issue = meanwhile
    world.stores.rotate(KEEPER, STORE, None)
    world.upstream.before_issue = lambda: None
    tokens = len(world.upstream.live(STORE))

    end = _finish(world)

    assert (seen[0].state, seen[0].left) == ("running", 1)
    assert full.needed() == {"k2": full.needed()["k2"]}
    assert (end.state, end.left) == ("done", 0)
    assert len(world.upstream.live(STORE)) == tokens


def test_what_was_altered_stays_as_it_is_and_is_told(full: Full) -> None:
    """It is no reason not to come to an end with the rest; nothing that fails its check is ever signed again."""
    key = store_key(REJECTED)
    alter(full.world, key, lambda line: line.replace(b'"reason":"', b'"reason":"x'))
    altered = stored(full.world, key)
    full.ask()

    end = _finish(full.world)

    assert (end.state, end.left, end.altered) == ("done", 1, 1)
    assert stored(full.world, key) == altered
    assert full.needed() == {"k1": 1, "k2": VALUES - 1}
    assert full.world.observer.counts["security", "mac_mismatch"] >= 1


def test_a_key_that_is_needed_and_gone_is_told(full: Full) -> None:
    """Readiness shows it; nothing is changed."""
    full.world.ring = NEW
    full.ask()

    end = _finish(full.world)

    assert (end.state, end.altered) == ("done", VALUES)
    assert full.world.rewrapper.problem == "stored values need k1, which is not here"
    full.world.ring = BOTH
    elapse(full.world, HOUR)
    full.world.rewrapper.run()
    assert full.world.rewrapper.problem == ""


def test_it_keeps_a_pace(full: Full) -> None:
    """A thousand values a second at the most, so that requests have the rest of Redis."""
    full.ask()
    before = full.world.clock()

    full.world.rewrapper.run()

    assert full.world.clock() - before >= timedelta(milliseconds=VALUES)


def test_asking_again_begins_again(full: Full) -> None:
    """Also while it is running: the progress of the one before does not overwrite it."""
    full.ask()

    _run_between(full.world, full.ask)

    assert _state(full.world).state == "wanted"
    elapse(full.world, TERM + SECOND)
    assert _finish(full.world).state == "done"


@pytest.mark.parametrize(
    "note",
    [
        b"",
        b"junk",
        b"[]",
        b"\xff",
        b"[" * 100_000,
        b'{"state":"done","more":1}',
        b'{"state":"other"}',
        b'{"state":"wanted","to":1}',
        b'{"state":"wanted","left":"1"}',
        b'{"state":"wanted","left":true}',
    ],
)
def test_a_note_that_is_not_readable_says_nothing(note: bytes) -> None:
    """It is Redis's word."""
    assert decode_state(note) == RewrapState()


def test_the_others_show_what_the_elected_one_counted(full: Full) -> None:
    """One count a minute for the whole installation."""
    full.world.rewrapper.run()
    full.world.observer.records = {}

    full.world.another_rewrapper().run()

    assert full.world.observer.records == {"k1": VALUES}


def test_every_value_is_bound_to_its_place(full: Full) -> None:
    """F41k: what was moved from one store, reference or attempt to another is not sealed again for its new place."""
    for found in everything(full.world):
        elsewhere = Stored(found.kind, found.name[:-1] + "x", found.attempt_id, found.value)
        with pytest.raises(IntegrityError, match="altered"):
            rewrapped(BOTH, "test", elsewhere)
        with pytest.raises(IntegrityError):
            rewrapped(BOTH, "other installation", found)
