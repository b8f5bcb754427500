"""What a caller is told of its budget, in the fields of draft-ietf-httpapi-ratelimit-headers: how much is open to it, and until when."""

import math

from werkzeug.datastructures import Headers

from service.core.allowance import Allowance

_WINDOW_SECONDS = 64
"""For so long a request counts at most: the upstream's minute, and a margin (ADR 21)."""


def add_rate_fields(headers: Headers, allowance: Allowance) -> None:
    """Set the fields; those of the upstream, if it had any, would not be about what this caller may do."""
    seconds = max(1, math.ceil(allowance.wait.total_seconds()))
    headers["RateLimit-Policy"] = f'"{allowance.pool}";q={allowance.quota};w={_WINDOW_SECONDS}'
    headers["RateLimit"] = f'"{allowance.pool}";r={allowance.open};t={seconds}'
