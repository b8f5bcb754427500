"""Audit entries as events of the Open Cybersecurity Schema Framework, for systems that collect those.

The classes are Authentication (3002) for who could not prove who they are, Application Lifecycle (6002) for what a process does about
itself, and API Activity (6003) for everything else. The mapping is in docs/audit.md. ``src_endpoint``, which API Activity asks for, is left
out: the trail keeps no addresses.

Source: schema.ocsf.io, version 1.6.
"""

from collections.abc import Mapping
from datetime import datetime

from service.core.clock import to_millis

_VERSION = "1.6.0"
_INFORMATIONAL, _MEDIUM = 1, 3
_SUCCESS, _FAILURE = 1, 2
_ALLOWED, _DENIED = 1, 2
_AUTHENTICATION, _LIFECYCLE, _API = 3002, 6002, 6003
_CREATE, _READ, _UPDATE, _DELETE, _OTHER = 1, 2, 3, 4, 99

#: action → class and activity
CLASSES: Mapping[str, tuple[int, int]] = {
    "authenticate": (_AUTHENTICATION, 1),
    "broker.start": (_LIFECYCLE, 3),
    "broker.stop": (_LIFECYCLE, 4),
    "access.load": (_LIFECYCLE, 8),
    "keyring.load": (_LIFECYCLE, 8),
    "audit.resume": (_LIFECYCLE, _OTHER),
    "audit.heads": (_LIFECYCLE, _OTHER),
    "issuing.pause": (_LIFECYCLE, _OTHER),
    "whoami": (_API, _READ),
    "store.write": (_API, _UPDATE),
    "store.lock": (_API, _UPDATE),
    "store.read": (_API, _READ),
    "reference.mint": (_API, _CREATE),
    "reference.redeem": (_API, _READ),
    "reference.use": (_API, _OTHER),
    "reference.read": (_API, _READ),
    "reference.revoke": (_API, _DELETE),
    "policy.read": (_API, _READ),
    "audit.read": (_API, _READ),
}


def as_ocsf(fields: Mapping[str, object]) -> dict[str, object]:
    """Return the event of an entry, which stands whole in ``unmapped``."""
    action, outcome = str(fields["action"]), str(fields["outcome"])
    class_uid, activity_id = CLASSES.get(action, (_API, _OTHER))
    done = outcome not in ("denied", "failed")
    event: dict[str, object] = {
        "metadata": {
            "version": _VERSION,
            "product": {"name": "B2B credential broker"},
            "uid": fields["hash"],
            "correlation_uid": fields["request_id"],
            "sequence": fields["seq"],
        },
        "time": to_millis(datetime.fromisoformat(str(fields["time"]))),
        "category_uid": class_uid // 1000,
        "class_uid": class_uid,
        "activity_id": activity_id,
        "type_uid": class_uid * 100 + activity_id,
        "severity_id": _INFORMATIONAL if done else _MEDIUM,
        "status_id": _SUCCESS if done else _FAILURE,
        "status_detail": fields["reason"],
        "action_id": _DENIED if outcome == "denied" else _ALLOWED,
        "unmapped": dict(fields),
    }
    if class_uid == _AUTHENTICATION:
        event["user"] = {"name": fields["caller"] or "unknown"}
    elif class_uid == _LIFECYCLE:
        event["app"] = {"name": "B2B credential broker"}
    else:
        event["actor"] = {"user": {"uid": fields["caller"]}}
        event["api"] = {"operation": action, "request": {"uid": fields["request_id"]}}
        event["resources"] = [
            {"type": kind, "uid": fields[name]}
            for kind, name in (("store", "store_hash"), ("reference", "accessor"))
            if fields[name]
        ]
    return event
