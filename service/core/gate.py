"""The one place that decides and records. No use case acts without passing here first, and none releases without recording."""

from collections.abc import Callable
from dataclasses import dataclass, field

from service.core.audit import AuditEntry, ChainHead, Outcome
from service.core.caller import Caller
from service.core.clock import Clock
from service.core.errors import ForbiddenError
from service.core.policy import Decision, MintAsk, Policy
from service.core.ports import AuditSink

BROKER_IDENTITY = "broker:worker"
"""Whom the audit trail names for what a process does about itself. No issuer may be called ``broker``."""
_ENDS: tuple[Outcome, ...] = ("denied", "failed")


@dataclass(frozen=True, slots=True)
class Call:
    """One authenticated request: who, under which id, and the policy snapshot that holds for all of it.

    Attributes:
        caller: Who.
        request_id: Of the HTTP request.
        policy: What callers may do.
        on_store: Told the store that a decision is about, for the request's log line.
        outcomes: What was recorded of it so far.
    """

    caller: Caller
    request_id: str
    policy: Policy
    on_store: Callable[[str], None] = lambda _store_hash: None
    outcomes: list[Outcome] = field(default_factory=list, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class About:
    """What a decision is about; ``subject`` is the other identity concerned, such as the audience of what is minted."""

    action: str
    store_hash: str = ""
    accessor: str = ""
    subject: str = ""


class Gate:
    """Authorises and records."""

    def __init__(self, audit: AuditSink, clock: Clock) -> None:
        self._audit = audit
        self._clock = clock

    def authorise(self, call: Call, about: About, ask: MintAsk | None = None) -> Decision:
        """Let the call pass, or record that it was denied.

        Raises:
            ForbiddenError: Policy does not allow it.
            AuditError: The denial could not be recorded.
        """
        decision = call.policy.decide(call.caller.identity, about.action, about.store_hash, ask)
        if not decision.allowed:
            self.record(call, about, "denied", decision.failed)
            raise ForbiddenError("Policy does not allow this.", reason=decision.failed)
        return decision

    def deny(self, call: Call, about: About, reason: str) -> ForbiddenError:
        """Record a denial that policy alone does not decide, and return the error to raise."""
        self.record(call, about, "denied", reason)
        return ForbiddenError("Policy does not allow this.", reason=reason)

    def record(self, call: Call, about: About, outcome: Outcome, reason: str = "") -> None:
        """Record a decision or an outcome.

        Raises:
            AuditError: It could not be written, so nothing may be released or changed.
        """
        if about.store_hash:
            call.on_store(about.store_hash)
        self._audit.record(
            AuditEntry(
                time=self._clock(),
                request_id=call.request_id,
                caller=call.caller.identity,
                action=about.action,
                store_hash=about.store_hash,
                accessor=about.accessor,
                subject=about.subject,
                outcome=outcome,
                reason=reason,
            )
        )
        call.outcomes.append(outcome)

    def record_failure(self, call: Call, about: About, reason: str) -> None:
        """Record that a request ended in an error, unless the last that was recorded of it says so.

        Raises:
            AuditError: As ``record``.
        """
        if not call.outcomes or call.outcomes[-1] not in _ENDS:
            self.record(call, about, "failed", reason)

    def record_unauthenticated(self, request_id: str, reason: str) -> None:
        """Record that somebody could not prove who they are."""
        self._audit.record(
            AuditEntry(self._clock(), request_id, "", "authenticate", "denied", reason=reason)
        )

    def record_own(
        self, action: str, outcome: Outcome, reason: str = "", subject: str = ""
    ) -> None:
        """Record what the broker does by itself, about itself.

        Raises:
            AuditError: As ``record``.
        """
        self._audit.record(self._own(action, outcome, reason, subject))

    def end(self) -> ChainHead:
        """Record that this process stops, and return the end of its chain.

        Raises:
            AuditError: As ``record``.
        """
        return self._audit.end(self._own("broker.stop", "allowed", "", ""))

    def _own(self, action: str, outcome: Outcome, reason: str, subject: str) -> AuditEntry:
        return AuditEntry(
            self._clock(), "", BROKER_IDENTITY, action, outcome, subject=subject, reason=reason
        )
