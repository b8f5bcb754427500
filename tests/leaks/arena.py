"""The whole stack with a canary for each of its secrets, and with everything watched that it writes or sends."""

import contextlib
import resource
import secrets
import stat
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import redis

from sandbox.demo.identities import Identities
from sandbox.demo.processes import Program, answers, free_port, stopping
from sandbox.demo.stack import (
    ROOT,
    Stack,
    broker_settings,
    start_redis,
    start_upstream,
)
from tests.leaks.canaries import Canaries
from tests.leaks.given import (
    make_certificate,
    make_ring,
    make_signing_key,
    write_access_with_key,
)
from tests.leaks.recorder import Recorder
from tests.leaks.redis_watch import monitoring, protect
from tests.leaks.upstream_tap import Tap, tapped
from tests.support.collector import Collector, running_collector
from tests.support.key_services import Kms, Vault, serving
from tests.support.peers import may_see_all
from tests.support.service import Service
from tests.support.tls import client_context

PLANTED = "planted-canary-3f9d71c0a5e4"
"""In the environment and, as a request's id, wherever such ids are written: what is not secret, and must be found."""


@dataclass
class Arena:
    """What runs, what it knows that nobody may see, and what was seen.

    Attributes:
        folder: Everything that is written is in it; what is written for the broker, not by it, is in ``given``.
        given: Keys, passwords and other files that the broker reads.
        canaries: The secrets.
        service: The broker as its callers see it.
        recorder: Its client, which keeps the answers.
        tap: The broker's upstream.
        redis_password: Of Redis.
        api_key: Of ``key:ci``.
        vault: Wraps a key of the ring.
        kms: Another.
        collector: Has the traces.
        settings: Of the broker.
        monitored: What Redis's ``MONITOR`` has told.
        seen: By channel, what was seen of processes while they ran.
        brokers: All that have run.
    """

    folder: Path
    given: Path
    canaries: Canaries
    service: Service
    recorder: Recorder
    tap: Tap
    redis_password: str
    api_key: str
    vault: Vault
    kms: Kms
    collector: Collector
    settings: Mapping[str, str]
    monitored: bytearray
    seen: dict[str, list[bytes]] = field(default_factory=dict)
    brokers: list[Program] = field(default_factory=list)

    def secret(self, name: str) -> str:
        """Return a new secret that is a canary."""
        # Every piece of it is random, and some hold what escapes change.
        value = "".join(f"{secrets.token_hex(4)}{odd}" for odd in '"ä\\/ <+') + secrets.token_hex(
            12
        )
        self.canaries.add(name, value)
        return value

    def email(self, name: str) -> str:
        """Return a new address that is a canary."""
        value = f"{secrets.token_hex(12)}@{secrets.token_hex(6)}.example"
        self.canaries.add(f"{name}'s e-mail", value)
        return value

    def token(self, name: str) -> str:
        """Return a new token of the form of BigCommerce's access tokens that is a canary."""
        value = secrets.token_hex(16)
        self.canaries.add(name, value)
        return value

    def redis(self) -> "redis.Redis":
        """Return a client of Redis."""
        port = self.service.stack.redis_port
        return redis.Redis(port=port, password=self.redis_password)

    def saw(self, channel: str, content: bytes) -> None:
        """Keep what was seen of something that will be gone."""
        self.seen.setdefault(channel, []).append(content)

    def look_at_processes(self) -> None:
        """Keep the environment, the arguments and the open files of every process of every broker that runs now.

        Few may see environment and files: to others they are closed (``test_closed_processes``).
        """
        for broker in self.brokers:
            if not broker.is_running():
                continue
            for pid in (broker.pid, *broker.children()):
                process = Path(f"/proc/{pid}")
                self.saw("arguments", (process / "cmdline").read_bytes())
                if may_see_all():
                    self.saw("environments", (process / "environ").read_bytes())
                    self.saw("open files", b"\n".join(self._open_files(process / "fd")))

    def _open_files(self, descriptors: Path) -> Iterator[bytes]:
        """Yield what is in each regular file that a process has open, also one that has no name any more."""
        for descriptor in descriptors.iterdir():
            # One may be closed at any moment; and what the broker is given it reads again and again.
            with contextlib.suppress(FileNotFoundError):
                given = descriptor.readlink().is_relative_to(self.given)
                if stat.S_ISREG(descriptor.stat().st_mode) and not given:
                    yield descriptor.read_bytes()

    @contextlib.contextmanager
    def another_broker(
        self, settings: Mapping[str, str], module: str = "service.cli"
    ) -> Iterator[tuple[Service, Recorder]]:
        """Run one more broker, which may be made of another module, and a client whose answers count as well."""
        port = free_port()
        program = _start(self.folder, {**self.settings, **settings}, port, free_port(), module)
        self.brokers.append(program)
        recorder = Recorder(port, self.recorder.context, self.canaries)
        recorder.answers = self.recorder.answers
        own = replace(self.service.stack, broker=program, port=port)
        with stopping(program), contextlib.closing(recorder):
            yield Service(own, recorder), recorder


@contextlib.contextmanager
def running_arena(folder: Path) -> Iterator[Arena]:
    """Run it for the length of a block."""
    given = folder / "given"
    for name in ("given", "given/stores", "written", "written/tmp"):
        (folder / name).mkdir()
    written = folder / "written"
    canaries, identities = Canaries(), Identities()
    api_key, password = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
    canaries.add("the API key", api_key)
    canaries.add("Redis's password", password)
    (given / "redis-password").write_text(password, "utf-8")
    tls = make_certificate(given, canaries)
    redis_port, upstream_port, port, ops_port = (free_port() for _ in range(4))
    with contextlib.ExitStack() as running:
        running.enter_context(_cores_allowed(written))
        vault = Vault(token=secrets.token_urlsafe(32))
        kms = Kms(secret_access_key=secrets.token_urlsafe(32))
        for wrapper in (vault, kms):
            running.enter_context(serving(wrapper))
        ring = make_ring(given, vault, kms, canaries)
        collector = running.enter_context(running_collector())
        server = running.enter_context(stopping(start_redis(written, redis_port)))
        protect(redis_port, password)
        upstream = running.enter_context(stopping(start_upstream(given, upstream_port)))
        tap, tap_port = running.enter_context(tapped(upstream_port))
        settings = {
            **broker_settings(
                written,
                write_access_with_key(given, identities, api_key),
                Path(ring["BROKER_KEYRING_DIR"]),
                redis_port,
                f"http://127.0.0.1:{tap_port}",
            ),
            **ring,
            **make_signing_key(given, canaries),
            "BROKER_TRACES": "true",
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
            "OTEL_BSP_SCHEDULE_DELAY": "50",
            "BROKER_REDIS_PASSWORD_FILE": str(given / "redis-password"),
            "BROKER_STORES_DIR": str(given / "stores"),
            "BROKER_TLS_CERT_FILE": str(given / "tls.crt"),
            "BROKER_TLS_KEY_FILE": str(given / "tls.key"),
            "BROKER_LOG_LEVEL": "debug",
            "BROKER_UPSTREAM_TIMEOUT_SECONDS": "5",
            "BROKER_FAILED_AUTHENTICATIONS_PER_MINUTE": "100000",
            "TMPDIR": str(written / "tmp"),
            "PLANTED": PLANTED,
        }
        monitored = running.enter_context(monitoring(redis_port, password))
        broker = _start(written, settings, port, ops_port)
        running.enter_context(stopping(broker))
        recorder = Recorder(port, client_context(tls, given), canaries)
        running.enter_context(contextlib.closing(recorder))
        upstream_url = f"http://127.0.0.1:{upstream_port}"
        stack = Stack(
            written, identities, server, redis_port, upstream, upstream_url, broker, port, ops_port
        )
        service = Service(stack, recorder)
        for name in ("operator", "minter", "worker"):
            canaries.add(f"the {name}'s token", getattr(service, name))
        service.reset_upstream()
        yield Arena(
            written,
            given,
            canaries,
            service,
            recorder,
            tap,
            password,
            api_key,
            vault,
            kms,
            collector,
            settings,
            monitored,
            brokers=[broker],
        )


def _start(
    folder: Path, settings: Mapping[str, str], port: int, ops_port: int, module: str = "service.cli"
) -> Program:
    """Start a broker, from a module other than the installed one if need be."""
    environment = {
        "PYTHONPATH": str(ROOT),
        "BROKER_BIND": f"127.0.0.1:{port}",
        "BROKER_OPS_BIND": f"127.0.0.1:{ops_port}",
        **settings,
    }
    program = Program(
        f"broker-{port}", [sys.executable, "-m", module, "serve"], folder, environment
    )
    program.wait_ready(lambda: answers(ops_port, "/livez"))
    return program


@contextlib.contextmanager
def _cores_allowed(folder: Path) -> Iterator[None]:
    """Let whatever is started and crashes leave its core in a folder, if it does nothing about it."""
    limit = resource.RLIMIT_CORE
    before, most = resource.getrlimit(limit)
    resource.setrlimit(limit, (most, most))
    try:
        with contextlib.chdir(folder):
            yield
    finally:
        resource.setrlimit(limit, (before, most))
