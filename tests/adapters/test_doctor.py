"""``broker doctor``: each thing that can be wrong is found, named, and explained, and what is well is not."""

import contextlib
import json
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import redis
from click.testing import CliRunner, Result

from sandbox.demo.identities import Identities
from sandbox.demo.processes import free_port
from sandbox.demo.stack import make_keyring, write_access
from sandbox.server import RunningSandbox
from service.adapters.keyring_dir import KeyringDirectory
from service.adapters.redis_connections import RedisOptions
from service.adapters.redis_facts import RedisFacts
from service.adapters.redis_installation import Installation
from service.adapters.redis_keys import RedisKeys
from service.adapters.redis_link import RedisLink
from service.adapters.redis_locks import RedisLocks
from service.adapters.signing_key import new_signing_key
from service.cli import main
from service.cli.redis_checks import judge_redis
from service.cli.upstream_checks import judge_clock
from service.core.key_checks import new_check
from service.core.lock import write_note
from service.settings import Settings
from tests.support.clock import START
from tests.support.pki import Authority

pytestmark = pytest.mark.usefixtures("valkey")  # empty: no keys are in use

WELL = RedisFacts(
    name="valkey",
    version=(7, 2, 4),
    role="master",
    replicas=0,
    eviction="noeviction",
    appends=True,
    persists=True,
    time=START,
)
EVERYTHING = {
    "settings",
    "traces",
    "keyring",
    "access file",
    "audit trail",
    "audit signing key",
    "keys in use",
    "locks",
    "redis contents",
    "mounted credentials",
    "tls",
    "redis password",
    "redis",
    "redis version",
    "redis eviction",
    "redis persistence",
    "redis replication",
    "redis clock",
    "upstream",
    "upstream clock",
}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a keyring and an access file."""
    folder = tmp_path_factory.mktemp("files")
    write_access(folder, Identities())
    make_keyring(folder)
    _keep(folder / "audit.pem", new_signing_key()[0].decode("ascii"))
    return folder


@pytest.fixture
def environment(files: Path, valkey_port: int, sandbox: RunningSandbox) -> dict[str, str]:
    """The settings of a broker that could start."""
    return {
        "BROKER_REDIS_URL": f"redis://127.0.0.1:{valkey_port}/0",
        "BROKER_KEYRING_DIR": str(files / "keyring"),
        "BROKER_ACCESS_FILE": str(files / "access.yaml"),
        "BROKER_UPSTREAM_URL": sandbox.url,
        "BROKER_ALLOW_INSECURE_UPSTREAM": "true",
        "BROKER_AUDIT_FILE": str(files / "audit.jsonl"),
        "BROKER_AUDIT_SIGNING_KEY_FILE": str(files / "audit.pem"),
    }


@contextlib.contextmanager
def _linked(environment: dict[str, str]) -> Iterator[RedisLink]:
    options = RedisOptions(environment["BROKER_REDIS_URL"], "", "", "", timedelta(milliseconds=450))
    with contextlib.closing(RedisLink.connect(options)) as link:
        yield link


def _run(environment: dict[str, str], *options: str) -> Result:
    ours: dict[str, str | None] = {n: None for n in os.environ if n.startswith("BROKER_")}
    return CliRunner().invoke(main, ["doctor", *options], env=ours | environment)


def _examine(environment: dict[str, str], code: int) -> dict[str, Any]:
    result = _run(environment, "--json")
    assert result.exit_code == code, result.output
    return {finding["check"]: finding for finding in json.loads(result.stdout)}


def test_a_broker_that_could_start_has_nothing_that_failed(environment: dict[str, str]) -> None:
    """Exit code 0; what is not fit for production is a warning, and everything was looked at."""
    findings = _examine(environment, 0)

    assert set(findings) == EVERYTHING
    warned = {name for name, finding in findings.items() if finding["verdict"] != "ok"}
    assert warned == {"settings", "tls", "redis contents"}


def test_people_read_what_it_means_and_what_to_do(environment: dict[str, str]) -> None:
    """Beneath what failed, and nothing beneath what is well."""
    result = _run(environment | {"BROKER_KEYRING_DIR": "/nowhere"})

    lines = result.stdout.splitlines()
    at = next(place for place, line in enumerate(lines) if line.startswith("FAIL  keyring"))
    assert result.exit_code == 1
    assert lines[at + 1].strip().startswith("it means: The broker starts locked")
    assert lines[at + 2].strip().startswith("to do:    Put the keys into /nowhere")
    assert lines[at + 4].startswith("ok    access file")


def test_a_wrong_setting_is_all_that_can_be_said(environment: dict[str, str]) -> None:
    """Nothing else would be checked as the broker sees it."""
    findings = _examine(environment | {"BROKER_BIND": "nonsense"}, 1)

    assert set(findings) == {"settings"}
    assert findings["settings"]["found"].startswith("BROKER_BIND: ")


def _keep(path: Path, secret: str) -> None:
    path.write_text(secret, "utf-8")
    path.chmod(0o600)


def _mounted_wrongly(folder: Path) -> dict[str, str]:
    (folder / "stores" / "abc123").mkdir(parents=True)
    _keep(folder / "stores" / "abc123" / "email", "owner@shop.example")
    return {"BROKER_STORES_DIR": str(folder / "stores")}


def _mounted_rightly(folder: Path) -> dict[str, str]:
    settings = _mounted_wrongly(folder)
    _keep(folder / "stores" / "abc123" / "password", "canary")
    return settings


def _with_tls(folder: Path) -> dict[str, str]:
    issued = Authority(folder).server("localhost")
    return {
        "BROKER_TLS_CERT_FILE": str(issued.cert_file),
        "BROKER_TLS_KEY_FILE": str(issued.key_file),
    }


def _with_another_key(folder: Path) -> dict[str, str]:
    settings = _with_tls(folder)
    return settings | {"BROKER_TLS_KEY_FILE": settings["BROKER_TLS_CERT_FILE"]}


def _a_wrong_signing_key(folder: Path) -> dict[str, str]:
    _keep(folder / "audit.pem", "canary")
    return {"BROKER_AUDIT_SIGNING_KEY_FILE": str(folder / "audit.pem")}


def _a_broken_access_file(folder: Path) -> dict[str, str]:
    (folder / "access.yaml").write_text("version: 2", "utf-8")
    return {"BROKER_ACCESS_FILE": str(folder / "access.yaml")}


@pytest.mark.parametrize(
    ("check", "verdict", "changed"),
    [
        ("keyring", "failed", lambda _: {"BROKER_KEYRING_DIR": "/nowhere"}),
        ("access file", "failed", _a_broken_access_file),
        ("audit trail", "failed", lambda _: {"BROKER_AUDIT_FILE": "/nowhere/audit.jsonl"}),
        ("audit trail", "ok", lambda _: {"BROKER_AUDIT_FILE": "-"}),
        ("audit signing key", "warning", lambda _: {"BROKER_AUDIT_SIGNING_KEY_FILE": ""}),
        ("audit signing key", "failed", _a_wrong_signing_key),
        ("mounted credentials", "warning", lambda _: {"BROKER_STORES_DIR": "/nowhere"}),
        ("mounted credentials", "failed", _mounted_wrongly),
        ("mounted credentials", "ok", _mounted_rightly),
        ("tls", "ok", _with_tls),
        ("tls", "failed", _with_another_key),
        ("redis", "failed", lambda _: {"BROKER_REDIS_URL": f"redis://127.0.0.1:{free_port()}"}),
        ("redis password", "failed", lambda _: {"BROKER_REDIS_PASSWORD_FILE": "/nowhere"}),
        ("redis replication", "failed", lambda _: {"BROKER_REDIS_WAIT_REPLICAS": "1"}),
        (
            "upstream",
            "failed",
            lambda _: {"BROKER_UPSTREAM_URL": f"http://127.0.0.1:{free_port()}"},
        ),
    ],
)
def test_what_is_wrong_is_found(
    environment: dict[str, str],
    tmp_path: Path,
    check: str,
    verdict: str,
    changed: Callable[[Path], dict[str, str]],
) -> None:
    """And explained; what is well is not, and no secret is in either."""
    result = _run(environment | changed(tmp_path), "--json")

    findings = {finding["check"]: finding for finding in json.loads(result.stdout)}
    wrong = findings[check]
    assert (wrong["verdict"], result.exit_code) == (verdict, int(verdict == "failed")), (
        result.stdout
    )
    assert bool(wrong["means"]) == bool(wrong["cure"]) == (verdict != "ok")
    assert set(findings) == EVERYTHING
    assert "canary" not in result.output


@pytest.mark.parametrize(
    ("used", "changed", "says"),
    [
        (["k1"], {}, ""),
        (["k1", "k0"], {}, "k0 is in use, and not in the keyring"),
        (["k0"], {}, "it has none of the keys that are in use (k0)"),
        (["k1"], {"BROKER_INSTANCE": "other"}, "k1 does not open its key check"),
    ],
)
def test_a_keyring_that_is_not_the_one_in_use_is_found(
    environment: dict[str, str],
    tmp_path: Path,
    used: list[str],
    changed: dict[str, str],
    says: str,
) -> None:
    """By what Redis was sealed with; otherwise the broker would start locked beside a doctor who finds nothing."""
    for key_id in ("k0", "k1"):
        CliRunner().invoke(main, ["keys", "new", str(tmp_path / "all"), "--id", key_id])
    everything = KeyringDirectory(str(tmp_path / "all"), {}).read()
    with _linked(environment) as link:
        for key_id in used:
            RedisKeys(link).add_check(key_id, new_check(everything, key_id, "default"))
    (tmp_path / "all" / "k0.key").unlink()
    (tmp_path / "all" / "primary").write_text("k1", "ascii")

    mounted = {"BROKER_KEYRING_DIR": str(tmp_path / "all")}
    findings = _examine(environment | mounted | changed, int(bool(says)))

    found = findings["keys in use"]
    assert found["verdict"] == ("failed" if says else "ok")
    assert found["found"].startswith(says or "k1")


@pytest.mark.parametrize(
    ("lost", "verdict", "says"),
    [
        (0, "ok", "its marks are whole"),
        (1, "failed", "1 of 64 partitions are not as"),
        (64, "warning", "nothing of a broker is there"),
    ],
)
def test_what_redis_has_lost_is_found(
    environment: dict[str, str], valkey: "redis.Redis", lost: int, verdict: str, says: str
) -> None:
    """By the marks that a broker leaves, for as long as no broker has put them back."""
    with _linked(environment) as link:
        Installation(link, "default", lambda: None).look()
    marks = sorted(valkey.scan_iter("*installed"))
    assert len(marks) == 64
    valkey.delete("nothing", *marks[:lost])

    found = _examine(environment, int(verdict == "failed"))["redis contents"]

    assert (found["verdict"], found["found"].startswith(says)) == (verdict, True)
    assert bool(found["cure"]) == (verdict != "ok")


def test_marks_of_two_installations_are_found(
    environment: dict[str, str], valkey: "redis.Redis"
) -> None:
    """A part of a cluster that was put back from elsewhere."""
    with _linked(environment) as link:
        Installation(link, "default", lambda: None).look()
    valkey.set(next(valkey.scan_iter("*installed")), b"default another")

    found = _examine(environment, 1)["redis contents"]

    assert found["found"] == "some of 64 partitions are not as the broker left them"


def test_a_panic_stop_is_found(environment: dict[str, str]) -> None:
    """With whose word it was, and why; a store's own lock is nothing that is wrong."""
    with _linked(environment) as link:
        RedisLocks(link).lock_all(write_note("corp:ops-kim", "a laptop was stolen", START))
        before = _examine(environment, 0)["locks"]
        RedisLocks(link).unlock_all()
        after = _examine(environment, 0)["locks"]

    assert before["verdict"] == "warning"
    assert (
        before["found"]
        == f"all stores are locked since {START:%Y-%m-%d %H:%M} UTC: a laptop was stolen"
    )
    assert before["cure"] == "Ask corp:ops-kim whether it is over; then: broker unlock"
    assert after == {
        **before,
        "verdict": "ok",
        "found": "0 stores are locked",
        "means": "",
        "cure": "",
    }


def test_what_redis_refuses_to_tell_is_a_failure_of_its_own(
    environment: dict[str, str], valkey: "redis.Redis"
) -> None:
    """And hides nothing else."""
    with _linked(environment) as link:
        RedisLocks(link).lock_all(write_note("corp:ops-kim", "why", START))
    spoilt = next(valkey.scan_iter("*locks"))
    valkey.delete(spoilt)
    valkey.set(spoilt, b"text")

    findings = _examine(environment, 1)

    assert findings["locks"]["verdict"] == "failed"
    assert findings["locks"]["found"].startswith("Redis refuses to tell: redis_")
    assert findings["keys in use"]["verdict"] == "ok"


def test_a_name_that_somebody_wrote_into_redis_is_not_shown(environment: dict[str, str]) -> None:
    """It could make up a line of what doctor says."""
    with _linked(environment) as link:
        RedisKeys(link).add_check("k9\x1b[2J\nok    keys in use", b"check")

    found = _examine(environment, 1)["keys in use"]["found"]

    assert "an unreadable name" in found
    assert "\x1b" not in found


def test_an_extra_that_is_not_there_is_found(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The broker would not start."""
    monkeypatch.setitem(sys.modules, "service.adapters.otel", None)

    found = _examine(environment | {"BROKER_TRACES": "true"}, 1)["traces"]

    assert found["found"] == "BROKER_TRACES: the extra 'otel' is not installed"


def test_what_depends_on_something_that_is_away_is_skipped(environment: dict[str, str]) -> None:
    """One cause is one failure."""
    away = f"127.0.0.1:{free_port()}"
    changed = {"BROKER_REDIS_URL": f"redis://{away}", "BROKER_UPSTREAM_URL": f"http://{away}"}

    findings = _examine(environment | changed, 1)

    verdicts = {name: finding["verdict"] for name, finding in findings.items()}
    assert [n for n, v in verdicts.items() if v == "failed"] == ["redis", "upstream"]
    assert sum(verdict == "skipped" for verdict in verdicts.values()) == 9


@pytest.mark.parametrize(("allowed", "verdict"), [("false", "failed"), ("true", "warning")])
def test_a_redis_that_evicts_is_talked_to_and_told_of(
    environment: dict[str, str], valkey: "redis.Redis", allowed: str, verdict: str
) -> None:
    """The broker would not; whoever asks wants to know everything about it."""
    valkey.config_set("maxmemory-policy", "allkeys-lru")
    settings = environment | {"BROKER_ALLOW_EVICTING_REDIS": allowed}

    findings = _examine(settings, int(verdict == "failed"))
    valkey.config_set("maxmemory-policy", "noeviction")

    assert findings["redis eviction"]["verdict"] == verdict
    assert findings["redis eviction"]["found"] == "maxmemory-policy is allkeys-lru"
    assert findings["redis clock"]["verdict"] == "ok"


@pytest.mark.parametrize(
    ("check", "verdict", "facts", "settings"),
    [
        ("redis version", "ok", {"version": (6, 2)}, {}),
        ("redis version", "ok", {"version": (10, 0)}, {}),
        ("redis version", "failed", {"version": (6, 0, 16)}, {}),
        ("redis persistence", "warning", {"appends": False}, {}),
        ("redis persistence", "failed", {"persists": False}, {}),
        ("redis replication", "failed", {"role": "slave"}, {}),
        ("redis replication", "warning", {"replicas": 2}, {"redis_wait_replicas": 1}),
        ("redis replication", "failed", {"replicas": 1}, {"redis_wait_replicas": 2}),
        ("redis replication", "ok", {"replicas": 2}, {"redis_wait_replicas": 2}),
        ("redis clock", "ok", {"time": START + timedelta(seconds=3)}, {}),
        ("redis clock", "failed", {"time": START + timedelta(seconds=4)}, {}),
        ("redis clock", "ok", {"time": START - timedelta(seconds=2)}, {}),
        ("redis clock", "failed", {"time": START - timedelta(seconds=3)}, {}),
        ("redis clock", "skipped", {"time": None}, {}),
    ],
)
def test_redis_is_judged_by_what_it_tells(
    check: str, verdict: str, facts: dict[str, Any], settings: dict[str, Any]
) -> None:
    """Of several primaries, the one that is not well is told of; everything else stays well."""
    chosen = Settings(**settings)
    well = replace(WELL, replicas=chosen.redis_wait_replicas)
    found = [well, replace(well, **facts), well]

    findings = judge_redis(chosen, found, START, START + timedelta(seconds=1))

    verdicts = {finding.check: finding.verdict for finding in findings}
    assert verdicts.pop(check) == verdict
    assert set(verdicts.values()) == {"ok"}


@pytest.mark.parametrize(
    ("seconds", "verdict"), [(0, "ok"), (31, "ok"), (32, "failed"), (-30, "ok"), (-31, "failed")]
)
def test_a_clock_that_is_half_a_minute_away_is_wrong(seconds: int, verdict: str) -> None:
    """Of the upstream's date, which has no fractions, between a question and its answer a second later."""
    date = START + timedelta(seconds=seconds)

    assert judge_clock(date, START, START + timedelta(seconds=1)).verdict == verdict
