"""The proxies that are compared: the broker's, the least that a Flask application could do with urllib3, and nginx where it is installed.

All of them stand before the same cheap origin and add one header. They get the broker's own requests.
"""

import contextlib
import shutil
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.load import Target
from sandbox.demo.processes import Program, accepts, free_port, stopping
from sandbox.demo.stack import ROOT, Stack, broker_settings, start_broker

SIZES: Mapping[str, int] = {"2 KB": 2_048, "1 MB": 1_048_576}
PROXY, FLOOR_URLLIB3, NGINX = "proxy", "floor C: Flask + urllib3", "nginx"
PATH = "/v1/proxy/api/v3/io/companies"
_WORKERS = 2
_NGINX_CONFIG = """\
daemon off; pid {folder}/nginx.pid; error_log stderr; worker_processes {workers}; {user}
events {{ worker_connections 1024; }}
http {{
  access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/temp;
  fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  upstream origin {{ server 127.0.0.1:{origin}; keepalive 64; }}
  server {{
    listen 127.0.0.1:{port};
    keepalive_requests 100000000;
    location /v1/proxy/ {{
      proxy_pass http://origin/; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_set_header Authorization ""; proxy_set_header authToken the-token;
    }}
  }}
}}
"""


@dataclass(frozen=True, slots=True)
class Proxies:
    """What runs.

    Attributes:
        targets: Of each size, floor first.
        workers: Worker processes, by the target's name.
    """

    targets: tuple[Target, ...]
    workers: Mapping[str, tuple[int, ...]]


def named(program: str, size: str) -> str:
    """Return the name of a target."""
    return f"{program}, {size}"


def start_proxies(
    running: contextlib.ExitStack,
    stack: Stack,
    settings: Mapping[str, str],
    requests: Iterable[tuple[str, tuple[bytes, ...]]],
) -> Proxies:
    """Start the origin, a broker before it that shares the stack's Redis and keys, and the others.

    Args:
        running: Stops them.
        stack: Its store is active, and its references are good at any broker.
        settings: Of the broker.
        requests: For each name of ``SIZES`` the prepared requests.
    """
    origin = free_port()
    start = _Starter(running, stack.folder / "proxies", origin)
    start.python("origin", "bench.origin", str(origin)).wait_ready(lambda: accepts(origin))
    servers = {
        FLOOR_URLLIB3: start.floor(stack.redis_port),
        PROXY: start.broker(stack, settings),
    }
    if shutil.which("nginx"):
        servers[NGINX] = start.nginx()
    targets = [
        Target(named(name, size), port, 200, prepared, named(FLOOR_URLLIB3, size))
        for size, prepared in requests
        for name, (_, port) in servers.items()
    ]
    workers = {
        named(name, size): tuple(program.children())
        for size in SIZES
        for name, (program, _) in servers.items()
    }
    return Proxies(tuple(targets), workers)


class _Starter:
    """Starts programs that write to one folder."""

    def __init__(self, running: contextlib.ExitStack, folder: Path, origin: int) -> None:
        folder.mkdir()
        self._running = running
        self._folder = folder
        self._origin = origin

    def python(self, name: str, module: str, *arguments: str, **environment: str) -> Program:
        """Start a module."""
        command = [sys.executable, "-m", module, *arguments]
        return self._started(name, command, {"PYTHONPATH": str(ROOT), **environment})

    def floor(self, redis_port: int) -> tuple[Program, int]:
        """Start floor C."""
        port = free_port()
        program = self.python(
            "floor",
            "bench.floors",
            *("urllib3", str(self._origin)),
            BROKER_BIND=f"127.0.0.1:{port}",
            BROKER_REDIS_URL=f"redis://127.0.0.1:{redis_port}/0",
            WEB_CONCURRENCY=str(_WORKERS),
        )
        return _ready(program, port)

    def broker(self, stack: Stack, settings: Mapping[str, str]) -> tuple[Program, int]:
        """Start a broker whose upstream is the origin."""
        port, ops_port = free_port(), free_port()
        url = f"http://127.0.0.1:{self._origin}"
        access, keyring = stack.folder / "access.yaml", stack.folder / "keyring"
        own = broker_settings(self._folder, access, keyring, stack.redis_port, url)
        program = start_broker(self._folder, own | dict(settings), port, ops_port)
        self._running.enter_context(stopping(program))
        return _ready(program, port)

    def nginx(self) -> tuple[Program, int]:
        """Start nginx with as many workers."""
        port = free_port()
        config = self._folder / "nginx.conf"
        user = "user root;" if Path("/root").owner() == Path.home().owner() else ""
        text = _NGINX_CONFIG.format(
            folder=self._folder, workers=_WORKERS, user=user, origin=self._origin, port=port
        )
        config.write_text(text, "utf-8")
        program = self._started("nginx", ["nginx", "-c", str(config), "-e", "stderr"], {})
        return _ready(program, port)

    def _started(self, name: str, arguments: list[str], environment: Mapping[str, str]) -> Program:
        program = Program(name, arguments, self._folder, environment)
        self._running.enter_context(stopping(program))
        return program


def _ready(program: Program, port: int) -> tuple[Program, int]:
    program.wait_ready(lambda: accepts(port) and len(program.children()) == _WORKERS)
    return program, port
