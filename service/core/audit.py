"""The audit trail: one entry for each decision and each outcome, each carrying the hash of the one before.

An entry is one line of JSON with the fields ``v, time, writer, seq, request_id, caller, action, store_hash, accessor, subject,
outcome, reason, prev, hash`` in this order. ``hash`` is the SHA-256 of the line without it; ``prev`` is the hash of the writer's entry
before, 64 zeros for its first. Each process writes its own chain and is named by a fresh ``writer``, so no two processes ever
compete for a place in one chain. What each action, outcome and reason means is in docs/audit.md.

Source: DESIGN §11.
"""

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from service.core.clock import rfc3339

Outcome = Literal["allowed", "denied", "started", "completed", "failed"]
VERSION = 1
"""Of the form of a line; ``v`` in each."""
BEGIN = "0" * 64
"""What a chain's first entry has in the place of the hash before it."""
OWN_ACTIONS = (
    "authenticate",
    "whoami",
    "reference.use",
    "broker.start",
    "broker.stop",
    "access.load",
    "keyring.load",
    "audit.resume",
    "audit.heads",
    "issuing.pause",
)
"""The actions that are none of policy's."""
_encode = json.JSONEncoder(separators=(",", ":")).encode


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One decision.

    Attributes:
        time: When it was taken.
        request_id: Of the HTTP request.
        caller: The proven identity; empty if there was none.
        action: An action of policy, or one of ``OWN_ACTIONS``.
        outcome: ``started`` precedes an effect whose own entry follows; ``completed`` is what came of something that was allowed before.
        store_hash: Which store, where one is concerned.
        accessor: Which reference, where one is concerned.
        subject: Which other identity: whom a reference is minted for, whose references are revoked. Of the broker's own doings, which
            policy or key: ``policy:<digest>``, ``key:<id>``.
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


@dataclass(frozen=True, slots=True)
class ChainHead:
    """How far a writer's chain has come: its last entry's number and hash."""

    writer: str
    seq: int
    hash: str


class Chain:
    """One writer's chain. Not thread-safe: the sink that writes the lines holds the lock."""

    def __init__(self, writer: str) -> None:
        self.head = ChainHead(writer, 0, BEGIN)

    def link(self, entry: AuditEntry) -> tuple[bytes, str]:
        """Return the next line and its hash; the chain moves only when ``advance`` is told that the line was written."""
        body = _encode(
            {
                "v": VERSION,
                "time": rfc3339(entry.time),
                "writer": self.head.writer,
                "seq": self.head.seq + 1,
                "request_id": entry.request_id,
                "caller": entry.caller,
                "action": entry.action,
                "store_hash": entry.store_hash,
                "accessor": entry.accessor,
                "subject": entry.subject,
                "outcome": entry.outcome,
                "reason": entry.reason,
                "prev": self.head.hash,
            }
        ).encode("ascii")
        digest = hashlib.sha256(body).hexdigest()
        return b'%b,"hash":"%b"}\n' % (body[:-1], digest.encode()), digest

    def advance(self, digest: str) -> None:
        """Move on to the line that was just written."""
        self.head = ChainHead(self.head.writer, self.head.seq + 1, digest)


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
