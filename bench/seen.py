"""What it costs to verify a workload token that was seen before, in this process and without HTTP around it."""

import time
from datetime import UTC, datetime
from pathlib import Path

from service.adapters.access_file import read_access_file
from service.core.secret import Secret

_TIMES = 20_000
_MICROSECONDS = 1_000_000


def seen_token_us(access_file: Path, token: str) -> float:
    """Return the CPU time of verifying a token again, in microseconds."""
    access = read_access_file(str(access_file), lambda: datetime.now(UTC))
    access.by_token(Secret(token))
    started = time.process_time()
    for _ in range(_TIMES):
        access.by_token(Secret(token))
    return (time.process_time() - started) / _TIMES * _MICROSECONDS
