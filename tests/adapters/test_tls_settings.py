"""Settings of TLS: what goes together, and whose word about client certificates counts."""

import os
from pathlib import Path

import pytest

from service.server import check_tls_files
from service.settings import Settings, SettingsError, environment_names, load_settings
from tests.support.pki import Authority

CANARY = "canary-value"
PROXY = "spiffe://prod.example/ns/edge/sa/envoy"


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start from an environment without any of ours."""
    for name in [*environment_names().values(), *os.environ]:
        if name == "WEB_CONCURRENCY" or name.startswith("BROKER_"):
            monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("name", ["BROKER_TLS_CERT_FILE", "BROKER_TLS_KEY_FILE"])
def test_a_certificate_without_its_key_stops_the_start(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Half of TLS is none."""
    monkeypatch.setenv(name, "/etc/tls.pem")

    with pytest.raises(SettingsError, match="set both or neither"):
        load_settings()


def _set_tls(monkeypatch: pytest.MonkeyPatch, folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.write_text("x", "utf-8")
        monkeypatch.setenv(f"BROKER_TLS_{name}_FILE", str(path))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (PROXY, {PROXY}),
        (f"{PROXY},{PROXY}-2", {PROXY, f"{PROXY}-2"}),
        (f" {PROXY} , {PROXY}-2 ,", {PROXY, f"{PROXY}-2"}),
        (f"{PROXY},{PROXY}", {PROXY}),
    ],
)
def test_trusted_proxies_are_spiffe_ids_with_commas_between(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, value: str, expected: set[str]
) -> None:
    """Whole ids and no patterns; blanks around them are no matter."""
    _set_tls(monkeypatch, tmp_path, "CERT", "KEY", "CLIENT_CA")
    monkeypatch.setenv("BROKER_TRUSTED_PROXIES", value)

    assert load_settings().trusted_proxy_identities == expected


@pytest.mark.parametrize("given", [(), ("CERT", "KEY")])
def test_a_trusted_proxy_needs_client_certificates(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, given: tuple[str, ...]
) -> None:
    """It is known by its own certificate and by nothing else."""
    _set_tls(monkeypatch, tmp_path, *given)
    monkeypatch.setenv("BROKER_TRUSTED_PROXIES", PROXY)

    with pytest.raises(SettingsError) as caught:
        load_settings()

    assert str(caught.value) == "BROKER_TRUSTED_PROXIES: needs BROKER_TLS_CLIENT_CA_FILE"


def test_client_certificates_need_the_brokers_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Without TLS there are none."""
    _set_tls(monkeypatch, tmp_path, "CLIENT_CA")

    with pytest.raises(SettingsError) as caught:
        load_settings()

    assert str(caught.value) == "BROKER_TLS_CLIENT_CA_FILE: needs BROKER_TLS_CERT_FILE"


NO_PROXIES = (
    CANARY,
    "*",
    f"spiffe://{CANARY}",
    f"spiffe://{CANARY}/",
    f"spiffe://{CANARY}//x",
    f"spiffe://{CANARY}/*",
    f"spiffe://*/{CANARY}",
    f"spiffe://{CANARY}:443/x",
    f"spiffe://x@{CANARY}/x",
    f"spiffe://{CANARY}/x?y",
    f"spiffe://{CANARY}/x#y",
    f"spiffe://{CANARY}/%78",
    f"spiffe://{CANARY.upper()}/x",
    f"SPIFFE://{CANARY}/x",
    f"https://{CANARY}/x",
    f"k8s:edge/{CANARY}",
    f"CN={CANARY}",
    f"spiffe://{CANARY}/\u0430",
    f"spiffe://{CANARY}/x y",
    f"{PROXY} {PROXY}-{CANARY}",
    f"{PROXY};{PROXY}-{CANARY}",
    f"{PROXY},{CANARY}",
)


@pytest.mark.parametrize("value", NO_PROXIES)
def test_what_is_no_list_of_proxies_stops_the_start(
    monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    """With one line that does not repeat it."""
    monkeypatch.setenv("BROKER_TRUSTED_PROXIES", value)

    with pytest.raises(SettingsError) as caught:
        load_settings()

    assert str(caught.value).startswith("BROKER_TRUSTED_PROXIES: ")
    assert "is SPIFFE ids such as" in str(caught.value)
    assert CANARY not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_tls_files_that_are_none_stop_the_start(tmp_path: Path) -> None:
    """A broker whose every connection breaks off would look healthy."""
    authority = Authority(tmp_path)
    server, other = authority.server("localhost"), authority.server("localhost")
    empty = tmp_path / "empty.pem"
    empty.write_text("nothing", "utf-8")
    cert, key = str(server.cert_file), str(server.key_file)
    good = Settings(tls_cert_file=cert, tls_key_file=key, tls_client_ca_file=str(authority.ca_file))

    check_tls_files(Settings())
    check_tls_files(good)
    for wrong, named in (
        (good.model_copy(update={"tls_key_file": str(other.key_file)}), "BROKER_TLS_CERT_FILE"),
        (good.model_copy(update={"tls_cert_file": str(empty)}), "BROKER_TLS_CERT_FILE"),
        (good.model_copy(update={"tls_client_ca_file": str(empty)}), "BROKER_TLS_CLIENT_CA_FILE"),
    ):
        with pytest.raises(SettingsError, match=named):
            check_tls_files(wrong)
