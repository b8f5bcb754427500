"""The link to Redis: one place that runs scripts, names keys and turns every error of the client library into ``StorageError``.

Two rules stand here and nowhere else:

* A command with an effect is never repeated blindly. redis-py 8 would repeat each up to ten times, also when only the reply was lost
  (security.md §0, finding 1), so its retries are off. Every script of ours that has an effect recognises its own work (by nonce, owner
  or the value it wrote), so asking once more *reads the outcome back*; that is what ``run`` does when the answer is unknown.
* Every key of one store carries the hash tag of its partition, so that each script stays in one slot of a cluster. ``use.lua`` and
  ``page.lua`` find further keys of the same partition by themselves.
"""

import contextlib
import hashlib
import ssl
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar

import redis
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, NoScriptError, RedisError, ResponseError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry

from service.core.errors import StorageError
from service.core.reference import PARTITIONS, partition_of

Argument = str | bytes | int
Answer = TypeVar("Answer")

_READS_REFERENCES = {"use", "look", "page"}
_AGAIN = timedelta(seconds=1)
_POOL_WAIT_SECONDS = 1
_AWAY_SECONDS = 0.25
_MAX_CONNECTIONS = 64


@dataclass(frozen=True, slots=True)
class RedisOptions:
    """How to reach Redis.

    Attributes:
        url: ``redis://``, ``rediss://`` or ``unix://``, without a password.
        username: For an ACL user; empty for the default one.
        password_file: Where the password is; read again for every connection, so that it can be changed while running.
        ca_file: Whom to trust for ``rediss://``; empty for the system's.
        timeout: For connecting, and for each answer.
    """

    url: str
    username: str
    password_file: str
    ca_file: str
    timeout: timedelta


class Partition:
    """The keys of one partition."""

    __slots__ = ("census", "due", "epochs", "prefix", "refused", "stores")

    def __init__(self, tag: str) -> None:
        self.prefix = f"b2b-broker:{{p{tag}}}:"
        self.epochs = f"{self.prefix}epochs"
        self.stores = f"{self.prefix}stores"
        self.due = f"{self.prefix}due"
        self.census = f"{self.prefix}census"
        self.refused = f"{self.prefix}refused"

    def key(self, kind: str, name: str) -> str:
        """Return the key of one thing of this partition."""
        return f"{self.prefix}{kind}:{name}"


PARTITION = {f"{number:02d}": Partition(f"{number:02d}") for number in range(PARTITIONS)}


def home(store_hash: str) -> Partition:
    """Return the partition of a store."""
    return PARTITION[partition_of(store_hash)]


class Script:
    """A Lua script, known to Redis by its digest."""

    def __init__(self, name: str) -> None:
        folder = files("service.adapters") / "lua"
        source = (folder / f"{name}.lua").read_text("utf-8")
        if name in _READS_REFERENCES:
            source = (folder / "live.lua").read_text("utf-8") + source
        self.source = source
        # Redis names scripts by SHA-1; nothing here relies on it being hard to forge.
        self.digest = hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()


class RedisLink:
    """Runs scripts on one Redis."""

    def __init__(self, client: "redis.Redis") -> None:
        self._client = client
        self._away_until = 0.0
        # The last one in is the first one out; a deque is safe between threads.
        self._idle: deque[Any] = deque()

    @classmethod
    def connect(cls, options: RedisOptions) -> "RedisLink":
        """Return a link; nothing is connected until the first use."""
        return cls(redis.Redis(connection_pool=_pool(options)))

    def run(self, script: Script, keys: Sequence[str], args: Sequence[Argument]) -> Any:
        """Run a script that recognises its own work; an unknown outcome is read back once.

        Raises:
            StorageError: Redis is away or refuses.
        """

        def read_back() -> Any:
            try:
                return self._evaluate(script, keys, args)
            except AuthenticationError:
                raise
            except (RedisConnectionError, RedisTimeoutError):
                return self._evaluate(script, keys, args)

        return self._asking(read_back)

    def run_many(
        self, script: Script, calls: Sequence[tuple[Sequence[str], Sequence[Argument]]]
    ) -> list[Any]:
        """Run one script for many places in one go.

        Raises:
            StorageError: Redis is away or refuses.
        """

        def loaded() -> list[Any]:
            try:
                return self._pipeline(script, calls)
            except NoScriptError:
                self._client.script_load(script.source)
                return self._pipeline(script, calls)

        return self._asking(loaded)

    def zrangebylex_many(self, keys: Sequence[str], minimum: str, limit: int) -> list[list[bytes]]:
        """Return the first ``limit`` members from ``minimum`` on of many sorted sets.

        Raises:
            StorageError: Redis is away or refuses.
        """

        def pages() -> list[list[bytes]]:
            with self._client.pipeline(transaction=False) as pipeline:
                for key in keys:
                    pipeline.zrangebylex(key, minimum, "+", start=0, num=limit)
                return pipeline.execute()

        return self._asking(pages)

    def hdel(self, key: str, fields: Sequence[str]) -> None:
        """Delete fields of a hash.

        Raises:
            StorageError: Redis is away or refuses.
        """
        self._asking(lambda: self._client.hdel(key, *fields))

    def ping(self) -> None:
        """See whether Redis answers.

        Raises:
            StorageError: It does not.
        """
        self._asking(self._client.ping)

    def _asking(self, ask: Callable[[], Answer]) -> Answer:
        """Return what Redis answers, and turn whatever goes wrong into ``StorageError``.

        After a failure to reach it, everybody who comes within a moment gets the same answer at once, instead of one time-out after
        another.
        """
        if time.monotonic() < self._away_until:
            raise _away("redis_away")
        try:
            return ask()
        except RedisError as error:
            if isinstance(error, RedisConnectionError | RedisTimeoutError):
                self._away_until = time.monotonic() + _AWAY_SECONDS
            raise storage_error(error) from None

    def _evaluate(self, script: Script, keys: Sequence[str], args: Sequence[Argument]) -> Any:
        try:
            return self._ask("EVALSHA", script.digest, len(keys), *keys, *args)
        except NoScriptError:
            return self._ask("EVAL", script.source, len(keys), *keys, *args)

    def _ask(self, *command: Argument) -> Any:
        """Send one command and return its answer, without the layers that redis-py's client puts in between (ADR 15).

        A connection is used again only after it gave a whole answer. When one fails, all that are idle are dropped: they are as old.
        """
        connection = self._connection()
        try:
            connection.send_packed_command([_packed(command)], check_health=False)
            answer = connection.read_response()
        except ResponseError:
            self._idle.append(connection)
            raise
        except BaseException:
            connection.disconnect()
            self._drop_idle()
            raise
        self._idle.append(connection)
        return answer

    def _connection(self) -> Any:
        try:
            return self._idle.pop()
        except IndexError:
            connection: Any = self._client.connection_pool.make_connection()
            connection.connect()
            return connection

    def _drop_idle(self) -> None:
        while self._idle:
            with contextlib.suppress(IndexError):  # another thread took the last one
                self._idle.pop().disconnect()

    def _pipeline(
        self, script: Script, calls: Sequence[tuple[Sequence[str], Sequence[Argument]]]
    ) -> list[Any]:
        with self._client.pipeline(transaction=False) as pipeline:
            for keys, args in calls:
                pipeline.evalsha(script.digest, len(keys), *keys, *args)
            return pipeline.execute()


def _packed(command: Sequence[Argument]) -> bytes:
    """Return a command as Redis reads it: an array of bulk strings (RESP)."""
    parts = [b"*%d\r\n" % len(command)]
    for argument in command:
        if isinstance(argument, str):
            argument = argument.encode()  # noqa: PLW2901 — the same thing, in bytes
        elif isinstance(argument, int):
            argument = b"%d" % argument  # noqa: PLW2901 — the same thing, in bytes
        parts.append(b"$%d\r\n%b\r\n" % (len(argument), argument))
    return b"".join(parts)


def storage_error(error: RedisError) -> StorageError:
    """Return our error for one of the client library. Its text may quote data, so only its kind is kept."""
    name = type(error).__name__
    first_word = str(error).partition(" ")[0]
    reason = f"redis_{first_word.lower()}" if first_word in _WORDS else f"redis_{name}"
    return _away(reason)


def _away(reason: str) -> StorageError:
    return StorageError("The broker's storage does not answer.", reason=reason, retry_after=_AGAIN)


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


class _PasswordFile(redis.CredentialProvider):
    """Reads the password for every new connection."""

    def __init__(self, username: str, path: str) -> None:
        self._username = username
        self._path = path

    def get_credentials(self) -> tuple[str] | tuple[str, str]:
        try:
            password = Path(self._path).read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError):
            raise RedisConnectionError("the password file cannot be read") from None
        return (self._username, password) if self._username else (password,)


def _pool(options: RedisOptions) -> redis.BlockingConnectionPool:
    seconds = options.timeout.total_seconds()
    extra: dict[str, Any] = {}
    if options.password_file:
        extra["credential_provider"] = _PasswordFile(options.username, options.password_file)
    if options.url.startswith("rediss://"):
        extra["ssl_min_version"] = ssl.TLSVersion.TLSv1_2
        if options.ca_file:
            extra["ssl_ca_certs"] = options.ca_file
    return redis.BlockingConnectionPool.from_url(
        options.url,
        max_connections=_MAX_CONNECTIONS,
        timeout=_POOL_WAIT_SECONDS,
        socket_timeout=seconds,
        socket_connect_timeout=seconds,
        retry=Retry(NoBackoff(), 0),
        client_name="b2b-broker",
        **extra,
    )
