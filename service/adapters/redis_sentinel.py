"""Sentinels: whoever they say is the primary is the one process that we talk to.

They are asked for every new connection, so a failover needs nothing more than that the old connections go: they break, or
``READONLY`` or a missing acknowledgement shows that they lead to the wrong place.

Source: Redis, "Guidelines for Redis clients with support for Redis Sentinel".
"""

import copy
from typing import Any

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.sentinel import Sentinel

from service.adapters.redis_connections import Process


class SentinelPrimary:
    """Connects to the primary of a group. Fulfils ``Connector``."""

    def __init__(
        self, sentinels: Sentinel, name: str, arguments: dict[str, Any], *, allow_evicting: bool
    ) -> None:
        """Take the sentinels, the group's name, and what connections to its processes are made with."""
        self._sentinels = sentinels
        self._order = tuple(sentinels.sentinels)
        self._name = name
        self._arguments = arguments
        self._allow_evicting = allow_evicting

    def connect(self) -> Any:
        """See ``Connector.connect``."""
        host, port = self._discover()
        process = self._process({"host": host, "port": port})
        connection = process.connect()
        try:
            _see_that_it_is_primary(connection)
        except BaseException:
            connection.disconnect()
            raise
        return connection

    def greet(self, connection: Any) -> None:
        """See ``Connector.greet``."""
        self._process({}).greet(connection)
        _see_that_it_is_primary(connection)

    def doubt(self) -> None:
        """Ask another sentinel first next time: the one asked last may be on the wrong side of a partition."""
        self._order = (*self._order[1:], self._order[0])

    def _discover(self) -> tuple[str, int]:
        """Return the primary's address as the first sentinel that answers gives it; next time that one is asked first.

        redis-py moves it to the front of a list, which two threads must not do to the same list.
        """
        asked: Any = copy.copy(self._sentinels)  # the library leaves its methods untyped
        asked.sentinels = list(self._order)
        host, port = asked.discover_master(self._name)
        self._order = tuple(asked.sentinels)
        return host, port

    def _process(self, address: dict[str, Any]) -> Process:
        return Process(self._arguments | address, allow_evicting=self._allow_evicting)


def _see_that_it_is_primary(connection: Any) -> None:
    connection.send_command("ROLE", check_health=False)
    if connection.read_response()[0] != b"master":
        raise RedisConnectionError("no primary")
