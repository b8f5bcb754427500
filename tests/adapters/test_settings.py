"""Settings: production's defaults, and one line for whatever is wrong."""

import os
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import ValidationError

from service.settings import Settings, SettingsError, environment_names, load_settings

CANARY = "canary-value"


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start from an environment without any of ours."""
    for name in [*environment_names().values(), *os.environ]:
        if name == "WEB_CONCURRENCY" or name.startswith("BROKER_"):
            monkeypatch.delenv(name, raising=False)


def test_the_defaults_are_those_of_production() -> None:
    """Nothing insecure is on unless somebody says so."""
    settings = load_settings()

    assert (settings.bind, settings.ops_bind) == ("0.0.0.0:8080", "0.0.0.0:9090")
    assert settings.upstream_url == "https://api-b2b.bigcommerce.com"
    assert not settings.allow_insecure_upstream
    assert settings.audit_file == "-"
    assert settings.web_concurrency == 1
    assert settings.upstream_timeout == timedelta(seconds=30)
    assert settings.name_prefix == "b2b-broker/default"
    assert settings.failed_authentications_per_minute == 60
    assert settings.trusted_proxy_identities == frozenset()


def test_every_setting_is_described() -> None:
    """The README's table is made of these."""
    assert all(field.description for field in Settings.model_fields.values())


def test_settings_do_not_change() -> None:
    """What was checked is what holds."""
    settings = load_settings()

    with pytest.raises(ValidationError):
        settings.bind = "127.0.0.1:1"  # type: ignore[misc]  # what is forbidden is the test


ACCEPTED: list[tuple[str, str, str, object]] = [
    ("BROKER_BIND", "127.0.0.1:0", "bind", "127.0.0.1:0"),
    ("BROKER_BIND", "[::1]:8080", "bind", "[::1]:8080"),
    (
        "BROKER_REDIS_URL",
        "rediss://redis.example:6380/2",
        "redis_url",
        "rediss://redis.example:6380/2",
    ),
    ("BROKER_AWS_KMS_URL", "https://kms.example/", "aws_kms_url", "https://kms.example"),
    ("BROKER_AWS_KMS_URL", "http://127.0.0.1:4566", "aws_kms_url", "http://127.0.0.1:4566"),
    ("BROKER_VAULT_TRANSIT_MOUNT", "team/transit", "vault_transit_mount", "team/transit"),
    ("BROKER_REDIS_URL", "unix:///run/redis.sock", "redis_url", "unix:///run/redis.sock"),
    ("BROKER_REDIS_URL", "redis://[::1]:6379", "redis_url", "redis://[::1]:6379"),
    ("BROKER_REDIS_URL", "redis://h:6379/", "redis_url", "redis://h:6379/"),
    *[
        ("BROKER_REDIS_URL", url, "redis_url", url)
        for url in (
            "redis+sentinel://a/primary/0",
            "rediss+sentinel://s-0.redis:26379,[::1]:26380,s-2/the.primary_1",
            "redis+cluster://a",
            "rediss+cluster://a:6379,10.0.0.1:65535/",
        )
    ],
    ("BROKER_REDIS_WAIT_REPLICAS", "2", "redis_wait_replicas", 2),
    ("BROKER_REDIS_WAIT_MILLIS", "400", "redis_wait_millis", 400),
    ("BROKER_ALLOW_EVICTING_REDIS", "true", "allow_evicting_redis", True),
    ("BROKER_BIND", "0.0.0.0:65535", "bind", "0.0.0.0:65535"),
    (
        "BROKER_UPSTREAM_URL",
        "https://upstream.example/",
        "upstream_url",
        "https://upstream.example",
    ),
    ("BROKER_UPSTREAM_URL", "https://u.example:8443", "upstream_url", "https://u.example:8443"),
    ("BROKER_ALLOW_INSECURE_UPSTREAM", "true", "allow_insecure_upstream", True),
    ("BROKER_UPSTREAM_TIMEOUT_SECONDS", "2.5", "upstream_timeout", timedelta(seconds=2.5)),
    ("BROKER_TOKEN_NAME_PREFIX", "ours/eu", "name_prefix", "ours/eu"),
    ("BROKER_INSTANCE", "eu-1", "name_prefix", "b2b-broker/eu-1"),
    ("WEB_CONCURRENCY", "4", "web_concurrency", 4),
    ("BROKER_FAILED_AUTHENTICATIONS_PER_MINUTE", "1", "failed_authentications_per_minute", 1),
    (
        "BROKER_FAILED_AUTHENTICATIONS_PER_MINUTE",
        "100000",
        "failed_authentications_per_minute",
        100_000,
    ),
    ("BROKER_TRUSTED_PROXIES", "", "trusted_proxy_identities", frozenset()),
]


@pytest.mark.parametrize(("name", "value", "field", "expected"), ACCEPTED)
def test_a_setting_is_taken_from_its_variable(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, field: str, expected: object
) -> None:
    """As DESIGN §12 names them."""
    monkeypatch.setenv(name, value)

    assert getattr(load_settings(), field) == expected


WRONG = [
    *[
        ("BROKER_BIND", v)
        for v in (CANARY, "8080", ":8080", f"{CANARY}:", "h:x", "h:65536", "h:٣", "h:+1")
    ],
    ("BROKER_OPS_BIND", f"{CANARY}:-1"),
    *[("BROKER_REDIS_URL", v) for v in (CANARY, f"http://{CANARY}")],
    *[
        ("BROKER_REDIS_URL", v)
        for v in (
            f"redis://{CANARY}@h/0",
            f"redis://@{CANARY}/0",
            f"redis://h/0?password={CANARY}",
            f"redis://h/0?username={CANARY}",
            f"unix:///run/redis.sock?password={CANARY}",
            f"unix://:{CANARY}@/run/redis.sock",
            "rediss://h/0?ssl_cert_reqs=none",
            f"redis://h/{CANARY}",
            "redis://h/0/1",
            "redis://h/-1",
            "redis://h/12345",
            "redis://h/٣",
            "redis://h:65536/0",
            "redis://h:-1/0",
            f"redis://h:{CANARY}/0",
        )
    ],
    *[
        ("BROKER_REDIS_URL", url)
        for url in (
            f"redis+other://{CANARY}",
            "redis+sentinel://",
            f"redis+sentinel://{CANARY}",
            f"redis+sentinel://{CANARY}//0",
            f"redis+sentinel://{CANARY}/name/x",
            f"redis+sentinel://{CANARY}:0/name",
            f"redis+sentinel://a:26379,{CANARY}:65536/name",
            f"redis+sentinel://:{CANARY}@a/name",
            f"redis+cluster://a,,{CANARY}",
            f"redis+cluster://{CANARY}/1",
            f"redis+cluster://{CANARY}?ssl_cert_reqs=none",
        )
    ],
    ("BROKER_REDIS_WAIT_REPLICAS", "-1"),
    ("BROKER_REDIS_WAIT_MILLIS", "9"),
    ("BROKER_REDIS_WAIT_MILLIS", "401"),
    *[("BROKER_REDIS_URL", f"redis://{v}@h/0") for v in (f":{CANARY}", f"user:{CANARY}", ":")],
    *[
        ("BROKER_UPSTREAM_URL", v)
        for v in (
            CANARY,
            f"ftp://{CANARY}",
            "https://",
            f"https://h/{CANARY}",
            f"https://h?{CANARY}",
            f"https://h#{CANARY}",
            f"https://{CANARY}@h",
            f"https://u:{CANARY}@h",
            f"https://@{CANARY}",
            f"https://:@{CANARY}",
            "https://h:65536",
            f"https://h:{CANARY}",
            "https://h:-1",
        )
    ],
    *[
        (name, v)
        for name in ("BROKER_VAULT_URL", "BROKER_AWS_KMS_URL")
        for v in (
            CANARY,
            f"http://{CANARY}",
            f"https://h/{CANARY}",
            f"https://{CANARY}@h",
            "https://",
        )
    ],
    *[("BROKER_VAULT_TRANSIT_KEY", v) for v in ("", "a b", f"../{CANARY}", "/a", "a//b", "a\n")],
    *[("BROKER_INSTANCE", v) for v in ("", "UPPER" + CANARY, "a b", "x" * 33, "-a", "a\n")],
    *[("BROKER_TOKEN_NAME_PREFIX", v) for v in (f"/{CANARY}", f"{CANARY} b", "x" * 62)],
    *[("BROKER_UPSTREAM_TIMEOUT_SECONDS", v) for v in (CANARY, "0.9", "301", "nan", "inf", "")],
    *[("BROKER_ALLOW_INSECURE_UPSTREAM", v) for v in (CANARY, "2", "")],
    *[("BROKER_THREADS", v) for v in (CANARY, "0", "257", "1.5")],
    *[("BROKER_LOG_LEVEL", v) for v in (CANARY, "INFO", "trace", "")],
    *[("WEB_CONCURRENCY", v) for v in (CANARY, "0", "65")],
    *[
        ("BROKER_FAILED_AUTHENTICATIONS_PER_MINUTE", v)
        for v in (CANARY, "0", "-1", "100001", "1.5", "")
    ],
]


@pytest.mark.parametrize(("name", "value"), WRONG)
def test_a_wrong_value_stops_the_start_with_one_line_that_names_the_setting(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    """The value may be a secret that was put in the wrong place, so it is not repeated."""
    monkeypatch.setenv(name, value)

    with pytest.raises(SettingsError) as caught:
        load_settings()

    assert str(caught.value).startswith(f"{name}: ")
    assert "\n" not in str(caught.value)
    assert CANARY not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("BROKER_REDIS_PASSWORD", "BROKER_REDIS_PASSWORD"),
        ("BROKER_", "BROKER_"),
        ("BROKER_WEB_CONCURRENCY", "BROKER_WEB_CONCURRENCY"),
        ("BROKER_ä\nX", "BROKER_??X"),
    ],
)
def test_an_unknown_name_stops_the_start(
    monkeypatch: pytest.MonkeyPatch, name: str, shown: str
) -> None:
    """A misspelt setting is not silently left at its default."""
    monkeypatch.setenv(name, CANARY)

    with pytest.raises(SettingsError) as caught:
        load_settings()

    assert str(caught.value) == f"{shown}: there is no such setting"


FILES = (
    "UPSTREAM_CA_FILE",
    "REDIS_CA_FILE",
    "TLS_CERT_FILE",
    "TLS_KEY_FILE",
    "TLS_CLIENT_CA_FILE",
)


@pytest.mark.parametrize("missing", FILES)
def test_a_file_that_cannot_be_read_stops_the_start(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, missing: str
) -> None:
    """It is found out at the start and not with the first connection; the other files are good."""
    for name in FILES:
        path = tmp_path / name
        path.write_text("x", "utf-8")
        monkeypatch.setenv(f"BROKER_{name}", str(path))
    assert load_settings().tls_key_file

    (tmp_path / missing).unlink()

    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert str(caught.value) == f"BROKER_{missing}: the file cannot be read"


def test_plain_http_upstream_needs_the_insecure_flag(monkeypatch: pytest.MonkeyPatch) -> None:
    """Passwords do not cross a network in clear by accident."""
    monkeypatch.setenv("BROKER_UPSTREAM_URL", "http://sandbox:8765")
    with pytest.raises(SettingsError, match="BROKER_UPSTREAM_URL: plain HTTP needs"):
        load_settings()

    monkeypatch.setenv("BROKER_ALLOW_INSECURE_UPSTREAM", "true")

    assert load_settings().upstream_url == "http://sandbox:8765"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("BROKER_REDIS_URL", "redis://:canary-value\u2100@h/0"),
        ("BROKER_REDIS_URL", "redis://[canary-value]/0"),
        ("BROKER_REDIS_URL", "redis://h/0#canary-value"),
        ("BROKER_REDIS_URL", "redis://"),
        ("BROKER_UPSTREAM_URL", "https://[canary-value]"),
    ],
)
def test_a_url_that_cannot_be_read_is_not_quoted(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    """It may hold a password, although none belongs there."""
    monkeypatch.setenv(name, value)

    with pytest.raises(SettingsError) as refused:
        load_settings()

    assert name in str(refused.value)
    assert "canary-value" not in str(refused.value)


@pytest.mark.parametrize(
    ("given", "needed"),
    [
        ({"BROKER_VAULT_URL": "https://vault.example"}, "BROKER_VAULT_TOKEN_FILE"),
        ({"BROKER_AWS_KMS_KEY": "alias/b2b-broker"}, "BROKER_AWS_REGION"),
    ],
)
def test_what_a_key_service_needs_is_named(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, str], needed: str
) -> None:
    """Before the broker waits, locked, for what can never come."""
    for name, value in given.items():
        monkeypatch.setenv(name, value)

    with pytest.raises(SettingsError, match=f"{needed}: needed with"):
        load_settings()
