"""The JSON Schema of an audit line."""

from typing import Any, get_args

from service.core.audit import OWN_ACTIONS, VERSION, Outcome
from service.core.policy import ACTIONS

_HASH = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
_TEXTS = {
    "request_id": "Of the HTTP request; empty for what the broker does about itself.",
    "caller": "The proven identity; empty where none was proven.",
    "store_hash": "Which store; `*` for all of them; empty where none is concerned.",
    "accessor": "Which reference; empty where none is concerned.",
    "subject": "Which other identity, or `policy:<digest>`.",
    "reason": "A fixed word.",
}


def audit_schema() -> dict[str, Any]:
    """Return the schema. Within a version, actions, outcomes and reasons may be added, and fields never are."""
    fields: dict[str, Any] = {
        "v": {"const": VERSION},
        "time": {"type": "string", "format": "date-time"},
        "writer": {"type": "string", "pattern": "^[0-9a-f]{16}$"},
        "seq": {"type": "integer", "minimum": 1},
        **{name: {"type": "string", "description": text} for name, text in _TEXTS.items()},
        "action": {"enum": sorted({*ACTIONS, *OWN_ACTIONS})},
        "outcome": {"enum": list(get_args(Outcome))},
        "prev": {**_HASH, "description": "The hash of the writer's entry before; zeros for none."},
        "hash": {**_HASH, "description": "SHA-256 of the line without it."},
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "An entry of the audit trail of the B2B credential broker",
        "type": "object",
        "properties": fields,
        "required": list(fields),
        "additionalProperties": False,
    }
