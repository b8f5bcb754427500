"""One Redis process as the broker talks to it: its idle connections, what is tried again, and when it is left alone.

A connection is used again only after it gave a whole answer. When one fails, all that are idle are dropped: they are as old.
"""

import random
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

from redis.exceptions import AuthenticationError, ReadOnlyError, RedisError, ResponseError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from service.adapters.redis_connections import Connector
from service.adapters.redis_errors import NOT_DURABLE, is_final, refused, storage_error
from service.core.errors import StorageError

Argument = str | bytes | int
Answer = TypeVar("Answer")

_AWAY_SECONDS = 0.25
# A second try is always made, since the first connection may merely be old; a third only while that is quick.
_PATIENCE_SECONDS = 0.3
_PAUSE_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Wait:
    """How many replicas must have an effect before it counts, and how long to wait for them."""

    replicas: int
    span: timedelta

    def after(self, key: str) -> list[bytes]:
        """Return the commands that follow an effect on the connection that made it.

        ``WAIT`` is documented to cover what its own connection wrote, and is answered from earlier acknowledgements where that suffices.
        A script that finds its work done already writes nothing, so a write of our own goes first: with it, all that is before it in
        the one stream of replication is acknowledged, whoever wrote it. It ends at once, so as not to be in the way of a slot that moves.
        """
        touched = f"{key[: key.index('}') + 1]}:touched"
        millis = self.span // timedelta(milliseconds=1)
        return [packed("SET", touched, "1", "PX", 1), packed("WAIT", self.replicas, millis)]


class Node:
    """One Redis process, or whichever of a group is the primary."""

    def __init__(self, connector: Connector) -> None:
        self._connector = connector
        # The last one in is the first one out; a deque is safe between threads.
        self._idle: deque[Any] = deque()
        self._away_until = 0.0
        self._away_reason = ""

    def ask(self, commands: Sequence[bytes], tries: int) -> list[Any]:
        """Send packed commands in one write and return the answers to all; what Redis refuses is among them.

        Args:
            commands: What to send.
            tries: How often to ask while the outcome is unknown. Whoever allows more than one knows that asking again does no harm.

        Raises:
            StorageError: Nobody answers, or nobody whom we take.
        """
        data = commands[0] if len(commands) == 1 else b"".join(commands)

        def talk(connection: Any) -> list[Any]:
            connection.send_packed_command([data], check_health=False)
            answers = [_read(connection) for _ in commands]
            if isinstance(answers[0], ReadOnlyError):
                # A primary that was demoted. It did nothing, and there may be a new one to connect to.
                raise answers[0]
            return answers

        return self._trying(talk, tries)

    def ask_durably(self, commands: Sequence[bytes], tries: int, key: str, wait: Wait) -> list[Any]:
        """Ask as ``ask``, and let what was done count only when enough replicas have it.

        Args:
            commands: What to send.
            tries: As for ``ask``.
            key: One of the keys that are written.
            wait: For how many replicas.

        Raises:
            StorageError: As for ``ask``; or too few replicas have it in time (``not_durable``): it was done, and may be lost.
        """
        answers = self.ask([*commands, *wait.after(key)], tries)
        given, acknowledged = answers[: len(commands)], answers[-1]
        for answer in given:
            if is_final(answer):
                raise storage_error(answer)
        enough = isinstance(acknowledged, int) and acknowledged >= wait.replicas
        if not enough and not all(isinstance(answer, ResponseError) for answer in given):
            # Perhaps a primary that was replaced and does not know it yet.
            self.drop()
            raise refused(NOT_DURABLE)
        return given

    def greet(self) -> None:
        """See whether the process is there and is what it should be.

        Raises:
            StorageError: It is not.
        """
        self._trying(self._connector.greet, 2)

    def drop(self) -> None:
        """Close the idle connections: whoever comes next connects anew."""
        self._connector.doubt()
        while (connection := self._take()) is not None:
            connection.disconnect()

    def _trying(self, talk: Callable[[Any], Answer], tries: int) -> Answer:
        """Talk over a connection; when that fails and there are tries left, over another.

        After a failure to reach it, everybody who comes within a moment gets the same answer at once, instead of one time-out after
        another.
        """
        began = time.monotonic()
        if began < self._away_until:
            raise refused(self._away_reason)
        tried = 0
        while True:
            tried += 1
            try:
                return self._talk(talk)
            except StorageError as error:
                self._leave_alone(error.reason)
                raise
            except RedisError as error:
                quick = tried == 1 or time.monotonic() < began + _PATIENCE_SECONDS
                if not (quick and tried < tries and _may_differ_next_time(error)):
                    if _is_away(error):
                        self._leave_alone("redis_away")
                    raise storage_error(error) from None
            if tried > 1:
                time.sleep(_PAUSE_SECONDS * random.random())  # noqa: S311 — spreads load, guards nothing

    def _talk(self, talk: Callable[[Any], Answer]) -> Answer:
        connection = self._take()
        try:
            if connection is None:
                connection = self._connector.connect()
            answer = talk(connection)
        except BaseException:
            if connection is not None:
                connection.disconnect()
            self.drop()
            raise
        self._idle.append(connection)
        return answer

    def _take(self) -> Any:
        try:
            return self._idle.pop()
        except IndexError:
            return None

    def _leave_alone(self, reason: str) -> None:
        self._away_reason = reason
        self._away_until = time.monotonic() + _AWAY_SECONDS


def _read(connection: Any) -> Any:
    try:
        return connection.read_response()
    except ResponseError as error:
        return error


def _is_away(error: RedisError) -> bool:
    return isinstance(error, RedisConnectionError | RedisTimeoutError)


def _may_differ_next_time(error: RedisError) -> bool:
    # A wrong password is a kind of ConnectionError to redis-py; it is not tried in a row.
    if isinstance(error, AuthenticationError):
        return False
    return _is_away(error) or isinstance(error, ReadOnlyError)


def packed(*command: Argument) -> bytes:
    """Return a command as Redis reads it: an array of bulk strings (RESP)."""
    parts = [b"*%d\r\n" % len(command)]
    for argument in command:
        if isinstance(argument, str):
            argument = argument.encode()  # noqa: PLW2901 — the same thing, in bytes
        elif isinstance(argument, int):
            argument = b"%d" % argument  # noqa: PLW2901 — the same thing, in bytes
        parts.append(b"$%d\r\n%b\r\n" % (len(argument), argument))
    return b"".join(parts)
