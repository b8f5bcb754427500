"""What can be wrong with Redis, in our words.

The client library's texts may quote data, so only the kind of an error is kept, as the ``reason`` of a ``StorageError``.
"""

from datetime import timedelta
from typing import TypeGuard

from redis.exceptions import (
    AskError,
    NoScriptError,
    RedisError,
    ResponseError,
    TryAgainError,
)

from service.core.errors import StorageError

NOT_DURABLE = "not_durable"
EVICTS = "redis_evicts"
_AGAIN = timedelta(seconds=1)
# Refusals that redis-py reports as a plain ResponseError and that an operator wants to tell apart.
_WORDS = {
    "NOREPLICAS",
    "MISCONF",
    "OOM",
    "READONLY",
    "LOADING",
    "CLUSTERDOWN",
    "NOPERM",
    "WRONGPASS",
}


def storage_error(error: RedisError) -> StorageError:
    """Return our error for one of the client library."""
    name = type(error).__name__
    first_word = str(error).partition(" ")[0]
    return refused(f"redis_{first_word.lower()}" if first_word in _WORDS else f"redis_{name}")


def refused(reason: str) -> StorageError:
    """Return our error for a reason of our own."""
    return StorageError("The broker's storage does not answer.", reason=reason, retry_after=_AGAIN)


def asks_elsewhere(answer: object) -> bool:
    """Tell whether an answer says that another node of a cluster is to be asked, or this one a little later.

    The last kind comes from a script that reached for a key which has moved already. What it did before that it recognises as its own
    work when it is asked again.
    """
    if isinstance(answer, AskError | TryAgainError):  # MOVED is a kind of ASK
        return True
    return isinstance(answer, ResponseError) and "non local key" in str(answer)


def is_final(answer: object) -> TypeGuard[ResponseError]:
    """Tell whether an answer is a refusal that no other way of asking changes."""
    return (
        isinstance(answer, ResponseError)
        and not isinstance(answer, NoScriptError)
        and not asks_elsewhere(answer)
    )
