"""Audit entries as OCSF events: each class with what it asks for."""

import json
from dataclasses import replace

import pytest

from service.core.audit import AuditEntry, Chain
from service.core.audit_ocsf import as_ocsf
from tests.support.clock import START

ENTRY = AuditEntry(START, "r-1", "corp:ops-anna", "store.write", "allowed", "abc123", "cba_1")


def _event(entry: AuditEntry) -> dict[str, object]:
    return as_ocsf(json.loads(Chain("0" * 16).link(entry)[0]))


def test_what_a_caller_does_is_api_activity() -> None:
    """Who, which operation, and about what."""
    event = _event(ENTRY)

    assert event["class_uid"] == 6003
    assert event["time"] == 1795435200000
    assert event["actor"] == {"user": {"uid": "corp:ops-anna"}}
    assert event["api"] == {"operation": "store.write", "request": {"uid": "r-1"}}
    assert event["resources"] == [
        {"type": "store", "uid": "abc123"},
        {"type": "reference", "uid": "cba_1"},
    ]


def test_a_failed_proof_of_identity_is_authentication() -> None:
    """A logon that failed, of somebody unknown."""
    denied = replace(ENTRY, caller="", action="authenticate", outcome="denied", reason="no_proof")

    event = _event(denied)

    assert (event["class_uid"], event["type_uid"]) == (3002, 300201)
    assert event["user"] == {"name": "unknown"}
    assert (event["status_id"], event["status_detail"]) == (2, "no_proof")


@pytest.mark.parametrize(("action", "activity"), [("broker.start", 3), ("broker.stop", 4)])
def test_what_a_process_does_about_itself_is_its_lifecycle(action: str, activity: int) -> None:
    """Start and stop have activities of their own."""
    event = _event(replace(ENTRY, action=action))

    assert (event["class_uid"], event["activity_id"]) == (6002, activity)
    assert event["app"] == {"name": "B2B credential broker"}


def test_an_action_of_a_later_version_is_some_api_activity() -> None:
    """The entry stands whole in ``unmapped``."""
    event = _event(replace(ENTRY, action="store.paint", outcome="failed"))

    assert (event["class_uid"], event["activity_id"]) == (6003, 99)
    assert (event["status_id"], event["action_id"], event["severity_id"]) == (2, 1, 3)
