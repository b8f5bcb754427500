"""Policy: each condition of a grant holds by itself, whatever the others say."""

import pytest

from service.core.policy import AccessGrant, Limits, MintAsk, Policy

SYNC = "k8s:commerce/order-sync"
WORKER = "k8s:commerce/order-worker"
STORE = "abc123"
MINTS = AccessGrant(
    "mints", (SYNC,), ("abc*",), ("reference.mint",), Limits(audiences=(WORKER,), max_uses=100)
)


@pytest.mark.parametrize(
    ("identity", "action", "store_hash", "failed"),
    [
        (WORKER, "reference.mint", STORE, "callers"),
        (SYNC, "reference.revoke", STORE, "actions"),
        (SYNC, "reference.mint", "zzz999", "stores"),
        (SYNC, "reference.mint", "*", "stores"),
    ],
)
def test_what_is_asked_for_within_the_limits_opens_nothing_else(
    identity: str, action: str, store_hash: str, failed: str
) -> None:
    """Terms are looked at only after caller, action and store have passed."""
    policy = Policy((MINTS,))
    ask = MintAsk(audience=WORKER)
    assert policy.decide(SYNC, "reference.mint", STORE, ask).allowed

    decision = policy.decide(identity, action, store_hash, ask)

    assert (decision.allowed, decision.failed, decision.terms) == (False, failed, None)


@pytest.mark.parametrize(
    ("actions", "stores", "store_hash", "failed"),
    [
        (("*",), ("*",), STORE, "actions"),
        (("store*",), ("*",), STORE, "actions"),
        (("*.*",), ("*",), STORE, ""),
        (("*.*",), ("**",), STORE, ""),
        (("*.*",), ("**",), "*", "stores"),
        (("*.*",), ("abc*", "*"), "*", ""),
    ],
)
def test_a_star_alone_is_no_action_and_nothing_but_one_is_all_stores(
    actions: tuple[str, ...], stores: tuple[str, ...], store_hash: str, failed: str
) -> None:
    """An action is written with its dot; two stars match each store, and still do not say all of them."""
    policy = Policy((AccessGrant("g", ("corp:x",), stores, actions),))

    assert policy.decide("corp:x", "store.read", store_hash).failed == failed
