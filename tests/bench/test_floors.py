"""The floors answer, and the second one does its Redis call."""

import sys
from pathlib import Path

import pytest
import redis

from bench.floors import (
    ANSWER,
    KEYS,
    FloorServer,
    bare_app,
    proxying_app,
    redis_app,
    write_records,
)
from bench.origin import document
from bench.proxies import PATH, SIZES
from sandbox.demo.processes import Program, accepts, free_port, stopping
from sandbox.demo.stack import ROOT
from service.server import BrokerServer, gunicorn_options
from service.settings import Settings

_PATH = "/v1/references/redeem"


def test_the_bare_floor_answers_a_fixed_document() -> None:
    """It does nothing else."""
    client = bare_app().test_client()

    answer = client.post(_PATH, json={"reference": "anything"})

    assert (answer.status_code, answer.get_json()) == (200, ANSWER)


def test_the_second_floor_counts_down_in_redis(valkey: "redis.Redis", valkey_port: int) -> None:
    """One call changes the stored record in place, and only the counter of it."""
    write_records(valkey)
    before = valkey.get(KEYS[0])
    client = redis_app(f"redis://127.0.0.1:{valkey_port}/0").test_client()

    answer = client.post(_PATH, json={"reference": "anything"})

    after = valkey.get(KEYS[0])
    assert (answer.status_code, answer.get_json()) == (200, ANSWER)
    assert isinstance(before, bytes)
    assert after == before.replace(b"9999999", b"9999998", 1)


@pytest.mark.parametrize("size", SIZES)
def test_the_bare_proxy_passes_on_what_the_origin_says(size: str, tmp_path: Path) -> None:
    """A document of the length that was asked for."""
    origin = free_port()
    command = [sys.executable, "-m", "bench.origin", str(origin)]
    with stopping(Program("origin", command, tmp_path, {"PYTHONPATH": str(ROOT)})) as program:
        program.wait_ready(lambda: accepts(origin))
        answer = proxying_app(origin).test_client().get(f"{PATH}?bytes={SIZES[size]}")

    assert answer.status_code == 200
    assert len(answer.data) == SIZES[size] == answer.content_length
    assert answer.data == document(SIZES[size])


def test_a_floor_is_configured_as_the_broker_is() -> None:
    """All but the hooks of the ops port are the same, so nothing but the application differs."""
    settings = Settings.model_validate({"WEB_CONCURRENCY": 3, "threads": 5})
    broker = BrokerServer(settings).cfg.settings

    floor = FloorServer(gunicorn_options(settings), bare_app).cfg.settings

    differing = {name for name in broker if floor[name].get() != broker[name].get()}
    assert (floor["workers"].get(), floor["threads"].get()) == (3, 5)
    assert differing == {"on_starting", "post_fork", "post_worker_init", "child_exit"}
