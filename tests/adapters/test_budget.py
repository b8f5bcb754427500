"""The store's budget of requests, on every kind of Redis: never more than the limit in a minute, and something for everybody."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import pairwise

import fakeredis
import pytest
import redis
from hypothesis import given, settings
from hypothesis import strategies as st

from service.adapters.redis_link import RedisLink, Script, home
from service.adapters.redis_references import RedisReferences
from service.adapters.redis_stores import RedisStores
from service.core.allowance import Allowance
from service.core.grant import Grant, MaxRate, signed_grant, uses_field, verified_reference
from service.core.reference import Accessor, accessor_of, new_reference
from service.core.reference_ports import Minted, Taken
from tests.adapters.making import TTL, mint, minted, store
from tests.support.clock import START
from tests.support.world import INSTANCE, MINTER, STORE, WORKER, keyring, link_to_fake

LIMIT = 20
ALONE = 18
"""What one caller can have of it: nine times what is then left."""
OTHER = "k8s:commerce/another"
ALL = ("*",)


@pytest.fixture
def table(link: RedisLink, stores: RedisStores) -> RedisReferences:
    """The references to one active store, with a small budget."""
    store(stores)
    return RedisReferences(link, LIMIT)


def ask(table: RedisReferences, accessor: Accessor, after: float = 0, endpoint: str = "") -> Taken:
    """Use a reference as its audience, some seconds after the start."""
    return table.use(accessor, WORKER, "proxy", ALL, later(after), endpoint)


def later(seconds: float) -> datetime:
    """Return a time after the start."""
    return START + timedelta(seconds=seconds)


def verdicts(table: RedisReferences, accessor: Accessor, number: int) -> list[str]:
    """Use a reference so many times at the start."""
    return [ask(table, accessor).verdict for _ in range(number)]


def limited(per_minute: int, under: str, audience: str = WORKER) -> Minted:
    """Return a reference that was minted under a grant with a ``max_rate``."""
    accessor = accessor_of(new_reference(STORE))
    rate = MaxRate(per_minute, under)
    ends = START + TTL
    grant = Grant(STORE, audience, "proxy", (), None, MINTER, START, ends, rate)
    signed = signed_grant(keyring(), INSTANCE, accessor, grant)
    return Minted(accessor, STORE, MINTER, audience, uses_field(None), signed, TTL, ends)


def test_replicas_share_one_budget(table: RedisReferences, link: RedisLink) -> None:
    """Whatever each of them let through counts for all."""
    replicas = [table, RedisReferences(link, LIMIT)]
    accessors = [mint(table, minted()) for _ in range(3)]

    told = [ask(replicas[n % 2], accessors[n % 3]).verdict for n in range(LIMIT + 5)]

    assert told == ["ok"] * ALONE + ["caller_share"] * (LIMIT + 5 - ALONE)


def test_a_greedy_caller_cannot_starve_a_modest_one(table: RedisReferences) -> None:
    """Some of the minute is left for whoever comes next, until that is spent too."""
    greedy, modest = mint(table, minted()), mint(table, minted(audience=OTHER))
    verdicts(table, greedy, 2 * LIMIT)

    told = [table.use(modest, OTHER, "proxy", ALL, START).verdict for _ in range(3)]

    assert told == ["ok", "ok", "budget"]
    assert ask(table, greedy).verdict == "budget"


def test_greedy_callers_get_equal_parts(table: RedisReferences) -> None:
    """Who asks as often gets as much."""
    had = dict.fromkeys((WORKER, OTHER, "k8s:commerce/third"), 0)
    accessors = {who: mint(table, minted(audience=who)) for who in had}
    for _ in range(LIMIT):
        for who, accessor in accessors.items():
            taken = table.use(accessor, who, "proxy", ALL, START)
            had[who] += taken.verdict == "ok"

    assert max(had.values()) - min(had.values()) <= 1
    assert sum(had.values()) >= LIMIT - 2


def test_what_ages_out_goes_to_the_modest_first(table: RedisReferences) -> None:
    """In the next minute the caller who had everything waits until there is enough for both."""
    greedy, modest = mint(table, minted()), mint(table, minted(audience=OTHER))
    for second in range(0, 54, 3):
        ask(table, greedy, second)

    freed = later(64)
    told = [table.use(modest, OTHER, "proxy", ALL, freed).verdict for _ in range(2)]
    told += [ask(table, greedy, 64).verdict]
    told += [table.use(modest, OTHER, "proxy", ALL, freed).verdict]

    assert told == ["ok", "ok", "caller_share", "ok"]


def test_a_refusal_tells_when_to_come_back_and_takes_no_use(table: RedisReferences) -> None:
    """Not a millisecond later than it makes sense, and not before."""
    spent, last = mint(table, minted()), mint(table, minted(max_uses=1))
    verdicts(table, spent, ALONE)

    refused = ask(table, last, 10)

    assert refused.verdict == "caller_share"
    assert refused.allowance == Allowance("store", LIMIT, 2, 0, timedelta(seconds=54))
    assert ask(table, last, 63.999).verdict == "caller_share"
    stored = table.look(last).reference
    assert stored is not None
    assert verified_reference(keyring(), INSTANCE, last, stored).uses_left == 1
    assert ask(table, last, 64).verdict == "ok"


def test_an_answer_says_what_is_left(table: RedisReferences) -> None:
    """Of the store, and of that to this caller."""
    accessor = mint(table, minted())

    allowances = [ask(table, accessor, 1).allowance for _ in range(2)]

    assert allowances == [
        Allowance("store", LIMIT, left, left - 2, timedelta(seconds=63)) for left in (19, 18)
    ]


def test_redeeming_and_looking_do_not_count(table: RedisReferences) -> None:
    """They send nothing upstream."""
    redeemed = mint(table, minted(access="redeem"))

    told = [table.use(redeemed, WORKER, "redeem", ALL, START) for _ in range(2 * LIMIT)]

    assert {(taken.verdict, taken.allowance) for taken in told} == {("ok", None)}
    assert verdicts(table, mint(table, minted()), ALONE) == ["ok"] * ALONE


def test_stores_do_not_share(table: RedisReferences, stores: RedisStores) -> None:
    """Each has its own minute."""
    verdicts(table, mint(table, minted()), LIMIT)
    store(stores, store_hash="def456")

    assert ask(table, mint(table, minted(store_hash="def456"))).verdict == "ok"


def test_an_endpoint_has_its_own_limit_within_the_stores(link: RedisLink) -> None:
    """Fifteen, also shared fairly, and they count for the store as well."""
    store(RedisStores(link))
    table = RedisReferences(link)
    accessor = mint(table, minted())

    told = [ask(table, accessor, endpoint="hierarchy") for _ in range(16)]
    other = table.use(mint(table, minted(audience=OTHER)), OTHER, "proxy", ALL, START, "hierarchy")
    spent = ask(table, accessor, endpoint="hierarchy")

    assert [taken.verdict for taken in told] == ["ok"] * 14 + ["caller_share"] * 2
    assert told[0].allowance == Allowance("hierarchy", 15, 14, 13, timedelta(seconds=64))
    assert other.verdict == "ok"
    assert (spent.verdict, spent.allowance) == (
        "endpoint_budget",
        Allowance("hierarchy", 15, 0, 0, timedelta(seconds=64)),
    )
    assert ask(table, accessor, endpoint="attachments").verdict == "ok"
    rest = ask(table, accessor).allowance
    assert rest is not None
    assert rest.left == 150 - 17


def test_a_grants_max_rate_binds_all_its_references_of_one_audience(
    table: RedisReferences,
) -> None:
    """Not those of another grant or audience."""
    ours = [mint(table, limited(3, "sync; nightly")) for _ in range(2)]
    told = [ask(table, ours[n % 2]) for n in range(4)]
    theirs = mint(table, limited(3, "sync; nightly", OTHER))

    assert [taken.verdict for taken in told] == ["ok"] * 3 + ["max_rate"]
    assert told[-1].allowance == Allowance("max_rate", 3, 0, 0, timedelta(seconds=64))
    assert ask(table, mint(table, limited(3, "another"))).verdict == "ok"
    assert ask(table, mint(table, minted())).verdict == "ok"
    assert table.use(theirs, OTHER, "proxy", ALL, START).verdict == "ok"


def test_what_the_upstream_says_lowers_what_is_left_until_then(table: RedisReferences) -> None:
    """Somebody calls past the broker; what we send afterwards counts against what was said."""
    accessor = mint(table, minted())

    table.lower(STORE, "store", 3, later(30), START)
    told = [ask(table, accessor, 1) for _ in range(4)]

    assert [taken.verdict for taken in told] == ["ok", "ok", "ok", "budget"]
    assert told[-1].allowance == Allowance("store", LIMIT, 0, 0, timedelta(seconds=29))
    assert ask(table, accessor, 29.999).verdict == "budget"
    assert ask(table, accessor, 30).verdict == "ok"


def test_what_the_upstream_says_never_raises_anything(table: RedisReferences) -> None:
    """Neither above the limit nor above what it said before."""
    accessor = mint(table, minted())
    table.lower(STORE, "store", 1_000, later(60), START)
    high = ask(table, accessor).allowance
    table.lower(STORE, "store", 1, later(30), START)
    table.lower(STORE, "store", 9, later(20), START)

    told = [ask(table, accessor, 25).verdict for _ in range(2)]

    assert high is not None
    assert high.left == LIMIT - 1
    assert told == ["ok", "budget"]


def test_a_request_whose_reply_was_lost_counts_once(
    table: RedisReferences, link: RedisLink
) -> None:
    """It is asked for again under the same nonce; an unlimited reference leaves no claim."""
    accessor = mint(table, minted())
    where, member = home(STORE), accessor.text[6:]
    keys = [where.key("ref", member), where.epochs]
    rest: list[str | int] = ["a-nonce-of-sixtn", 0, member, LIMIT, "", 15, "^[a-z0-9]*$"]
    answers = [
        link.run(Script("use"), keys, [where.prefix, WORKER, "proxy", *rest]) for _ in range(3)
    ]

    assert [(answer[0], answer[5]) for answer in answers] == [(b"ok", LIMIT - 1)] * 3


def test_the_count_is_gone_when_nobody_asks_any_more(
    table: RedisReferences, client: "redis.Redis"
) -> None:
    """It expires by itself, and what is old leaves it on the way."""
    accessor = mint(table, minted())
    key = home(STORE).key("budget", STORE)
    for minute in range(5):
        ask(table, accessor, 70 * minute)
    table.lower(STORE, "store", 5, later(300), later(281))

    fields = client.hkeys(key)

    assert len(fields) == 3  # one slot, what was told, the nonce
    assert 300_000 < client.pttl(key) <= 310_000


@pytest.fixture(scope="module")
def quick() -> Iterator[RedisReferences]:
    """A budget of five on fakeredis."""
    link = link_to_fake(fakeredis.FakeRedis(server=fakeredis.FakeServer()))
    store(RedisStores(link))
    yield RedisReferences(link, 5)
    link.close()


_STARTS = iter(range(0, 10**9, 10_000))


@settings(deadline=None, max_examples=40)
@given(steps=st.lists(st.tuples(st.integers(0, 25_000), st.booleans()), max_size=40))
def test_no_minute_ever_has_more_than_the_limit(
    quick: RedisReferences, steps: list[tuple[int, bool]]
) -> None:
    """Wherever it begins, and with two seconds to spare for what overtakes on the way."""
    moment = later(next(_STARTS))
    accessors = [
        mint(quick, minted(audience=who, ttl=timedelta(days=1), now=moment), moment)
        for who in (WORKER, OTHER)
    ]
    sent: list[datetime] = []
    for millis, other in steps:
        moment += timedelta(milliseconds=millis)
        who = OTHER if other else WORKER
        if quick.use(accessors[other], who, "proxy", ALL, moment).verdict == "ok":
            sent.append(moment)

    for first, sixth in zip(sent, sent[5:], strict=False):
        assert sixth - first > timedelta(seconds=62)
    assert all(before <= after for before, after in pairwise(sent))
