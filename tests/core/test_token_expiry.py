"""Tokens that end by themselves are replaced before they do, at a measured pace."""

import base64
import json
from datetime import datetime, timedelta
from typing import Any

import pytest

from service.core.clock import to_millis
from service.core.records import StoredToken
from service.core.secret import Secret
from service.core.upstream_answers import expiry_of
from tests.core.replicas import (
    HOUR,
    MINUTE,
    SECOND,
    WRONG,
    active_name,
    live_names,
    look_if_due,
    maintain_for,
    record,
    shown,
)
from tests.support.clock import START
from tests.support.world import CREDENTIAL, LEASE, OPERATOR, STORE, World, call

DAY = timedelta(days=1)


def jwt(**claims: Any) -> str:
    """Return a token that says this; nobody verifies it."""
    parts = ({"typ": "JWT", "alg": "HS256"}, claims)
    encoded = [base64.urlsafe_b64encode(json.dumps(p).encode()).decode().rstrip("=") for p in parts]
    return ".".join([*encoded, "c2lnbmF0dXJl"])


def tokens_live_for(world: World, span: timedelta) -> None:
    """Have the upstream make tokens that end by themselves."""

    def name_an_end() -> None:
        end = to_millis(world.clock() + span) // 1000
        world.upstream.ledger[-1].value = jwt(exp=end, n=world.upstream.logins)

    world.upstream.after_issue = name_an_end


def put(world: World) -> None:
    """Register a store and retain its password."""
    world.stores.put(call(OPERATOR), STORE, CREDENTIAL, retain=True)


@pytest.mark.parametrize(
    ("claims", "expected"),
    [
        ({"exp": 1795435200}, datetime.fromtimestamp(1795435200, tz=START.tzinfo)),
        ({"exp": 1795435200.9}, datetime.fromtimestamp(1795435200, tz=START.tzinfo)),
        ({}, None),
        ({"exp": None}, None),
        ({"exp": True}, None),
        ({"exp": "1795435200"}, None),
        ({"exp": 0}, None),
        ({"exp": -1}, None),
        ({"exp": 10**11}, None),
        ({"exp": 1e300}, None),
        ({"exp": [1795435200]}, None),
    ],
)
def test_a_token_says_when_it_ends_in_one_way(
    claims: dict[str, Any], expected: datetime | None
) -> None:
    """Whatever else it says is no end."""
    assert expiry_of(Secret(jwt(**claims))) == expected


@pytest.mark.parametrize(
    "token", ["a" * 31, "a.b", "a.b.c", "a.e30.c", "a.W10.c", "a.!!!.c", "..", ""]
)
def test_a_token_that_says_nothing_has_no_end(token: str) -> None:
    """An access token is opaque."""
    assert expiry_of(Secret(token)) is None


@pytest.mark.parametrize(
    ("life", "before"),
    [
        (100 * DAY, DAY),
        (5 * DAY, 12 * HOUR),
        (4 * HOUR, 24 * MINUTE),
        (40 * MINUTE, 5 * MINUTE),
    ],
)
def test_a_token_is_replaced_a_tenth_of_its_life_before_its_end(
    world: World, life: timedelta, before: timedelta
) -> None:
    """Not earlier than a day, and not later than five minutes before."""
    tokens_live_for(world, life)
    put(world)
    expires_at = shown(world).expires_at
    look_if_due(world, LEASE + SECOND)

    look_if_due(world, life - before - LEASE - 2 * SECOND)
    early = world.upstream.logins
    look_if_due(world, SECOND)

    assert expires_at == START + life
    assert early == 1
    assert (shown(world).generation, world.upstream.logins) == (2, 2)
    assert shown(world).retained
    assert shown(world).previous is not None


def test_without_a_credential_a_token_ends_and_is_looked_at_now_and_then(world: World) -> None:
    """There is nothing that could be done; the document shows the end."""
    tokens_live_for(world, HOUR)
    world.active()

    maintain_for(world, HOUR, 10 * MINUTE)

    assert (shown(world).status, shown(world).generation) == ("active", 1)
    assert shown(world).expires_at == START + HOUR
    assert world.upstream.logins == 1


@pytest.mark.parametrize("life", [MINUTE, 4 * MINUTE, -HOUR])
def test_tokens_that_end_too_soon_are_not_made_without_end(world: World, life: timedelta) -> None:
    """Three in ten minutes at the most, even when the upstream's clock is wrong."""
    tokens_live_for(world, life)
    put(world)

    maintain_for(world, 30 * MINUTE, 30 * SECOND)

    assert world.upstream.logins <= 9
    assert len(live_names(world)) <= 2
    assert active_name(world) in live_names(world)


def test_a_renewal_that_is_refused_leaves_the_token_until_its_end(world: World) -> None:
    """The password was changed meanwhile; it is sent once."""
    tokens_live_for(world, 4 * HOUR)
    world.active()
    world.mounted.credentials[STORE] = WRONG
    maintain_for(world, 5 * HOUR, 10 * MINUTE)

    assert world.upstream.logins == 2
    assert (shown(world).status, shown(world).generation) == ("active", 1)


def test_the_end_is_stored_with_the_token_and_only_where_there_is_one(world: World) -> None:
    """Records of the first release have none."""
    world.active("abc1")
    tokens_live_for(world, HOUR)
    world.active("abc2")

    ends = [record(world, name).token for name in ("abc1", "abc2")]

    assert [end.expires_at for end in ends if isinstance(end, StoredToken)] == [None, START + HOUR]
