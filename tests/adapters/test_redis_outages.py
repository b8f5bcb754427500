"""Redis that is away, slow, protected, or loses its replies."""

import contextlib
import signal
import ssl
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import redis

from sandbox.demo.processes import Program, free_port, stopping, wait_until
from sandbox.demo.stack import start_redis
from service.adapters.redis_connections import RedisOptions, process_of
from service.adapters.redis_link import PARTITION, RedisLink
from service.adapters.redis_references import RedisReferences
from service.adapters.redis_stores import RedisStores
from service.core.errors import StorageError
from tests.adapters.making import ACTIVE, begin, linked, mint, minted, store
from tests.support.clock import START
from tests.support.fault_proxy import FaultProxy, fault_proxy
from tests.support.world import STORE, WORKER

PASSWORD = "canary-redis-password"


@pytest.fixture
def own_port() -> int:
    """A port for a Redis of the test's own."""
    return free_port()


@pytest.fixture
def own_redis(tmp_path: Path, own_port: int) -> Iterator[Program]:
    """A Valkey that a test may stop."""
    with stopping(start_redis(tmp_path, own_port)) as program:
        yield program


@pytest.fixture
def protected(own_redis: Program, own_port: int) -> int:
    """The port of a Valkey that asks for a password."""
    assert own_redis.pid
    with redis.Redis(port=own_port) as client:
        client.config_set("requirepass", PASSWORD)
    return own_port


def _seconds_to_fail(link: RedisLink) -> float:
    began = time.monotonic()
    with pytest.raises(StorageError):
        RedisStores(link).read([STORE], START)
    return time.monotonic() - began


def _reason_of_a_script(link: RedisLink) -> str:
    """Return why a script did not run; empty if it did."""
    try:
        RedisReferences(link).look(minted().accessor)
    except StorageError as error:
        return error.reason
    return ""


def _reads(link: RedisLink) -> bool:
    try:
        return RedisStores(link).read([STORE], START)[0].line == ACTIVE
    except StorageError:
        return False


@pytest.mark.parametrize("username", ["", "default"])
def test_the_password_comes_from_a_file(protected: int, tmp_path: Path, username: str) -> None:
    """With or without a user's name; the line's end does not belong to it."""
    secret = tmp_path / "password"
    secret.write_text(f"{PASSWORD}\n", "utf-8")

    with linked(protected, str(secret), username) as link:
        link.ping()
        store(RedisStores(link))


def answers(link: RedisLink) -> bool:
    """Tell whether Redis answers."""
    with contextlib.suppress(StorageError):
        link.ping()
        return True
    return False


def test_the_password_file_is_read_for_every_connection(protected: int, tmp_path: Path) -> None:
    """A password that is put right is used without a restart."""
    secret = tmp_path / "password"
    secret.write_text("wrong", "utf-8")

    with linked(protected, str(secret)) as link:
        with pytest.raises(StorageError):
            link.ping()
        secret.write_text(PASSWORD, "utf-8")

        wait_until("the right password opens", lambda: answers(link))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"wrong-canary", "redis_AuthenticationError"),
        (None, "redis_ConnectionError"),
        (b"canary-\xff\xfe", "redis_ConnectionError"),
    ],
    ids=["wrong", "missing", "not UTF-8"],
)
def test_a_password_that_does_not_open_is_a_storage_error(
    protected: int, tmp_path: Path, content: bytes | None, reason: str
) -> None:
    """Refused with its reason; neither the password nor Redis's text is in it."""
    secret = tmp_path / "password"
    if content is not None:
        secret.write_bytes(content)

    with linked(protected, str(secret)) as link, pytest.raises(StorageError) as caught:
        store(RedisStores(link))

    assert caught.value.reason == reason
    assert "canary" not in f"{caught.value!r}{caught.value.reason}"


def test_without_the_password_nothing_works(protected: int) -> None:
    """Redis's refusal is ours."""
    with linked(protected) as link, pytest.raises(StorageError) as caught:
        link.ping()

    assert caught.value.reason == "redis_AuthenticationError"


def test_redis_away_fails_within_a_second_and_recovers_on_the_same_port(
    tmp_path: Path, own_redis: Program, own_port: int
) -> None:
    """Killed without warning and started again: the same link works, and nothing is lost."""
    with linked(own_port) as link:
        store(RedisStores(link))
        own_redis.kill()
        away = _seconds_to_fail(link)
        with stopping(start_redis(tmp_path, own_port)):
            wait_until("the link works again", lambda: _reads(link), 5)

    assert away < 1


def test_a_redis_that_hangs_fails_within_a_second_and_recovers(
    own_redis: Program, own_port: int
) -> None:
    """Stopped, not dead: the connection stays open and nothing comes."""
    with linked(own_port) as link:
        store(RedisStores(link))
        own_redis.signal(signal.SIGSTOP)
        try:
            read = _seconds_to_fail(link)
            began = time.monotonic()
            with pytest.raises(StorageError):
                RedisReferences(link).look(minted().accessor)
            script = time.monotonic() - began
        finally:
            own_redis.signal(signal.SIGCONT)
        wait_until("the link works again", lambda: _reads(link), 5)

    assert read < 1
    assert script < 1.1


def test_after_a_failure_everybody_fails_at_once_for_a_moment(
    own_redis: Program, own_port: int
) -> None:
    """Those who wait in line get the same answer, instead of one time-out after another; then Redis is asked again."""
    with linked(own_port) as link:
        store(RedisStores(link))
        own_redis.signal(signal.SIGSTOP)
        try:
            first = _reason_of_a_script(link)
            began = time.monotonic()
            behind = {_reason_of_a_script(link) for _ in range(100)}
            took = time.monotonic() - began
        finally:
            own_redis.signal(signal.SIGCONT)
        wait_until("scripts run again", lambda: _reason_of_a_script(link) == "", 5)

    assert (first, behind) == ("redis_TimeoutError", {"redis_away"})
    assert took < 0.2


def test_a_refusal_of_redis_is_no_outage(own_redis: Program, own_port: int) -> None:
    """It answered, so the next in line is not turned away for it."""
    assert own_redis.pid
    with linked(own_port) as link, redis.Redis(port=own_port) as client:
        client.set(PARTITION["00"].key("ref", "x"), "x")
        client.config_set("maxmemory", "1")
        with pytest.raises(StorageError) as refused:
            store(RedisStores(link))

        assert refused.value.reason == "redis_OutOfMemoryError"
        assert _reason_of_a_script(link) == ""


@pytest.fixture
def relay(valkey_port: int, real_link: RedisLink) -> Iterator[FaultProxy]:
    """A relay in front of the real Valkey, which is empty."""
    real_link.ping()
    with fault_proxy(valkey_port) as relay:
        yield relay


def test_a_use_whose_reply_was_lost_is_taken_exactly_once(
    relay: FaultProxy, real_link: RedisLink
) -> None:
    """The outcome is read back under the same nonce: the one who used it gets it, and nobody else."""
    store(RedisStores(real_link))
    accessor = mint(RedisReferences(real_link), minted(max_uses=1))

    with linked(relay.port) as link:
        references = RedisReferences(link)
        relay.lose_replies(1)
        first = references.use(accessor, WORKER, "proxy", ("*",), START)
        second = references.use(accessor, WORKER, "proxy", ("*",), START)

    assert relay.lost == 1
    assert (first.verdict, second.verdict) == ("ok", "used_up")


def test_a_begin_whose_reply_was_lost_holds_its_lease(
    relay: FaultProxy, real_link: RedisLink
) -> None:
    """The owner reads its own lease back instead of waiting for it to end."""
    with linked(relay.port) as link:
        relay.lose_replies(1)
        lease = begin(RedisStores(link))

    assert (relay.lost, lease.fence) == (1, 1)
    assert len(RedisStores(real_link).read([STORE], START)[0].attempts) == 1


def test_an_answer_lost_twice_is_a_storage_error(relay: FaultProxy, real_link: RedisLink) -> None:
    """Read back once, not for ever."""
    store(RedisStores(real_link))

    with linked(relay.port) as link:
        relay.lose_replies(2)
        with pytest.raises(StorageError) as caught:
            RedisReferences(link).mint(minted(), START)

    assert relay.lost == 2
    assert caught.value.reason == "redis_ConnectionError"


@pytest.mark.parametrize("ca_file", ["", "/etc/broker/redis-ca.pem"])
def test_a_link_over_tls_verifies_whom_it_talks_to(ca_file: str) -> None:
    """TLS 1.2 at least, the name and the certificate checked, against the authority that was given."""
    options = RedisOptions("rediss://redis.example:6380/0", "", "", ca_file, timedelta(seconds=1))

    process = process_of(options)

    connection = process._kind(**process._arguments)
    assert isinstance(connection, redis.SSLConnection)
    assert connection.ssl_min_version is ssl.TLSVersion.TLSv1_2
    assert connection.cert_reqs is ssl.CERT_REQUIRED
    assert connection.check_hostname
    assert (connection.ca_certs or "") == ca_file
