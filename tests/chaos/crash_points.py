"""Where the broker can be made to die: every step that touches the world, with a point before and one behind it.

The points are put around the adapters' methods from outside; the broker itself knows nothing of them.

* ``<step>.before`` and ``<step>.after`` for each step of ``_STEPS`` (Redis) and of the audit trail (``started``, ``allowed``, ``failed``);
* for each exchange with the upstream (``post``, ``list``, ``delete``, ``check``): ``.connect`` and ``.connected`` (new connections only),
  ``.half`` (of the request's body is sent), ``.sent``, ``.headers``, ``.body``;
* ``answer.half``: half of the answer to the caller is written.
"""

import functools
import json
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any

from service.adapters.audit_file import AuditFile
from service.adapters.redis_keys import RedisKeys
from service.adapters.redis_maintenance import RedisMaintenance
from service.adapters.redis_references import RedisReferences
from service.adapters.redis_stores import RedisStores
from service.adapters.upstream_link import UpstreamLink
from service.adapters.upstream_response import UpstreamResponse
from service.core.audit import AuditEntry
from service.core.store_ports import Start
from service.core.upstream_ports import ProxyRequest
from tests.chaos.crashing import is_about, passed

#: class, method → name of the step; the store's hash is the first argument, or in it
_STEPS: dict[tuple[type, str], str] = {
    (RedisStores, "begin"): "begin",
    (RedisStores, "settle"): "settle",
    (RedisStores, "replace"): "replace",
    (RedisStores, "forget_attempts"): "forget",
    (RedisStores, "remove"): "remove",
    (RedisReferences, "mint"): "mint",
    (RedisReferences, "use"): "use",
    (RedisReferences, "revoke_store"): "revoke_store",
    (RedisKeys, "swap"): "swap",
    (RedisKeys, "note_rewrapping"): "note",
    (RedisKeys, "announce"): "announce",
    (RedisMaintenance, "claim"): "claim",
    (RedisMaintenance, "due"): "due",
    (RedisMaintenance, "look_at"): "look_at",
    (RedisMaintenance, "looked_at"): "looked_at",
}
_STORE_FIRST = {"settle", "replace", "forget", "remove", "revoke_store", "look_at", "looked_at"}
#: method, path → name of the exchange
_EXCHANGES = {
    ("POST", "/api/io/auth/backend"): "post",
    ("GET", "/api/io/backend/tokens"): "list",
    ("DELETE", "/api/io/auth/backend"): "delete",
    ("GET", "/api/v3/io/companies"): "check",
}
_exchange = threading.local()


def put_points() -> None:
    """Put points around the adapters' methods."""
    for (owner, method), step in _STEPS.items():
        _wrap(owner, method, functools.partial(_step, step))
    _wrap(RedisStores, "read", _reading)
    _wrap(AuditFile, "record", _recording)
    _wrap(UpstreamLink, "exchange", _exchanging)
    _wrap(UpstreamLink, "_connect", lambda real: _within_exchange(real, "connect", "connected"))
    _wrap(UpstreamLink, "_send", lambda real: _within_exchange(real, "sending", "sent"))
    _wrap(UpstreamResponse, "read", lambda real: _within_exchange(real, "headers", "body"))


class HalfAnswered:
    """A WSGI application that gives each part of its answers in two halves, with a point between."""

    def __init__(self, application: Callable[..., Iterable[bytes]]) -> None:
        self._application = application

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        """Answer."""
        body = self._application(environ, start_response)
        try:
            for part in body:
                yield part[: len(part) // 2]
                passed("answer.half")
                yield part[len(part) // 2 :]
        finally:
            getattr(body, "close", bool)()


def _wrap(owner: type, method: str, around: Callable[[Any], Any]) -> None:
    real = getattr(owner, method)
    setattr(owner, method, functools.wraps(real)(around(real)))


def _step(step: str, real: Callable[..., Any]) -> Callable[..., Any]:
    def crossing(adapter: Any, *args: Any, **kwargs: Any) -> Any:
        if args and isinstance(args[0], Start):
            is_about(args[0].store_hash)
        elif step in _STORE_FIRST:
            is_about(args[0])
        passed(f"{step}.before")
        result = real(adapter, *args, **kwargs)
        passed(f"{step}.after")
        return result

    return crossing


def _reading(real: Callable[..., Any]) -> Callable[..., Any]:
    def reading(adapter: Any, store_hashes: Iterable[str], now: Any) -> Any:
        names = list(store_hashes)
        if len(names) == 1:
            is_about(names[0])
        return real(adapter, names, now)

    return reading


def _recording(real: Callable[..., Any]) -> Callable[..., Any]:
    def recording(sink: AuditFile, entry: AuditEntry) -> None:
        if entry.store_hash:
            is_about(entry.store_hash)
        passed(f"{entry.outcome}.before")
        real(sink, entry)
        passed(f"{entry.outcome}.after")

    return recording


def _exchanging(real: Callable[..., Any]) -> Callable[..., Any]:
    def exchanging(link: UpstreamLink, request: ProxyRequest, *, fresh: bool = False) -> Any:
        path = request.target.partition("?")[0]
        _exchange.name = _EXCHANGES.get((request.method, path), "proxy")
        if isinstance(request.body, list):
            content = b"".join(request.body)
            if _exchange.name == "post":
                is_about(json.loads(content)["storeHash"])
            request = replace(request, body=_in_halves(content))
        return real(link, request, fresh=fresh)

    return exchanging


def _in_halves(content: bytes) -> Iterator[bytes]:
    yield content[: len(content) // 2]
    passed(f"{_exchange.name}.half")
    yield content[len(content) // 2 :]


def _within_exchange(real: Callable[..., Any], before: str, after: str) -> Callable[..., Any]:
    def crossing(*args: Any, **kwargs: Any) -> Any:
        passed(f"{_exchange.name}.{before}")
        result = real(*args, **kwargs)
        passed(f"{_exchange.name}.{after}")
        return result

    return crossing
