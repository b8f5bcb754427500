"""gunicorn as this project runs it: the options that are decisions."""

import socket
import ssl
from pathlib import Path
from types import SimpleNamespace

import pytest
from gunicorn.config import Config
from gunicorn.workers.gthread import ThreadWorker

from service.adapters.metrics import MULTIPROCESS
from service.server import BrokerServer, _open_ops_port, _Tls, gunicorn_options
from service.settings import Settings, SettingsError


def _settings(**changes: object) -> Settings:
    return Settings.model_validate({"web_concurrency": 1} | changes)


def test_gunicorn_takes_every_option() -> None:
    """None is misspelt, and each value passes gunicorn's own checks."""
    config = BrokerServer(_settings(threads=7, bind="127.0.0.1:0")).cfg

    assert config is not None
    assert (config.threads, config.bind) == (7, ["127.0.0.1:0"])
    assert issubclass(config.worker_class, ThreadWorker)


def test_a_peer_may_not_say_who_it_is() -> None:
    """Not even from loopback; and there is no second, unauthenticated API."""
    options = gunicorn_options(_settings())

    assert options["forwarded_allow_ips"] == options["forwarder_headers"] == ""
    assert options["secure_scheme_headers"] == {}
    assert options["header_map"] == "refuse"
    assert options["control_socket_disable"] is True
    assert not options.get("accesslog")


def test_arguments_of_gunicorns_own_are_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """All settings are ours."""
    monkeypatch.setenv("GUNICORN_CMD_ARGS", "--forwarded-allow-ips=* --workers=9")

    config = BrokerServer(_settings()).cfg

    assert config is not None
    assert (config.workers, config.forwarded_allow_ips) == (1, [])


def test_tls_is_on_only_with_a_certificate() -> None:
    """Then it is 1.3 and nothing older."""
    plain = gunicorn_options(_settings())
    secure = gunicorn_options(_settings(tls_cert_file="c.pem", tls_key_file="k.pem"))

    context = _Tls()(Config(), _new_context)

    assert not {"certfile", "ssl_context", "ca_certs", "cert_reqs"} & set(plain)
    assert (secure["certfile"], secure["keyfile"]) == ("c.pem", "k.pem")
    assert isinstance(secure["ssl_context"], _Tls)
    assert (context.minimum_version, context.num_tickets) == (ssl.TLSVersion.TLSv1_3, 0)


def test_a_client_may_bring_a_certificate_only_where_authorities_are_named() -> None:
    """And never has to: a token proves an identity too."""
    files = {"tls_cert_file": "c.pem", "tls_key_file": "k.pem"}

    without = gunicorn_options(_settings(**files))
    named = gunicorn_options(_settings(**files, tls_client_ca_file="ca.pem"))

    assert "ca_certs" not in without
    assert (named["ca_certs"], named["cert_reqs"]) == ("ca.pem", ssl.CERT_OPTIONAL)


def test_a_tls_context_is_kept_until_one_of_its_files_changes(tmp_path: Path) -> None:
    """Making one for every connection would cost milliseconds; keeping one for ever would miss a renewed certificate."""
    path = tmp_path / "tls.crt"
    path.write_text("one", "utf-8")
    tls = _Tls(str(path))

    first, same = tls(Config(), _new_context), tls(Config(), _new_context)
    path.write_text("another", "utf-8")
    renewed = tls(Config(), _new_context)

    assert same is first
    assert renewed is not first


def test_tls_files_that_do_not_fit_yet_leave_the_old_context_in_force(tmp_path: Path) -> None:
    """A certificate is replaced before its key; at the start there is nothing to fall back to."""
    path = tmp_path / "tls.crt"
    path.write_text("one", "utf-8")
    tls = _Tls(str(path))
    first = tls(Config(), _new_context)
    path.write_text("another", "utf-8")

    kept = tls(Config(), _misfit)

    assert kept is first
    with pytest.raises(ssl.SSLError):
        _Tls(str(path))(Config(), _misfit)


def _new_context() -> ssl.SSLContext:
    return ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)


def _misfit() -> ssl.SSLContext:
    raise ssl.SSLError("key values mismatch")


@pytest.mark.parametrize("bind", ["127.0.0.1:0", "[::1]:0"])
def test_the_ops_port_is_bound_in_the_parent(bind: str) -> None:
    """And handed to every worker, so that each answers for itself."""
    arbiter, worker = SimpleNamespace(), SimpleNamespace()
    options = gunicorn_options(_settings(ops_bind=bind))

    _open_ops_port(bind)(arbiter)
    options["post_fork"](arbiter, worker)

    try:
        assert worker.ops_socket.getsockname()[1] > 0
    finally:
        arbiter.ops_socket.close()


def test_the_counts_of_a_worker_that_ended_are_tidied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its live gauges go, its counters stay."""
    monkeypatch.setenv(MULTIPROCESS, str(tmp_path))
    for name in ("gauge_livesum_17.db", "counter_17.db", "gauge_livesum_18.db"):
        (tmp_path / name).touch()

    gunicorn_options(_settings())["child_exit"](SimpleNamespace(), SimpleNamespace(pid=17))

    assert {path.name for path in tmp_path.iterdir()} == {"counter_17.db", "gauge_livesum_18.db"}


def test_a_worker_that_ended_without_shared_counting_is_no_matter() -> None:
    """With one worker there is nothing to tidy."""
    options = gunicorn_options(_settings())

    assert options["child_exit"](SimpleNamespace(), SimpleNamespace(pid=1)) is None


def test_an_ops_port_that_is_taken_stops_the_start_with_its_name() -> None:
    """One line that names the setting, as for every other that is wrong."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        open_port = _open_ops_port(f"127.0.0.1:{taken.getsockname()[1]}")

        with pytest.raises(SettingsError, match=r"\ABROKER_OPS_BIND: .*in use"):
            open_port(SimpleNamespace())
