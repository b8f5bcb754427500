"""The gate: every decision is recorded with who, what, which and why."""

import pytest

from service.core.audit import AuditEntry
from service.core.errors import AuditError, ForbiddenError
from service.core.gate import About
from tests.support.world import MINTER, OPERATOR, STORE, WORKER, World, call

ABOUT = About("store.read", STORE, "cba_x", WORKER)


def test_whoever_policy_allows_passes_without_a_record(world: World) -> None:
    """The use case records what came of it."""
    assert world.gate.authorise(call(OPERATOR), ABOUT).allowed

    assert world.audit.entries == []


def test_a_denial_is_recorded_before_it_is_told(world: World) -> None:
    """With the request id, the identity, what and whom it is about, and the condition that failed."""
    with pytest.raises(ForbiddenError) as refused:
        world.gate.authorise(call(MINTER, request_id="r-7"), ABOUT)

    assert refused.value.reason == "actions"
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


def test_a_denial_that_cannot_be_recorded_is_another_error(world: World) -> None:
    """The caller learns that the audit trail is away, and nothing passes."""
    world.audit.broken = True

    with pytest.raises(AuditError):
        world.gate.authorise(call(MINTER), ABOUT)


def test_whoever_cannot_prove_who_they_are_is_recorded_without_a_name(world: World) -> None:
    """A name that was only claimed is not written down."""
    world.gate.record_unauthenticated("r-9", "expired")

    assert world.audit.entries == [
        AuditEntry(world.clock(), "r-9", "", "authenticate", "denied", reason="expired")
    ]
