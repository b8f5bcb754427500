"""What policy is made of: defaults that are the narrowest of use, words that others rely upon, and nothing that changes in force."""

from dataclasses import FrozenInstanceError
from datetime import timedelta

import pytest

from service.core.policy import (
    ACTIONS,
    AccessGrant,
    Decision,
    Limits,
    MintAsk,
    MintTerms,
    Policy,
    store_matches,
)

GRANT = AccessGrant("g", ("corp:x",), ("*",), ("reference.mint",))
TERMS = MintTerms("proxy", "corp:x", timedelta(minutes=5), None, ())


def test_the_actions_are_those_of_the_access_file() -> None:
    """Files that are in use name them, so none is renamed or dropped."""
    assert ACTIONS == (
        "store.write",
        "store.read",
        "store.lock",
        "reference.mint",
        "reference.redeem",
        "reference.read",
        "reference.revoke",
        "policy.read",
        "audit.read",
    )


def test_a_grant_that_says_nothing_of_limits_gives_little() -> None:
    """Use through the proxy, by the caller itself, for five minutes."""
    assert GRANT.limits == Limits(
        access=("proxy",),
        audiences=(),
        max_ttl=timedelta(minutes=5),
        max_uses=None,
        requests=(),
        max_rate=None,
    )


def test_an_ask_that_says_nothing_leaves_all_open_but_the_way_of_access() -> None:
    """Releasing the token itself is never what somebody gets by leaving something out."""
    assert MintAsk() == MintAsk(
        access="proxy", audience=None, ttl=None, max_uses=None, requests=None
    )


def test_a_decision_and_a_policy_say_no_more_than_they_were_given() -> None:
    """No failure, no terms, and no digest of a file that there is not."""
    assert Decision(allowed=True, grant="g") == Decision(
        allowed=True, grant="g", failed="", terms=None
    )
    assert Policy(()) == Policy((), digest="")


@pytest.mark.parametrize("uses", [1_000_000, 1_000_001])
def test_a_reference_has_at_most_a_million_uses(uses: int) -> None:
    """Which the counter beside it has room for."""
    decision = Policy((GRANT,)).decide("corp:x", "reference.mint", "abc123", MintAsk(max_uses=uses))

    assert decision.allowed is (uses == 1_000_000)


@pytest.mark.parametrize(
    ("part", "name"),
    [
        (GRANT, "stores"),
        (GRANT.limits, "max_uses"),
        (MintAsk(), "access"),
        (TERMS, "audience"),
        (Decision(allowed=False, grant=""), "allowed"),
        (Policy((GRANT,)), "grants"),
    ],
)
def test_nothing_of_policy_changes_while_it_is_in_force(part: object, name: str) -> None:
    """A request is decided by one policy from its beginning to its end."""
    with pytest.raises(FrozenInstanceError):
        setattr(part, name, ())


@pytest.mark.parametrize(
    ("patterns", "store_hash", "expected"),
    [
        (("abc*", "def456"), "def456", True),
        (("abc*", "def456"), "abc", True),
        (("abc*", "def456"), "def4567", False),
        (("a:*",), "a:b/c.d", True),
        (("*",), "x1y2z3", True),
        ((), "abc123", False),
    ],
)
def test_a_store_is_among_patterns_if_one_matches(
    patterns: tuple[str, ...], store_hash: str, *, expected: bool
) -> None:
    """A store hash has no separators, so a star stands for any run of characters."""
    assert store_matches(patterns, store_hash) is expected
