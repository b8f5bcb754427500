"""The gate: every decision is recorded with who, what, which and why."""

from dataclasses import FrozenInstanceError, replace

import pytest

from service.core.audit import AuditEntry
from service.core.errors import AuditError, ForbiddenError
from service.core.gate import About
from service.core.policy import MintAsk
from tests.support.world import MINTER, OPERATOR, STORE, WORKER, World, call

ABOUT = About("store.read", STORE, "cba_x", WORKER)
REFUSAL = "Policy does not allow this."


def test_whoever_policy_allows_passes_without_a_record(world: World) -> None:
    """The use case records what came of it."""
    assert world.gate.authorise(call(OPERATOR), ABOUT).allowed

    assert world.audit.entries == []


def test_what_is_asked_for_is_decided_with_the_action(world: World) -> None:
    """The terms of the decision are those of the ask."""
    about = About("reference.mint", STORE)

    decision = world.gate.authorise(call(MINTER), about, MintAsk("redeem", WORKER))

    assert decision.terms is not None
    assert (decision.terms.access, decision.terms.audience) == ("redeem", WORKER)


def test_a_denial_is_recorded_before_it_is_told(world: World) -> None:
    """With the request id, the identity, what and whom it is about, and the condition that failed."""
    with pytest.raises(ForbiddenError) as refused:
        world.gate.authorise(call(MINTER, request_id="r-7"), ABOUT)

    assert (refused.value.detail, refused.value.reason) == (REFUSAL, "actions")
    assert world.audit.entries == [
        AuditEntry(
            time=world.clock(),
            request_id="r-7",
            caller=MINTER,
            action="store.read",
            outcome="denied",
            store_hash=STORE,
            accessor="cba_x",
            subject=WORKER,
            reason="actions",
        )
    ]


def test_the_request_learns_which_store_was_decided_about(world: World) -> None:
    """For its log line; a decision about no store tells nothing."""
    told: list[str] = []
    asked = replace(call(OPERATOR), on_store=told.append)

    world.gate.record(asked, ABOUT, "allowed")
    world.gate.record(asked, About("policy.read"), "allowed")

    assert told == [STORE]


def test_a_denial_that_cannot_be_recorded_is_another_error(world: World) -> None:
    """The caller learns that the audit trail is away, and nothing passes."""
    world.audit.broken = True

    with pytest.raises(AuditError):
        world.gate.authorise(call(MINTER), ABOUT)


def test_a_denial_that_policy_alone_does_not_decide_is_told_like_any_other(world: World) -> None:
    """The caller does not learn which rule it was; the record says it."""
    error = world.gate.deny(call(WORKER, request_id="r-8"), ABOUT, "not_the_audience")

    assert (error.detail, error.reason) == (REFUSAL, "not_the_audience")
    assert world.audit.entries == [
        AuditEntry(
            time=world.clock(),
            request_id="r-8",
            caller=WORKER,
            action="store.read",
            outcome="denied",
            store_hash=STORE,
            accessor="cba_x",
            subject=WORKER,
            reason="not_the_audience",
        )
    ]


def test_a_denial_of_a_use_case_that_cannot_be_recorded_is_another_error(world: World) -> None:
    """Whoever wanted to raise the refusal raises that the audit trail is away."""
    world.audit.broken = True

    with pytest.raises(AuditError):
        world.gate.deny(call(WORKER), ABOUT, "not_the_audience")


def test_what_is_not_said_is_recorded_as_nothing(world: World) -> None:
    """A record about no store, no reference and nobody else has empty fields, and a reason only where there is one."""
    world.gate.record(call(OPERATOR), About("store.list"), "started")

    assert world.audit.entries == [
        AuditEntry(
            time=world.clock(),
            request_id="r-1",
            caller=OPERATOR,
            action="store.list",
            outcome="started",
            store_hash="",
            accessor="",
            subject="",
            reason="",
        )
    ]


@pytest.mark.parametrize(
    ("part", "name"), [(call(MINTER), "policy"), (call(MINTER), "caller"), (ABOUT, "store_hash")]
)
def test_nothing_changes_between_a_decision_and_what_follows_it(part: object, name: str) -> None:
    """Who calls, under which policy and about what stay as they were decided upon."""
    with pytest.raises(FrozenInstanceError):
        setattr(part, name, None)


def test_whoever_cannot_prove_who_they_are_is_recorded_without_a_name(world: World) -> None:
    """A name that was only claimed is not written down."""
    world.gate.record_unauthenticated("r-9", "expired")

    assert world.audit.entries == [
        AuditEntry(world.clock(), "r-9", "", "authenticate", "denied", reason="expired")
    ]
