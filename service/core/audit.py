"""The audit trail: one entry for each decision, each carrying the hash of the one before.

An entry is one line of JSON with the fields ``v, time, writer, seq, request_id, caller, action, store_hash, accessor, subject,
outcome, reason, prev, hash`` in this order. ``hash`` is the SHA-256 of the line without it; ``prev`` is the hash of the writer's entry
before, 64 zeros for its first. Each process writes its own chain and is named by a fresh ``writer``, so no two processes ever
compete for a place in one chain.

Source: DESIGN §11.
"""

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from service.core.clock import rfc3339

Outcome = Literal["allowed", "denied", "started", "failed"]
_FIRST = "0" * 64
_encode = json.JSONEncoder(separators=(",", ":")).encode


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One decision.

    Attributes:
        time: When it was taken.
        request_id: Of the HTTP request.
        caller: The proven identity; empty if there was none.
        action: An action of policy, ``authenticate``, or ``reference.use``.
        outcome: ``started`` precedes an effect upstream whose own entry follows.
        store_hash: Which store, where one is concerned.
        accessor: Which reference, where one is concerned.
        subject: Which other identity: whom a reference is minted for, whose references are revoked.
        reason: A fixed word: which grant allowed it, which condition failed.
    """

    time: datetime
    request_id: str
    caller: str
    action: str
    outcome: Outcome
    store_hash: str = ""
    accessor: str = ""
    subject: str = ""
    reason: str = ""


class Chain:
    """One writer's chain. Not thread-safe: the sink that writes the lines holds the lock."""

    def __init__(self, writer: str) -> None:
        self.writer = writer
        self.seq = 0
        self.head = _FIRST

    def link(self, entry: AuditEntry) -> tuple[bytes, str]:
        """Return the next line and its hash; the chain moves only when ``advance`` is told that the line was written."""
        body = _encode(
            {
                "v": 1,
                "time": rfc3339(entry.time),
                "writer": self.writer,
                "seq": self.seq + 1,
                "request_id": entry.request_id,
                "caller": entry.caller,
                "action": entry.action,
                "store_hash": entry.store_hash,
                "accessor": entry.accessor,
                "subject": entry.subject,
                "outcome": entry.outcome,
                "reason": entry.reason,
                "prev": self.head,
            }
        ).encode("ascii")
        digest = hashlib.sha256(body).hexdigest()
        return b'%b,"hash":"%b"}\n' % (body[:-1], digest.encode()), digest

    def advance(self, digest: str) -> None:
        """Move on to the line that was just written."""
        self.seq += 1
        self.head = digest


def unlink(line: bytes) -> tuple[dict[str, object], bool]:
    """Return the fields of a line and whether its hash fits its content.

    Raises:
        ValueError: It is not an audit line.
    """
    fields = json.loads(line)
    if not isinstance(fields, dict) or not isinstance(fields.get("hash"), str):
        raise ValueError("not an audit line")  # noqa: TRY004 — the content is wrong, not a type in our code
    body = line.rstrip(b"\n")[: -len(b',"hash":""}') - len(fields["hash"])] + b"}"
    return fields, hashlib.sha256(body).hexdigest() == fields["hash"]
