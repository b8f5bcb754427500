"""The access file in force, replaced as a whole while running. Fulfils ``AccessSource``.

The file and every file that it names are looked at by content, so that an edit in place, a renamed file and the swap of Kubernetes'
``..data`` link are all noticed. A version that is refused never replaces a good one: the old one stays in force, and the refusal shows in
``/readyz``, a metric and a log line. At the start there is no old one, so a refusal stops the start.
"""

import hashlib
from collections.abc import Callable
from pathlib import Path

import structlog

from service.adapters.access_file import AccessFileError, AccessSnapshot, read_access_file
from service.adapters.issuer_links import IssuerLinks
from service.core.clock import Clock

Observe = Callable[[bool], None]
"""Told whether a reload succeeded."""
Show = Callable[[str], None]
"""Told the digest of what is in force."""

Record = Callable[[bool, str], None]
"""Records whether a new version is taken, and the digest of the policy that is in force from now on; an error of it keeps the old one."""


class AccessFile:
    """Holds the snapshot in force."""

    def __init__(
        self,
        path: str,
        clock: Clock,
        links: IssuerLinks,
        observe: Observe,
        show: Show | None = None,
        record: Record = lambda _taken, _digest: None,
    ) -> None:
        """Read the file.

        Raises:
            AccessFileError: It is missing or refused.
        """
        self._path = path
        self._clock = clock
        self._links = links
        self._observe = observe
        self._record = record
        self._snapshot = read_access_file(path, clock, links)
        self._seen = _digests(self._snapshot.files)
        self._show = show
        self.problem = ""
        self._tell()

    def __call__(self) -> AccessSnapshot:
        """Return the snapshot in force."""
        return self._snapshot

    def reload(self) -> None:
        """Take the file's new version, if there is one and it is good.

        Raises:
            AuditError: It cannot be recorded, so that the old one stays in force; the next time it is tried again.
        """
        seen = _digests(self._snapshot.files)
        if seen == self._seen:
            return
        log = structlog.get_logger()
        try:
            snapshot = read_access_file(self._path, self._clock, self._links)
        except AccessFileError as error:
            self._record(False, self._snapshot.policy.digest)  # noqa: FBT003 — the answer to one question
            self._seen = seen
            self.problem = str(error)
            log.error("access_file_refused", problem=self.problem)  # noqa: TRY400 — its text says it all, its stack nothing
        else:
            self._record(True, snapshot.policy.digest)  # noqa: FBT003 — see above
            self._snapshot = snapshot
            self._seen = _digests(snapshot.files)
            self.problem = ""
            log.info("access_file_loaded", digest=snapshot.policy.digest)
            self._tell()
        self._observe(not self.problem)

    def _tell(self) -> None:
        if self._show is not None:
            self._show(self._snapshot.policy.digest)


def _digests(paths: tuple[str, ...]) -> dict[str, str]:
    return {path: _digest(path) for path in paths}


def _digest(path: str) -> str:
    try:
        return hashlib.sha256(Path(path).read_bytes()).hexdigest()
    except OSError:
        return "unreadable"
