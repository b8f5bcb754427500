"""Policy: deny by default, one grant must allow all, and a refusal names the nearest grant and what failed."""

from datetime import timedelta
from typing import Any

import pytest

from service.core.policy import (
    MAX_USES,
    AccessGrant,
    Decision,
    Limits,
    MintAsk,
    MintTerms,
    Policy,
)

SYNC = "k8s:commerce/order-sync"
WORKER = "k8s:commerce/order-worker"
STORE = "abc123"
LIMITS = Limits(
    access=("proxy",),
    audiences=(WORKER, "k8s:batch/*"),
    max_ttl=timedelta(minutes=15),
    max_uses=100,
    requests=("GET /api/v3/io/companies/**", "GET /api/v3/io/orders/**"),
)
ORDER_SYNC = AccessGrant(
    "order-sync mints", ("k8s:commerce/order-sync",), ("abc*",), ("reference.mint",), LIMITS
)
OPERATORS = AccessGrant("operators", ("corp:ops-*",), ("*",), ("store.*", "reference.read"))
ONE_STORE = AccessGrant("one store", ("corp:dev-*",), ("abc123",), ("store.read",))
POLICY = Policy((ORDER_SYNC, OPERATORS, ONE_STORE))


def decide(limits: Limits, ask: MintAsk) -> Decision:
    """Decide a mint under one grant with these limits."""
    policy = Policy((AccessGrant("g", (SYNC,), ("*",), ("reference.mint",), limits),))
    return policy.decide(SYNC, "reference.mint", STORE, ask)


@pytest.mark.parametrize(
    ("identity", "action", "store_hash", "grant"),
    [
        ("corp:ops-anna", "store.write", STORE, "operators"),
        ("corp:ops-anna", "store.read", "zzz999", "operators"),
        ("corp:ops-anna", "reference.read", STORE, "operators"),
        ("corp:ops-anna", "store.write", "*", "operators"),
        ("corp:ops-max", "store.export", STORE, "operators"),
        ("corp:dev-bo", "store.read", STORE, "one store"),
    ],
)
def test_a_grant_that_allows_all_of_a_request_allows_it(
    identity: str, action: str, store_hash: str, grant: str
) -> None:
    """The decision names the grant."""
    assert POLICY.decide(identity, action, store_hash) == Decision(allowed=True, grant=grant)


@pytest.mark.parametrize(
    ("identity", "action", "store_hash", "grant", "failed"),
    [
        ("corp:nobody", "store.read", STORE, "", "callers"),
        ("corp:ops/x", "store.read", STORE, "", "callers"),
        ("", "store.read", STORE, "", "callers"),
        ("corp:ops-anna", "reference.mint", STORE, "operators", "actions"),
        ("corp:ops-anna", "store", STORE, "operators", "actions"),
        ("corp:dev-bo", "store.read", "abc124", "one store", "stores"),
        ("corp:dev-bo", "store.read", "*", "one store", "stores"),
        ("corp:dev-bo", "store.read", "", "one store", "stores"),
        (SYNC, "reference.mint", "*", "order-sync mints", "stores"),
        (SYNC, "reference.redeem", STORE, "order-sync mints", "actions"),
    ],
)
def test_a_refusal_names_the_nearest_grant_and_its_first_failed_condition(
    identity: str, action: str, store_hash: str, grant: str, failed: str
) -> None:
    """An operator who asks why is told what to change."""
    decision = POLICY.decide(identity, action, store_hash)

    assert decision == Decision(allowed=False, grant=grant, failed=failed)


def test_no_grants_allow_nothing() -> None:
    """Deny is what is left when nothing is said."""
    assert Policy(()).decide("corp:ops-anna", "store.read", STORE) == Decision(
        allowed=False, grant="", failed="callers"
    )


def test_two_grants_that_allow_half_each_do_not_allow_the_whole() -> None:
    """A request is allowed by one grant or not at all; the one that came further is named."""
    policy = Policy(
        (
            AccessGrant("this store", ("corp:x",), (STORE,), ("store.read",)),
            AccessGrant("other store", ("corp:x",), ("zzz999",), ("store.write",)),
        )
    )

    assert policy.decide("corp:x", "store.write", STORE) == Decision(
        allowed=False, grant="other store", failed="stores"
    )


def test_the_first_of_two_equally_near_grants_is_named() -> None:
    """The answer does not jump about with what comes later in the file."""
    grants = [AccessGrant(name, ("corp:x",), ("*",), ("store.read",)) for name in ("a", "b")]

    assert Policy(tuple(grants)).decide("corp:x", "store.write", STORE).grant == "a"


@pytest.mark.parametrize(
    ("limits", "ask", "failed"),
    [
        ({}, {"access": "redeem"}, "limits.access"),
        ({"access": ("redeem",)}, {"access": "proxy"}, "limits.access"),
        ({}, {"audience": WORKER}, "limits.audiences"),
        ({"audiences": (WORKER,)}, {}, "limits.audiences"),
        ({"audiences": ("k8s:batch/*",)}, {"audience": "k8s:batch/a/b"}, "limits.audiences"),
        ({"max_ttl": timedelta(minutes=1)}, {"ttl": timedelta(seconds=61)}, "limits.max_ttl"),
        ({}, {"ttl": timedelta(0)}, "limits.max_ttl"),
        ({}, {"ttl": timedelta(seconds=-1)}, "limits.max_ttl"),
        ({"max_uses": 100}, {"max_uses": 101}, "limits.max_uses"),
        ({"max_uses": 100}, {"max_uses": 0}, "limits.max_uses"),
        ({}, {"max_uses": 0}, "limits.max_uses"),
        ({}, {"max_uses": -1}, "limits.max_uses"),
        ({}, {"max_uses": MAX_USES + 1}, "limits.max_uses"),
        ({}, {"requests": ()}, "limits.requests"),
        ({"requests": ("GET /a/**",)}, {"requests": ()}, "limits.requests"),
        ({"requests": ("GET /a/**",)}, {"requests": ("POST /a",)}, "limits.requests"),
        ({"requests": ("GET /a/**",)}, {"requests": ("GET /a/b", "GET /b")}, "limits.requests"),
    ],
)
def test_what_is_named_beyond_a_limit_is_refused(
    limits: dict[str, Any], ask: dict[str, Any], failed: str
) -> None:
    """It is never cut down silently to what the limit allows, and no ask means more than it seems to."""
    assert decide(Limits(**limits), MintAsk(**ask)) == Decision(
        allowed=False, grant="g", failed=failed
    )


@pytest.mark.parametrize(
    ("limits", "ask", "terms"),
    [
        ({}, {}, ("proxy", SYNC, 300, None, ())),
        ({"max_ttl": timedelta(minutes=1)}, {}, ("proxy", SYNC, 60, None, ())),
        ({"max_ttl": timedelta(hours=1)}, {}, ("proxy", SYNC, 300, None, ())),
        ({"max_uses": 7}, {}, ("proxy", SYNC, 300, 7, ())),
        ({"max_uses": 7}, {"max_uses": 7}, ("proxy", SYNC, 300, 7, ())),
        ({}, {"max_uses": 9}, ("proxy", SYNC, 300, 9, ())),
        ({}, {"max_uses": MAX_USES}, ("proxy", SYNC, 300, MAX_USES, ())),
        ({}, {"ttl": timedelta(seconds=1)}, ("proxy", SYNC, 1, None, ())),
        ({"requests": ("GET /a/**",)}, {}, ("proxy", SYNC, 300, None, ("GET /a/**",))),
        (
            {"requests": ("GET /a/**",)},
            {"requests": ("GET /a/b",)},
            ("proxy", SYNC, 300, None, ("GET /a/b",)),
        ),
        ({}, {"requests": ("PUT /a",)}, ("proxy", SYNC, 300, None, ("PUT /a",))),
        ({"audiences": (WORKER,)}, {"audience": WORKER}, ("proxy", WORKER, 300, None, ())),
        ({"audiences": ("k8s:*/*",)}, {}, ("proxy", SYNC, 300, None, ())),
        ({"access": ("redeem",)}, {"access": "redeem"}, ("redeem", SYNC, 300, 1, ())),
        (
            {"access": ("redeem",), "max_uses": 5},
            {"access": "redeem"},
            ("redeem", SYNC, 300, 1, ()),
        ),
        (
            {"access": ("redeem",), "requests": ("GET /a/**",)},
            {"access": "redeem", "max_uses": 3},
            ("redeem", SYNC, 300, 3, ()),
        ),
    ],
)
def test_what_is_left_open_is_narrowed_to_the_limits(
    limits: dict[str, Any],
    ask: dict[str, Any],
    terms: tuple[Any, str, int, int | None, tuple[str, ...]],
) -> None:
    """An open ask gets the default or the limit, whichever is narrower, and a redeemed token has no request scope."""
    access, audience, seconds, max_uses, requests = terms

    decision = decide(Limits(**limits), MintAsk(**ask))

    assert decision.allowed
    assert decision.terms == MintTerms(
        access, audience, timedelta(seconds=seconds), max_uses, requests
    )


def test_a_mint_that_the_limits_of_the_first_grant_refuse_may_pass_by_the_second() -> None:
    """Every grant is asked, and each with its own limits."""
    narrow = AccessGrant("narrow", (SYNC,), ("*",), ("reference.mint",))
    wide = AccessGrant("wide", (SYNC,), ("*",), ("reference.mint",), Limits(access=("redeem",)))

    decision = Policy((narrow, wide)).decide(
        SYNC, "reference.mint", STORE, MintAsk(access="redeem")
    )

    assert (decision.allowed, decision.grant) == (True, "wide")


@pytest.mark.parametrize(
    ("identity", "action", "stores"),
    [
        ("corp:ops-anna", "store.read", ("*",)),
        ("corp:dev-bo", "store.read", ("abc123",)),
        ("corp:dev-bo", "store.write", ()),
        ("corp:nobody", "store.read", ()),
        (SYNC, "reference.mint", ("abc*",)),
    ],
)
def test_stores_of_gives_the_patterns_for_an_action(
    identity: str, action: str, stores: tuple[str, ...]
) -> None:
    """Empty means none, never all."""
    assert POLICY.stores_of(identity, action) == stores


def test_stores_of_joins_grants_without_repeating_patterns() -> None:
    """In the order of the file."""
    grants = [
        AccessGrant(name, ("corp:x",), stores, ("store.read",))
        for name, stores in (("a", ("abc*", "def*")), ("b", ("def*", "ghi*")))
    ]

    assert Policy(tuple(grants)).stores_of("corp:x", "store.read") == ("abc*", "def*", "ghi*")


def test_grants_of_lists_the_grants_that_name_an_identity() -> None:
    """What ``whoami`` shows."""
    assert POLICY.grants_of("corp:ops-anna") == (OPERATORS,)
    assert POLICY.grants_of("corp:nobody") == ()
