"""gunicorn as this project runs it: every option with its reason, and the ops port.

Source: DESIGN §14; security.md §7; ecosystem.md §3.4.
"""

import logging
import os
import socket
import ssl
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import structlog
from gunicorn.app.base import BaseApplication
from gunicorn.glogging import Logger

from service.adapters import counting_folder
from service.adapters.host import HostError, connections, listening_socket, writable_folder
from service.adapters.metrics import MULTIPROCESS
from service.settings import Settings, SettingsError
from service.web.ops import Check, create_ops_app
from service.web.ops_server import OpsServer

_BACKLOG = 64


def gunicorn_options(settings: Settings) -> dict[str, Any]:
    """Return gunicorn's configuration.

    Raises:
        HostError: The host does not allow enough.
    """
    options: dict[str, Any] = {
        "bind": settings.bind,
        "workers": settings.web_concurrency,
        "worker_class": "service.worker.BrokerWorker",
        "threads": settings.threads,
        # Beyond them, the one that has been idle for longest is closed.
        "worker_connections": connections(settings.threads),
        "backlog": 2048,
        "keepalive": 75,
        "graceful_timeout": 25,
        # Of a worker's heartbeat. Requests have their own total deadlines.
        "timeout": 60,
        "worker_tmp_dir": str(writable_folder()),
        # A peer may not tell us who it is or rewrite the path, not even from loopback.
        "forwarded_allow_ips": "",
        "forwarder_headers": "",
        "header_map": "refuse",
        "secure_scheme_headers": {},
        # The control socket would be a second, unauthenticated API.
        "control_socket_disable": True,
        "limit_request_line": 8190,
        "limit_request_fields": 64,
        "limit_request_field_size": 16_380,
        # gunicorn's own would log request lines, with their queries; the app writes its own line.
        "logger_class": "service.server.BrokerLogger",
        "loglevel": settings.log_level,
        "on_starting": _open_ops_port(settings.ops_bind),
        "post_fork": _hand_over_ops_port,
        "post_worker_init": _serve_ops,
        "worker_exit": _stop_broker,
        "child_exit": _forget_worker,
        "on_exit": _forget_counts,
    }
    if settings.tls_cert_file:
        options |= {
            "certfile": settings.tls_cert_file,
            "keyfile": settings.tls_key_file,
            "ssl_context": _Tls(
                settings.tls_cert_file, settings.tls_key_file, settings.tls_client_ca_file
            ),
        }
    if settings.tls_client_ca_file:
        # Optional, because a caller may prove who it is by a token instead.
        options |= {"ca_certs": settings.tls_client_ca_file, "cert_reqs": ssl.CERT_OPTIONAL}
    return options


def check_tls_files(settings: Settings) -> None:
    """See whether the certificate, its key and the authorities are what they should be, before anybody connects.

    Raises:
        SettingsError: One of them is not.
    """
    if not settings.tls_cert_file:
        return
    try:
        ssl.create_default_context().load_cert_chain(settings.tls_cert_file, settings.tls_key_file)
    except OSError:
        raise SettingsError(
            "BROKER_TLS_CERT_FILE and BROKER_TLS_KEY_FILE: not a certificate and the key to it"
        ) from None
    try:
        ssl.create_default_context(cafile=settings.tls_client_ca_file or None)
    except OSError:
        raise SettingsError("BROKER_TLS_CLIENT_CA_FILE: no certificates in it") from None


def check_addresses(settings: Settings) -> None:
    """See whether the two addresses can be listened at, before gunicorn tries for seconds and says so in many lines.

    Raises:
        SettingsError: One of them cannot.
    """
    for name, address in (("BROKER_BIND", settings.bind), ("BROKER_OPS_BIND", settings.ops_bind)):
        _listen(name, address).close()


def _listen(name: str, address: str, backlog: int = 0) -> socket.socket:
    try:
        return listening_socket(address, backlog)
    except HostError as error:
        raise SettingsError(f"{name}: cannot listen there: {error}") from None


class BrokerLogger(Logger):
    """gunicorn's own messages, written as everything else is, and no access log at all."""

    def setup(self, cfg: Any) -> None:
        """Leave the handlers as ``configure_logs`` made them."""
        # Below that level it logs the path of every request, which is the caller's own text: it may hold a reference.
        self.error_log.setLevel(
            max(logging.INFO, logging.getLevelNamesMapping()[cfg.loglevel.upper()])
        )
        self.error_log.propagate = True

    def access(self, resp: Any, req: Any, environ: Any, request_time: Any) -> None:
        """Write nothing."""

    def reopen_files(self) -> None:
        """Do nothing: there are no files."""


class BrokerServer(BaseApplication):
    """gunicorn, configured by our settings and by nothing else."""

    def __init__(self, settings: Settings) -> None:
        self._options = gunicorn_options(settings)
        super().__init__()

    def load_config(self) -> None:
        """Take our options. Neither the command line nor ``GUNICORN_CMD_ARGS`` is read."""
        for name, value in self._options.items():
            self.cfg.set(name, value)

    def load(self) -> Any:
        """Return the application, in the worker that serves it."""
        from service.wsgi import application

        return application


class _Tls:
    """The API's TLS: 1.3 only, because every caller is ours (security.md §0, finding 14).

    gunicorn asks for a context for every connection; making one costs milliseconds, so it is kept until one of its files changes, as
    they do when certificates are renewed.
    """

    def __init__(self, *paths: str) -> None:
        self._paths = [path for path in paths if path]
        self._made_of: list[tuple[int, int, int]] = []
        self._context: ssl.SSLContext | None = None

    def __call__(self, config: Any, default: Callable[[], ssl.SSLContext]) -> ssl.SSLContext:
        """Return the context, as gunicorn's ``ssl_context`` hook."""
        del config
        try:
            made_of = [(s.st_mtime_ns, s.st_ino, s.st_size) for s in map(os.stat, self._paths)]
            if self._context is None or made_of != self._made_of:
                self._context = _hardened(default())
                self._made_of = made_of
        except OSError as error:
            # A certificate that is just being replaced may not fit its key yet.
            if self._context is None:
                raise
            structlog.get_logger().warning("tls_files_unusable", kind=type(error).__name__)
        return self._context


def _hardened(context: ssl.SSLContext) -> ssl.SSLContext:
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    # A resumed session would bring a client's certificate without what proves it, and past a change of authorities.
    context.num_tickets = 0
    return context


# --- the ops port: bound once in the parent, served by a thread in every worker, so that each answers for itself


def _open_ops_port(bind: str) -> Callable[[Any], None]:
    def on_starting(arbiter: Any) -> None:
        arbiter.ops_socket = _listen("BROKER_OPS_BIND", bind, _BACKLOG)

    return on_starting


def _hand_over_ops_port(arbiter: Any, worker: Any) -> None:
    worker.ops_socket = arbiter.ops_socket


def _serve_ops(worker: Any) -> None:
    from service.wsgi import broker

    server = OpsServer(worker.ops_socket)
    # Kubernetes stops sending requests once a pod is not ready; those under way, and those still on their way, are answered.
    stopping = Check("stopping", lambda: "" if worker.alive else "stopping")
    server.set_app(create_ops_app((*broker.checks, stopping), broker.metrics.exposition))
    threading.Thread(target=server.serve_forever, name="ops", daemon=True).start()


def _stop_broker(arbiter: Any, worker: Any) -> None:
    del arbiter
    # gunicorn calls this in the parent as well, for a worker that is gone already.
    if worker.pid == os.getpid() and worker.booted:
        from service.wsgi import broker

        broker.stop()


def _forget_worker(arbiter: Any, worker: Any) -> None:
    del arbiter
    if MULTIPROCESS in os.environ:
        from prometheus_client.multiprocess import mark_process_dead

        mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]  # the library leaves it untyped


def _forget_counts(arbiter: Any) -> None:
    """Remove what the workers counted in."""
    del arbiter
    if MULTIPROCESS in os.environ:
        counting_folder.remove(Path(os.environ[MULTIPROCESS]))
