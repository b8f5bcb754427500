"""Connections to one Redis process, and what is asked of it before the first command of ours.

redis-py makes them, from its parser to TLS and ``HELLO``; its pools and its retries are not used (ADR 15, ADR 18).
"""

import re
import ssl
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol

import redis
from redis.backoff import NoBackoff
from redis.connection import parse_url
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.retry import Retry

from service.adapters.redis_errors import EVICTS, refused

_POLICY = re.compile(rb"^maxmemory_policy:(\S+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class RedisOptions:
    """How to reach Redis.

    Attributes:
        url: As ``BROKER_REDIS_URL``: one process, sentinels, or a cluster.
        username: For an ACL user; empty for the default one.
        password_file: Where the password is; read again for every connection, so that it can be changed while running.
        ca_file: Whom to trust over TLS; empty for the system's.
        timeout: For connecting, and for each answer.
        sentinel_password_file: The same for sentinels; empty if they ask for none.
        allow_evicting: Do not look at the eviction policy.
    """

    url: str
    username: str
    password_file: str
    ca_file: str
    timeout: timedelta
    sentinel_password_file: str = ""
    allow_evicting: bool = False


class Connector(Protocol):
    """Makes the connections of a node."""

    def connect(self) -> Any:
        """Return a connection that was greeted.

        Raises:
            RedisError: There is nobody, or nobody who takes us.
            StorageError: Somebody whom we do not take.
        """

    def greet(self, connection: Any) -> None:
        """See over a connection whether the other side is what it should be. Raises as ``connect``."""

    def doubt(self) -> None:
        """Hear that what was connected to proved to be the wrong place."""


class Process:
    """Connects to one process at one address. Fulfils ``Connector``."""

    def __init__(self, arguments: dict[str, Any], *, allow_evicting: bool) -> None:
        """Take the arguments of redis-py's connection, whose kind is among them."""
        self._arguments = dict(arguments)
        self._kind: Any = self._arguments.pop("connection_class", redis.Connection)
        self._allow_evicting = allow_evicting

    def connect(self) -> Any:
        """See ``Connector.connect``."""
        connection = self._kind(**self._arguments)
        try:
            connection.connect()
            self.greet(connection)
        except BaseException:
            connection.disconnect()
            raise
        return connection

    def greet(self, connection: Any) -> None:
        """Refuse a Redis that may evict: a lost fence or epoch would let a revoked reference work again."""
        if self._allow_evicting:
            connection.send_command("PING", check_health=False)
            connection.read_response()
            return
        connection.send_command("INFO", "memory", check_health=False)
        policy = _POLICY.search(connection.read_response())
        if policy is not None and policy[1] != b"noeviction":
            raise refused(EVICTS)

    def doubt(self) -> None:
        """Do nothing: there is only this address."""


def process_of(options: RedisOptions) -> Process:
    """Return the connector of a URL that names one process."""
    found = parse_url(options.url)  # type: ignore[no-untyped-call]  # the library leaves it untyped
    arguments = {**connection_arguments(options), **found}
    if options.url.startswith("rediss://"):
        arguments |= tls_arguments(options)
    return Process(arguments, allow_evicting=options.allow_evicting)


def connection_arguments(options: RedisOptions) -> dict[str, Any]:
    """Return what every connection is made with, wherever it leads."""
    return bare_arguments(options) | credentials(options.username, options.password_file)


def bare_arguments(options: RedisOptions) -> dict[str, Any]:
    """Return what every connection is made with, who we are apart."""
    seconds = options.timeout.total_seconds()
    return {
        "socket_timeout": seconds,
        "socket_connect_timeout": seconds,
        "retry": Retry(NoBackoff(), 0),
        "client_name": "b2b-broker",
    }


def tls_arguments(options: RedisOptions) -> dict[str, Any]:
    """Return what a connection over TLS is made with."""
    arguments: dict[str, Any] = {
        "connection_class": redis.SSLConnection,
        "ssl_min_version": ssl.TLSVersion.TLSv1_2,
    }
    if options.ca_file:
        arguments["ssl_ca_certs"] = options.ca_file
    return arguments


def credentials(username: str, password_file: str) -> dict[str, Any]:
    """Return how a connection says who we are, if there is a password."""
    if not password_file:
        return {}
    return {"credential_provider": _PasswordFile(username, password_file)}


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
