"""An audit sink in memory that can be told to fail. Fulfils ``AuditSink``."""

from service.core.audit import AuditEntry
from service.core.errors import AuditError


class MemoryAudit:
    """Keeps the entries, or refuses them."""

    def __init__(self) -> None:
        self.entries: list[AuditEntry] = []
        self.broken = False

    def record(self, entry: AuditEntry) -> None:
        """See ``AuditSink.record``."""
        if self.broken:
            raise AuditError("broken", reason="audit_write_failed")
        self.entries.append(entry)

    def told(self) -> list[tuple[str, str, str]]:
        """Return action, outcome and reason of every entry."""
        return [(entry.action, entry.outcome, entry.reason) for entry in self.entries]
