"""An audit sink in memory that can be told to fail. Fulfils ``AuditSink``."""

from service.core.audit import AuditEntry, ChainHead
from service.core.errors import AuditError


class MemoryAudit:
    """Keeps the entries, or refuses them."""

    def __init__(self, writer: str = "0" * 16) -> None:
        self.writer = writer
        self.entries: list[AuditEntry] = []
        self.broken = False
        self.refused_outcome = ""
        self.problem = ""

    def record(self, entry: AuditEntry) -> None:
        """See ``AuditSink.record``."""
        if self.broken or entry.outcome == self.refused_outcome:
            self.problem = "audit_write_failed"
            raise AuditError("broken", reason=self.problem)
        self.problem = ""
        self.entries.append(entry)

    def head(self) -> ChainHead:
        """See ``AuditSink.head``."""
        seq = len(self.entries)
        return ChainHead(self.writer, seq, f"{seq:064x}")

    def end(self, entry: AuditEntry) -> ChainHead:
        """See ``AuditSink.end``."""
        self.record(entry)
        return self.head()

    def told(self) -> list[tuple[str, str, str]]:
        """Return action, outcome and reason of every entry."""
        return [(entry.action, entry.outcome, entry.reason) for entry in self.entries]
