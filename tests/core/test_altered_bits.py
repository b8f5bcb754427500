"""Every bit of every stored value, one after the other: what it says is never believed, and no token is made because of it.

The four fields in front of a stored reference are Redis's own word (``core/grant.py``): what a flip there may do is refuse, or give
back uses up to what the grant itself allows. Everything else is under a MAC or sealed.

Source: security.md §3.3 F40k, F41k, F42k; SECURITY.md.
"""

from collections.abc import Callable, Iterator

import pytest

from service.core.errors import (
    AccessorUnknownError,
    BrokerError,
    CredentialRefusedError,
    ForbiddenError,
    IntegrityError,
    ReferenceInvalidError,
    StoreNotActiveError,
    StoreUnknownError,
)
from service.core.policy import MintAsk
from service.core.rewrapping import rewrapped
from tests.core.altering import reference_key, store_key, stored
from tests.core.replicas import MINUTE, maintain_after
from tests.core.rewrapping import BOTH, GONE, KEEPER, OLD, REJECTED, WRONG, Full, everything
from tests.support.world import CREDENTIAL, MINTER, OPERATOR, STORE, WORKER, World, call

NOBODY_MADE = (AccessorUnknownError, StoreUnknownError)
JUNK = {
    "empty": b"",
    "another version": b"2 active 1 k1 mac {}",
    "an unknown key": b"1 active 1 k9 mac {}",
    "no key id": b"1 active 1 ../k mac {}",
    "a MiB of junk": b"\xff" * 1_048_576,
    "a MiB of brackets": b"1 active 1 k1 mac " + b"[" * 1_048_576,
    "a list": b"1 active 1 k1 mac []",
}


@pytest.fixture
def full(world: World) -> Full:
    """Everything, under one key."""
    full = Full(world)
    world.ring = OLD
    return full


def _flips(value: bytes, start: int = 0) -> Iterator[bytes]:
    """Yield a value with each of its bits flipped, from a place on."""
    for place in range(start, len(value)):
        for bit in range(8):
            altered = bytearray(value)
            altered[place] ^= 1 << bit
            yield bytes(altered)


def _security(world: World) -> int:
    return sum(n for (kind, *_), n in world.observer.counts.items() if kind == "security")


def _refused(ask: Callable[[], object]) -> BrokerError:
    with pytest.raises(BrokerError) as caught:
        ask()
    assert not isinstance(caught.value, NOBODY_MADE)
    return caught.value


def test_no_bit_of_a_stores_record_can_be_flipped(full: Full) -> None:
    """The store is quarantined: shown as such, not unknown; nothing is released, and nothing is issued in its place."""
    world, key = full.world, store_key(STORE)
    logins = world.upstream.logins
    ask = MintAsk(access="redeem", audience=WORKER, max_uses=1_000_000)
    reference = world.minter.mint(call(MINTER), STORE, ask).reference
    value = stored(world, key)
    for altered in _flips(value):
        world.redis.set(key, altered)
        before = _security(world)

        shown = world.stores.get(call(OPERATOR), STORE)

        assert shown.status == "quarantined"
        assert _security(world) > before
    for place in range(len(value)):
        world.redis.set(key, value[:place] + bytes((value[place] ^ 1,)) + value[place + 1 :])
        refused = _refused(
            lambda: world.uses.take(call(WORKER), reference, "redeem", lambda _: True)
        )
        assert isinstance(refused, StoreNotActiveError)

    refused_put = _refused(lambda: world.stores.put(KEEPER, STORE, CREDENTIAL, retain=False))
    refused_rotation = _refused(lambda: world.stores.rotate(KEEPER, STORE, CREDENTIAL))
    maintain_after(world, 10 * MINUTE)
    assert (refused_put.reason, refused_rotation.reason) == ("quarantined", "quarantined")
    assert world.upstream.logins == logins


def test_no_bit_of_a_grant_can_be_flipped(full: Full) -> None:
    """Whoever holds the reference is refused; whoever looks for it is told that it was altered."""
    world, key = full.world, reference_key(full.reference.accessor)
    value = stored(world, key)
    start = len(value) - len(value.split(b" ", 4)[4])
    reference, accessor = full.reference.reference, full.reference.accessor.text
    for altered in _flips(value, start):
        world.redis.set(key, altered)

        refused = _refused(
            lambda: world.uses.take(call(WORKER), reference, "redeem", lambda _: True)
        )
        looked = _refused(lambda: world.references.get(call(OPERATOR), accessor))

        assert isinstance(refused, ReferenceInvalidError | ForbiddenError)
        assert isinstance(looked, IntegrityError)


def test_a_flip_in_what_is_redis_own_word_widens_nothing(full: Full) -> None:
    """Refused, or used as the grant says: by the same caller, for the same store, never more often than it allows."""
    world, key = full.world, reference_key(full.reference.accessor)
    value = stored(world, key)
    end = len(value) - len(value.split(b" ", 4)[4])
    for altered in list(_flips(value[:end])):
        world.redis.set(key, altered + value[end:])
        try:
            use = world.uses.take(call(WORKER), full.reference.reference, "redeem", lambda _: True)
        except BrokerError as error:
            assert not isinstance(error, NOBODY_MADE)  # noqa: PT017 — one of two outcomes
        else:
            assert use.grant == full.reference.grant
            left = int(stored(world, key).split(b" ")[1])
            assert left < 3


def test_no_bit_of_an_intent_can_be_flipped(full: Full) -> None:
    """It proves nothing any more, so no token is deleted for it; and it is kept, because it may be one of ours."""
    world = full.world
    intents = [found for found in everything(world) if found.kind == "intent"]
    assert {found.name for found in intents} == {STORE, GONE}
    for found in intents:
        for altered in _flips(found.value):
            moved = type(found)(found.kind, found.name, found.attempt_id, altered)
            with pytest.raises(IntegrityError):
                rewrapped(BOTH, "test", moved)


@pytest.mark.parametrize("junk", JUNK)
def test_junk_is_counted_as_what_it_says(full: Full, junk: str) -> None:
    """It keeps nobody from counting, or from sealing the rest again."""
    for found in everything(full.world):
        if found.kind == "store":
            full.world.redis.set(store_key(found.name), JUNK[junk])
    full.world.ring = BOTH

    known = full.world.keys.list(KEEPER)
    full.ask()
    full.world.rewrapper.run()

    said = sum(sum(key.records.values()) for key in known.keys)
    assert (known.malformed, said) == (2, 3)
    assert [found.value for found in everything(full.world) if found.kind == "store"] == [
        JUNK[junk]
    ] * 2
    assert full.needed()["k2"] == 3


@pytest.mark.parametrize("junk", JUNK)
def test_junk_in_place_of_a_store_is_told_as_altered(full: Full, junk: str) -> None:
    """F42k: never as unknown, and never with a text of what it was; nothing is issued in its place."""
    world, logins = full.world, full.world.upstream.logins
    world.redis.set(store_key(STORE), JUNK[junk])

    shown = world.stores.get(call(OPERATOR), STORE)
    refused = _refused(lambda: world.stores.put(KEEPER, STORE, CREDENTIAL, retain=False))

    assert (shown.status, refused.reason) == ("quarantined", "quarantined")
    assert shown.reason in ("malformed", "key_unavailable", "mac_mismatch")
    assert world.upstream.logins == logins


def test_an_older_version_of_a_store_gives_nothing_that_works(full: Full) -> None:
    """F41k: it verifies, since it was ours; the token in it is dead or is the one that is kept, and a password is not sent again."""
    world, key = full.world, store_key(REJECTED)
    refused_line = stored(world, key)
    world.stores.put(KEEPER, REJECTED, CREDENTIAL, retain=False)
    world.redis.set(key, refused_line)
    logins = world.upstream.logins

    with pytest.raises(CredentialRefusedError):
        world.stores.put(KEEPER, REJECTED, WRONG, retain=False)
    with pytest.raises(StoreNotActiveError):
        world.minter.mint(call(MINTER), REJECTED, MintAsk(audience=WORKER))

    assert world.upstream.logins == logins
