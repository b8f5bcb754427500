"""From ``BROKER_REDIS_URL`` to the processes behind it.

* ``redis://host:6379/0``, ``rediss://…``, ``unix:///path``: one process;
* ``redis+sentinel://host:26379,host/name/0``: the primary of the group that sentinels know by this name;
* ``redis+cluster://host:6379,host``: a cluster, found through any of these.

``rediss+…`` is TLS to everybody, sentinels included.
"""

import re
from typing import Any

from redis.sentinel import Sentinel

from service.adapters.redis_cluster import Address, ClusterNodes, map_finder
from service.adapters.redis_connections import (
    Process,
    RedisOptions,
    bare_arguments,
    connection_arguments,
    credentials,
    process_of,
    tls_arguments,
)
from service.adapters.redis_node import Node
from service.adapters.redis_nodes import Nodes, OneNode
from service.adapters.redis_sentinel import SentinelPrimary

_SEVERAL = re.compile(
    r"(?P<scheme>rediss?)\+(?P<kind>sentinel|cluster)://(?P<hosts>[^/]+)(/(?P<path>.*))?", re.ASCII
)
_HOST = re.compile(r"(\[(?P<v6>[^]]+)\]|(?P<name>[^:]+))(:(?P<port>[0-9]+))?", re.ASCII)
_DEFAULT_PORT = {"sentinel": 26379, "cluster": 6379}
_SENTINEL_SECONDS = 0.5


def nodes_of(options: RedisOptions) -> Nodes:
    """Return the processes of a Redis; nothing is connected until the first use."""
    found = _SEVERAL.fullmatch(options.url)
    if found is None:
        return OneNode(Node(process_of(options)))
    hosts = [_address(host, _DEFAULT_PORT[found["kind"]]) for host in found["hosts"].split(",")]
    tls = tls_arguments(options) if found["scheme"] == "rediss" else {}
    arguments = connection_arguments(options) | tls
    if found["kind"] == "cluster":
        return _cluster(hosts, arguments, options)
    name, _, database = (found["path"] or "").partition("/")
    arguments["db"] = int(database or 0)
    primary = SentinelPrimary(
        _sentinels(hosts, options, tls=bool(tls)),
        name,
        arguments,
        allow_evicting=options.allow_evicting,
    )
    return OneNode(Node(primary))


def _address(host: str, default: int) -> Address:
    found = _HOST.fullmatch(host)
    if found is None:
        raise ValueError("not a host")
    return found["v6"] or found["name"], int(found["port"] or default)


def _sentinels(hosts: list[Address], options: RedisOptions, *, tls: bool) -> Sentinel:
    seconds = min(_SENTINEL_SECONDS, options.timeout.total_seconds())
    arguments = bare_arguments(options) | credentials("", options.sentinel_password_file)
    arguments |= {"socket_timeout": seconds, "socket_connect_timeout": seconds}
    if tls:
        arguments |= _client_tls(options)
    return Sentinel(hosts, sentinel_kwargs=arguments)  # type: ignore[no-untyped-call]  # the library leaves it untyped


def _cluster(hosts: list[Address], arguments: dict[str, Any], options: RedisOptions) -> Nodes:
    def node_at(address: Address) -> Node:
        host, port = address
        here = arguments | {"host": host, "port": port}
        return Node(Process(here, allow_evicting=options.allow_evicting))

    for_clients = {name: arguments[name] for name in arguments if name != "connection_class"}
    del for_clients["retry"]  # of its own, with none
    if "connection_class" in arguments:
        for_clients |= _client_tls(options)
    return ClusterNodes(hosts, map_finder(for_clients), node_at)


def _client_tls(options: RedisOptions) -> dict[str, Any]:
    """Return TLS as redis-py's clients take it: with a flag instead of a kind of connection."""
    arguments = tls_arguments(options)
    del arguments["connection_class"]
    return arguments | {"ssl": True}
