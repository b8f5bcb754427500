"""The floors: what a Flask application under gunicorn costs before it does anything, with one Redis script call, and as a bare proxy.

They run with the broker's own gunicorn options, taken from the broker's own function, so that nothing but the application differs.
``python -m bench.floors bare``, ``redis`` and ``urllib3 PORT`` read the same environment as the broker does.
"""

import hashlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import redis
import urllib3
from flask import Flask, Response, request
from gunicorn.app.base import BaseApplication

from service.server import gunicorn_options
from service.settings import load_settings

ANSWER = {"status": "ok", "store_hash": "abc123"}
KEYS = ("bench:{floor}:reference", "bench:{floor}:store")
_POOLED = 32
_CHUNK_BYTES = 64 * 1024
_SCRIPT = Path(__file__).with_name("floor.lua")
# The ops port is the broker's, and its thread sleeps under load.
_OPS_HOOKS = ("on_starting", "post_fork", "post_worker_init", "child_exit")


def bare_app() -> Flask:
    """Return an application that answers a fixed document."""
    app = Flask("floor-bare", static_folder=None)

    @app.post("/v1/references/redeem")
    def _answer() -> dict[str, str]:
        return ANSWER

    return app


def redis_app(url: str) -> Flask:
    """Return the same application with one script call before the answer."""
    app = Flask("floor-redis", static_folder=None)
    client = redis.Redis.from_url(url)
    source = _SCRIPT.read_text("utf-8")
    digest = hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()

    @app.post("/v1/references/redeem")
    def _answer() -> dict[str, str]:
        client.evalsha(digest, len(KEYS), *KEYS)
        return ANSWER

    return app


def proxying_app(port: int) -> Flask:
    """Return an application that passes a request on to a server on loopback with one header more, and streams the answer."""
    app = Flask("floor-urllib3", static_folder=None)
    pool = urllib3.HTTPConnectionPool("127.0.0.1", port, maxsize=_POOLED, block=True)

    @app.get("/v1/proxy/<path:rest>")
    def _forward(rest: str) -> Response:
        answer = pool.urlopen(
            "GET",
            f"/{rest}?{request.query_string.decode()}",
            headers={"authToken": "the-token"},
            preload_content=False,
        )
        chunks = answer.stream(_CHUNK_BYTES)
        response = Response(chunks, answer.status, list(answer.headers.items()))
        response.call_on_close(answer.release_conn)
        return response

    return app


def write_records(client: "redis.Redis") -> None:
    """Write what the script reads, as long as the broker's records are, and make the script known."""
    grant = (
        '{"access":"redeem","audience":"k8s:commerce/order-worker","expires_at":1795400000000,"max_uses":1000000,'
        '"minted_at":1795396400000,"minted_by":"k8s:commerce/order-sync","requests":[],"store_hash":"abc123"}'
    )
    client.set(KEYS[0], f"1 9999999 {grant}")
    client.set(KEYS[1], "1 active 1 " + "x" * 800)
    client.script_load(_SCRIPT.read_text("utf-8"))


class FloorServer(BaseApplication):
    """gunicorn with the broker's options, less those of its ops port."""

    def __init__(self, options: dict[str, Any], make: Callable[[], Flask]) -> None:
        self._options = {name: options[name] for name in options if name not in _OPS_HOOKS}
        self._make = make
        super().__init__()

    def load_config(self) -> None:
        """Take the options."""
        for name, value in self._options.items():
            self.cfg.set(name, value)

    def load(self) -> Any:
        """Make the application in the worker, as the broker does."""
        return self._make()


def main() -> None:
    """Serve the floor that the first argument names."""
    settings = load_settings()
    makers = {
        "bare": bare_app,
        "redis": lambda: redis_app(settings.redis_url),
        "urllib3": lambda: proxying_app(int(sys.argv[2])),
    }
    FloorServer(gunicorn_options(settings), makers[sys.argv[1]]).run()


if __name__ == "__main__":
    main()
