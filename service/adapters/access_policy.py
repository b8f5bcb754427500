"""The policy of an access file, and the file's own tests of it."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from service.adapters.access_schema import (
    AccessDocument,
    AccessFileError,
    ApiKeyIssuerEntry,
    GrantEntry,
    LimitsEntry,
    WithEntry,
    parse_document,
)
from service.core.policy import AccessGrant, Decision, Limits, MintAsk, Policy


@dataclass(frozen=True, slots=True)
class PolicyTest:
    """What became of one of the file's own tests."""

    caller: str
    action: str
    store: str
    expected: str
    passed: bool
    because: str


@dataclass(frozen=True, slots=True)
class PolicyFile:
    """An access file without the means to verify callers: for looking at it anywhere."""

    document: AccessDocument
    policy: Policy
    tests: tuple[PolicyTest, ...]
    identities: tuple[str, ...]


def read_policy(content: bytes) -> PolicyFile:
    """Return the policy of an access file; its tests may fail, and the key files that it names are not looked at.

    Raises:
        AccessFileError: It breaks the schema.
    """
    document = parse_document(content)
    policy = Policy(
        tuple(_grant(grant) for grant in document.grants), hashlib.sha256(content).hexdigest()
    )
    named = [test.caller for test in document.tests]
    named += [
        f"{issuer.name}:{key.name}"
        for issuer in document.issuers
        if isinstance(issuer, ApiKeyIssuerEntry)
        for key in issuer.keys
    ]
    return PolicyFile(document, policy, tuple(_run_tests(document, policy)), tuple(named))


def _grant(grant: GrantEntry) -> AccessGrant:
    limits = grant.limits or LimitsEntry()
    return AccessGrant(
        name=grant.name,
        callers=tuple(grant.callers),
        stores=tuple(grant.stores),
        actions=tuple(grant.actions),
        limits=Limits(
            access=tuple(limits.access),
            audiences=tuple(limits.audiences),
            max_ttl=limits.max_ttl,
            max_uses=limits.max_uses,
            requests=tuple(limits.requests),
            max_rate=limits.max_rate,
        ),
    )


def _run_tests(file: AccessDocument, policy: Policy) -> Iterator[PolicyTest]:
    for number, test in enumerate(file.tests, start=1):
        ask = None
        if test.action == "reference.mint":
            asked = test.ask or WithEntry()
            requests = None if asked.requests is None else tuple(asked.requests)
            ask = MintAsk(asked.access, asked.audience, asked.ttl, asked.max_uses, requests)
        elif test.ask is not None:
            raise AccessFileError(f"tests: number {number} has 'with' and mints nothing")
        decision = policy.decide(test.caller, test.action, test.store, ask)
        yield PolicyTest(
            caller=test.caller,
            action=test.action,
            store=test.store,
            expected=test.expect,
            passed=decision.allowed == (test.expect == "allow"),
            because=_because(decision),
        )


def _because(decision: Decision) -> str:
    if decision.allowed:
        return f"'{decision.grant}' allows it"
    if not decision.grant:
        return "no grant names the caller"
    return f"nearest is '{decision.grant}', which fails at {decision.failed}"
