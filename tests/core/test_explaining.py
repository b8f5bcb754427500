"""Explaining: the decision about somebody else's request, shown to those who may read policy and recorded."""

import pytest

from service.core.audit import AuditEntry, Outcome
from service.core.errors import AuditError, ForbiddenError
from service.core.explaining import Explaining
from service.core.gate import Call
from service.core.policy import AccessGrant, Decision, MintAsk, Policy
from tests.support.world import MINTER, OPERATOR, POLICY, STORE, WORKER, World, call

READER = AccessGrant("readers", (OPERATOR,), ("abc*",), ("policy.read",))
OPEN = Policy((*POLICY.grants, READER))


@pytest.fixture
def explaining(world: World) -> Explaining:
    """The use case."""
    return Explaining(world.gate)


@pytest.fixture
def reader() -> Call:
    """A call of somebody who may read the policy of some stores."""
    return call(OPERATOR, OPEN)


def told(world: World, outcome: Outcome, reason: str, store_hash: str = STORE) -> bool:
    """Tell whether the only record says that the operator looked at the minter's rights, and what came of it."""
    (entry,) = world.audit.entries
    return entry == AuditEntry(
        time=world.clock(),
        request_id="r-1",
        caller=OPERATOR,
        action="policy.read",
        store_hash=store_hash,
        subject=MINTER,
        outcome=outcome,
        reason=reason,
    )


def test_a_decision_is_shown_and_whose_rights_were_looked_at_is_recorded(
    world: World, explaining: Explaining, reader: Call
) -> None:
    """The record is about the reader and names the grant that lets it read; the answer is about the other."""
    ask = MintAsk(audience=WORKER)

    decision = explaining.explain(reader, MINTER, "reference.mint", STORE, ask)

    assert decision == OPEN.decide(MINTER, "reference.mint", STORE, ask)
    assert (decision.allowed, decision.grant) == (True, "minter")
    assert told(world, "allowed", "readers")


def test_a_refusal_is_shown_as_one_and_does_not_stop_the_reader(
    world: World, explaining: Explaining, reader: Call
) -> None:
    """What failed is the other's; reading it was allowed."""
    decision = explaining.explain(reader, MINTER, "store.write", STORE, None)

    assert decision == Decision(allowed=False, grant="minter", failed="actions")
    assert told(world, "allowed", "readers")


def test_policy_is_read_only_for_the_stores_that_the_reader_may_see(
    world: World, explaining: Explaining, reader: Call
) -> None:
    """The question is about one store, and so is the right to ask it."""
    with pytest.raises(ForbiddenError) as refused:
        explaining.explain(reader, MINTER, "reference.mint", "zzz999", None)

    assert refused.value.reason == "stores"
    assert told(world, "denied", "stores", "zzz999")


def test_whoever_may_not_read_policy_is_denied_whatever_is_asked(
    world: World, explaining: Explaining
) -> None:
    """Also when the answer would have been that it is allowed."""
    with pytest.raises(ForbiddenError):
        explaining.explain(call(OPERATOR), MINTER, "reference.mint", STORE, MintAsk())

    assert told(world, "denied", "actions")


def test_nothing_is_shown_that_could_not_be_recorded(
    world: World, explaining: Explaining, reader: Call
) -> None:
    """Reading rights without a trace would prepare an attack in silence."""
    world.audit.broken = True

    with pytest.raises(AuditError):
        explaining.explain(reader, MINTER, "store.read", STORE, None)
