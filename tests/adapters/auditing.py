"""Audit sinks and what they wrote."""

import os
from datetime import timedelta

from service.adapters.audit_file import AuditFile
from service.core.audit import AuditEntry, unlink
from service.core.errors import AuditError
from tests.support.clock import START

PATIENCE = timedelta(milliseconds=100)


def entry(request_id: str = "r-1", caller: str = "corp:ops-anna") -> AuditEntry:
    """Return an entry about a store."""
    return AuditEntry(START, request_id, caller, "store.write", "allowed", "abc123")


def sink(path: str, patience: timedelta = timedelta(seconds=1)) -> AuditFile:
    """Return a sink that nobody counts for."""
    return AuditFile(path, lambda _reason: None, patience)


def last_entry() -> AuditEntry:
    """Return what ends a chain."""
    return AuditEntry(START, "last", "broker:worker", "broker.stop", "allowed")


def chain_of(content: bytes) -> list[str]:
    """Return the request ids of an unbroken chain."""
    ids, head = [], "0" * 64
    for number, line in enumerate(content.splitlines(keepends=True), start=1):
        fields, fits = unlink(line)
        assert fits
        assert (fields["seq"], fields["prev"]) == (number, head)
        head = str(fields["hash"])
        ids.append(str(fields["request_id"]))
    return ids


def takes(audit: AuditFile, request_id: str) -> bool:
    """Tell whether a sink takes an entry."""
    try:
        audit.record(entry(request_id))
    except AuditError:
        return False
    return True


def read_all(descriptor: int) -> bytes:
    """Return what a pipe holds."""
    content = b""
    while True:
        try:
            read = os.read(descriptor, 1_000_000)
        except BlockingIOError:
            return content
        if not read:
            return content
        content += read
