"""Where a secret could be seen: each channel by name, with all that was in it.

A new channel is one more function in ``CHANNELS``, and its control in ``CERTAIN``: something that certainly is in it, so that a channel
that is not being read is noticed.
"""

from collections.abc import Callable
from pathlib import Path

import redis
import urllib3

from sandbox.demo.stack import ROOT
from tests.leaks.arena import PLANTED, Arena


def _dump(arena: Arena) -> bytes:
    return (arena.folder / "dump.rdb").read_bytes()


def _append_only_file(arena: Arena) -> bytes:
    return _all_of(arena.folder / "appendonlydir")


def _monitor(arena: Arena) -> bytes:
    return bytes(arena.monitored)


def _slow_log(arena: Arena) -> bytes:
    with arena.redis() as client:
        asked = ("SLOWLOG GET -1", "ACL LOG", "CLIENT LIST", "INFO everything")
        return b"\n".join(repr(_execute(client, words)).encode() for words in asked)


def _execute(client: "redis.Redis", words: str) -> object:
    return client.execute_command(*words.split())  # type: ignore[no-untyped-call]  # the library leaves it untyped


def _output(arena: Arena) -> bytes:
    streams = (path for broker in arena.brokers for path in (broker.stdout, broker.stderr))
    return b"\n".join(map(Path.read_bytes, streams))


def _ops(arena: Arena) -> bytes:
    port = arena.service.stack.ops_port
    paths = ("metrics", "readyz", "livez")
    return b"\n".join(
        urllib3.request("GET", f"http://127.0.0.1:{port}/{path}").data for path in paths
    )


def _documents(arena: Arena) -> bytes:
    return b"\n".join(
        arena.recorder.ask("", "GET", path).content for path in ("/openapi.json", "/docs")
    )


def _all_of(folder: Path) -> bytes:
    return b"\n".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


#: name → reads it
CHANNELS: dict[str, Callable[[Arena], bytes]] = {
    "Redis's dump": _dump,
    "Redis's append-only file": _append_only_file,
    "Redis's MONITOR": _monitor,
    "Redis's own logs": _slow_log,
    "the brokers' output": _output,
    "the audit trail": lambda arena: arena.service.stack.audit_file.read_bytes(),
    "metrics and health": _ops,
    "answers": lambda arena: b"\n".join(arena.recorder.answers),
    "the API's documents": _documents,
    "traces": lambda arena: b"\n".join(arena.collector.bodies),
    "requests to the upstream": lambda arena: arena.tap.without_allowed(),
    "every file that was written": lambda arena: _all_of(arena.folder),
    "the broker's own files": lambda _: _all_of(ROOT / "service"),
    "environments": lambda arena: b"\n".join(arena.seen["environments"]),
    "arguments": lambda arena: b"\n".join(arena.seen["arguments"]),
    "open files": lambda arena: b"\n".join(arena.seen["open files"]),
    "the commands' output": lambda arena: b"\n".join(arena.seen["commands"]),
}
#: name → what certainly is in it
CERTAIN: dict[str, str] = {
    "Redis's dump": "b2b-broker:{p",
    "Redis's append-only file": "b2b-broker:{p",
    "Redis's MONITOR": "b2b-broker:{p",
    "Redis's own logs": "b2b-broker:{p",
    "the brokers' output": PLANTED,
    "the audit trail": PLANTED,
    "metrics and health": "b2b_broker_http_requests_total",
    "answers": PLANTED,
    "the API's documents": "/v1/references/introspect",
    "traces": PLANTED,
    "requests to the upstream": PLANTED,
    "every file that was written": PLANTED,
    "the broker's own files": "composition root",
    "environments": PLANTED,
    "arguments": "tests.leaks.defective_broker",
    "open files": PLANTED,
    "the commands' output": "credential_incorrect",
}
