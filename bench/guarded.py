"""What the response guard costs for a body, in this process and without HTTP around it."""

import secrets
import time

from bench.origin import document
from service.core.guard import ResponseGuard
from service.core.secret import Secret

_TIMES = 200
_CHUNK_BYTES = 64 * 1024
_MICROSECONDS = 1_000_000


def guard_us(length: int) -> float:
    """Return the CPU time of looking through a body of a length for a token, in microseconds."""
    body = document(length)
    chunks = [body[start : start + _CHUNK_BYTES] for start in range(0, length, _CHUNK_BYTES)]
    tokens = [Secret(f"eyJ{secrets.token_urlsafe(30)}.eyJ{secrets.token_urlsafe(200)}")]
    started = time.process_time()
    for _ in range(_TIMES):
        for _ in ResponseGuard("abc123", tokens).filter(chunks):
            pass
    return (time.process_time() - started) / _TIMES * _MICROSECONDS
