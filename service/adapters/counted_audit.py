"""An audit trail whose failures are counted. Fulfils ``AuditSink``."""

from collections.abc import Callable

from service.core.audit import AuditEntry
from service.core.errors import AuditError
from service.core.ports import AuditSink


class CountedAudit:
    """Passes entries on, and tells why one could not be written."""

    def __init__(self, sink: AuditSink, failed: Callable[[str], None]) -> None:
        self._sink = sink
        self._failed = failed

    def record(self, entry: AuditEntry) -> None:
        """See ``AuditSink.record``."""
        try:
            self._sink.record(entry)
        except AuditError as error:
            self._failed(error.reason)
            raise
