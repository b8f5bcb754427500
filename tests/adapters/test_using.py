"""``ReferenceTable.use``: who may, for what, how often, and exactly once where it says so."""

import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import redis

from service.adapters.redis_link import RedisLink, Script, home
from service.adapters.redis_references import RedisReferences
from service.adapters.redis_stores import RedisStores
from service.core.grant import verified_reference
from service.core.policy import Access
from service.core.reference import Accessor
from service.core.reference_ports import Taken
from tests.adapters.making import ACTIVE, mint, minted, store
from tests.support.clock import START
from tests.support.world import INSTANCE, STORE, WORKER, keyring

ALL = ("*",)


def _use(
    references: RedisReferences,
    accessor: Accessor,
    identity: str = WORKER,
    access: Access = "proxy",
    patterns: tuple[str, ...] = ALL,
) -> Taken:
    return references.use(accessor, identity, access, patterns, START)


def _uses_left(references: RedisReferences, accessor: Accessor) -> int | None:
    stored = references.look(accessor).reference
    assert stored is not None
    return verified_reference(keyring(), INSTANCE, accessor, stored).uses_left


def test_a_use_gives_reference_and_store(stores: RedisStores, references: RedisReferences) -> None:
    """One round trip brings all that is needed to verify, open and release."""
    store(stores)
    accessor = mint(references, minted())

    taken = _use(references, accessor)

    assert (taken.verdict, taken.store) == ("ok", ACTIVE)
    assert taken.reference is not None
    assert verified_reference(keyring(), INSTANCE, accessor, taken.reference).uses_left is None


def test_a_limited_reference_is_good_for_exactly_its_uses(
    stores: RedisStores, references: RedisReferences
) -> None:
    """Counted down, then used up, and no longer live."""
    store(stores)
    accessor = mint(references, minted(max_uses=2))

    verdicts = [_use(references, accessor).verdict for _ in range(4)]

    assert verdicts == ["ok", "ok", "used_up", "used_up"]
    assert references.look(accessor).verdict == "used_up"
    assert stores.read([STORE], START)[0].live_references == 0


def test_an_unlimited_reference_stays_good(
    stores: RedisStores, references: RedisReferences
) -> None:
    """Without a limit nothing is counted."""
    store(stores)
    accessor = mint(references, minted())

    assert {_use(references, accessor).verdict for _ in range(20)} == {"ok"}


def test_an_unknown_reference_has_its_own_verdict(references: RedisReferences) -> None:
    """Expired and never minted look alike: the record is not there."""
    assert _use(references, minted().accessor) == Taken("unknown")


REFUSALS: dict[str, Callable[[RedisReferences, Accessor], Taken]] = {
    "wrong_caller": lambda table, ref: _use(table, ref, identity="k8s:commerce/other"),
    "wrong_access": lambda table, ref: _use(table, ref, access="redeem"),
    "store_forbidden": lambda table, ref: _use(table, ref, patterns=("abd*", "*x", "bc123")),
}


@pytest.mark.parametrize("verdict", REFUSALS)
def test_a_refused_use_takes_none_and_gives_nothing(
    stores: RedisStores, references: RedisReferences, verdict: str
) -> None:
    """Whoever may not use it can neither use it up nor see what is stored."""
    store(stores)
    accessor = mint(references, minted(max_uses=1))

    refused = REFUSALS[verdict](references, accessor)

    assert refused == Taken(verdict)  # type: ignore[arg-type]  # the keys of the table are verdicts
    assert _uses_left(references, accessor) == 1
    assert stores.read([STORE], START)[0].last_used_at is None


@pytest.mark.parametrize(
    "patterns", [("*",), ("abc*",), ("nothing", "*123"), ("abc123",), ("a*3",)]
)
def test_any_matching_store_pattern_allows_a_use(
    stores: RedisStores, references: RedisReferences, patterns: tuple[str, ...]
) -> None:
    """The patterns of policy mean the same in Redis."""
    store(stores)
    accessor = mint(references, minted())

    assert _use(references, accessor, patterns=patterns).verdict == "ok"


def test_no_store_pattern_allows_nothing(stores: RedisStores, references: RedisReferences) -> None:
    """Deny by default."""
    store(stores)
    accessor = mint(references, minted())

    assert _use(references, accessor, patterns=()).verdict == "store_forbidden"


def test_a_removed_store_takes_its_references_with_it(
    stores: RedisStores, references: RedisReferences
) -> None:
    """Also those that were minted while it was removed; a new store of this hash does not revive them."""
    store(stores)
    accessor = mint(references, minted(max_uses=1))
    stores.remove(STORE, ACTIVE)
    removed = _use(references, accessor)
    store(stores)

    assert removed.store is None
    assert removed.verdict == _use(references, accessor).verdict == "revoked"


def test_a_use_for_a_store_whose_record_is_gone_takes_none(
    stores: RedisStores, references: RedisReferences, client: "redis.Redis"
) -> None:
    """There is nothing to release."""
    store(stores)
    accessor = mint(references, minted(max_uses=1))
    client.delete(home(STORE).key("store", STORE))

    assert _use(references, accessor) == Taken("store_unknown")
    assert _uses_left(references, accessor) == 1


def test_a_use_for_a_store_that_is_not_active_takes_none(
    stores: RedisStores, references: RedisReferences
) -> None:
    """The reference survives until the store is well again."""
    store(stores)
    accessor = mint(references, minted(max_uses=1))
    stores.replace(STORE, ACTIVE, b"1 needs_credential 1 k1 mac body")

    assert _use(references, accessor) == Taken("store_not_active")
    assert _uses_left(references, accessor) == 1


def test_the_same_nonce_takes_one_use_and_gives_the_same_answer(
    stores: RedisStores, references: RedisReferences, link: RedisLink
) -> None:
    """A use whose reply was lost is recognised, also when it was the last one."""
    store(stores)
    accessor = mint(references, minted(max_uses=2))
    _use(references, accessor)
    where, member = home(STORE), accessor.text[6:]
    keys = [where.key("ref", member), where.epochs]
    arguments: list[str | int] = [
        where.prefix,
        WORKER,
        "proxy",
        "the-same-nonce-1",
        1,
        member,
        150,
        "",
        15,
        "^[a-z0-9]*$",
    ]

    answers: list[Any] = [link.run(Script("use"), keys, arguments) for _ in range(3)]

    assert [answer[0] for answer in answers] == [b"ok", b"ok", b"ok"]
    assert _uses_left(references, accessor) == 0
    assert _use(references, accessor).verdict == "used_up"


def test_another_callers_nonce_does_not_revive_a_used_up_reference(
    stores: RedisStores, references: RedisReferences, link: RedisLink
) -> None:
    """The nonce belongs to the latest use; the caller is checked before it."""
    store(stores)
    accessor = mint(references, minted(max_uses=1))
    where, member = home(STORE), accessor.text[6:]
    keys = [where.key("ref", member), where.epochs]
    rest: list[str | int] = ["the-same-nonce-1", 1, member, 150, "", 15, "^[a-z0-9]*$"]
    link.run(Script("use"), keys, [where.prefix, WORKER, "proxy", *rest])

    answer = link.run(Script("use"), keys, [where.prefix, "k8s:other/one", "proxy", *rest])

    assert answer == [b"wrong_caller"]


GRANT = b'{"store_hash":"abc123","audience":"a","minted_by":"m","max_uses":null}'
UNREADABLE = {
    "another format": b"2 something newer",
    "cut": b"1 0000001 - 0.0.0.0 k1",
    "empty": b"",
    "no JSON": b"1 - - 0.0.0.0 k1 mac {",
    "no object": b"1 - - 0.0.0.0 k1 mac 1",
    "null": b"1 - - 0.0.0.0 k1 mac null",
    "no audience": b"1 - - 0.0.0.0 k1 mac " + GRANT.replace(b'"audience":"a",', b""),
    "a store that is none": b"1 - - 0.0.0.0 k1 mac " + GRANT.replace(b'"abc123"', b"{}"),
    "a minter that is none": b"1 - - 0.0.0.0 k1 mac " + GRANT.replace(b'"m"', b"1"),
    "uses that are none": b"1 many - 0.0.0.0 k1 mac " + GRANT.replace(b"null", b"5"),
    "negative uses": b"1 -000001 - 0.0.0.0 k1 mac " + GRANT.replace(b"null", b"5"),
}


@pytest.mark.parametrize("value", UNREADABLE.values(), ids=UNREADABLE.keys())
def test_a_value_that_cannot_be_read_is_altered(
    stores: RedisStores, references: RedisReferences, client: "redis.Redis", value: bytes
) -> None:
    """Somebody wrote into it: it cannot be used, is told from one that is gone, and stays as it is."""
    store(stores)
    accessor = mint(references, minted())
    key = home(STORE).key("ref", accessor.text[6:])
    client.set(key, value)

    assert _use(references, accessor) == Taken("altered")
    assert references.look(accessor).verdict == "altered"
    assert client.get(key) == value
    assert stores.read([STORE], START)[0].last_used_at is None


def test_single_use_is_exact_under_many_threads(real_link: RedisLink) -> None:
    """Eight threads race for each of 200 references on a real Valkey: each is used exactly once."""
    store(RedisStores(real_link))
    references = RedisReferences(real_link)
    accessors = [mint(references, minted(max_uses=1, access="redeem")) for _ in range(200)]
    together = threading.Barrier(8)

    def race(_number: int) -> list[str]:
        together.wait()
        return [
            references.use(accessor, WORKER, "redeem", ALL, START).verdict for accessor in accessors
        ]

    with ThreadPoolExecutor(8) as pool:
        by_thread = list(pool.map(race, range(8)))

    for verdicts in zip(*by_thread, strict=True):
        assert Counter(verdicts) == {"ok": 1, "used_up": 7}
