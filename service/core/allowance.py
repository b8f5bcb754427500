"""What a caller may still ask of the upstream on behalf of a store."""

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class Allowance:
    """One limit on requests in a minute, as a request found it.

    Attributes:
        pool: What is limited: ``store``, one of the two endpoints with a limit of their own, or ``max_rate``.
        quota: The limit.
        left: How much of it is left for everybody.
        open: How much of that is open to this caller.
        wait: How long until there is more.
    """

    pool: str
    quota: int
    left: int
    open: int
    wait: timedelta
