"""The image at work, as the chart runs it, and what is not in it. Part of ``make image-test`` alone: it needs an image and what runs it."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from service import __version__
from tests.image.pod import IMAGE, Pod, engine, running_pod
from tests.support.http import Client
from tests.support.service import Service

pytestmark = pytest.mark.image


@pytest.fixture(scope="module")
def pod(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pod]:
    """One pod for all who do not stop it."""
    with running_pod(tmp_path_factory.mktemp("pod")) as running:
        yield running


def _works(pod: Pod) -> None:
    client = Client(pod.stack.port)
    service = Service(pod.stack, client)
    store_hash = service.active_store()
    assert service.companies(service.mint(store_hash)).status == 200
    assert service.redeem(service.mint(store_hash, access="redeem")).status == 200
    client.close()


def test_it_does_the_main_job(pod: Pod) -> None:
    """A store is registered; references to its token are used and redeemed."""
    _works(pod)


def test_it_is_healthy(pod: Pod) -> None:
    """As the HEALTHCHECK of the image asks."""
    assert pod.execute("/opt/broker/bin/broker", "healthcheck").returncode == 0


@pytest.mark.parametrize(
    "module", ["pip", "ensurepip", "setuptools", "hatchling", "sandbox", "tests", "pytest"]
)
@pytest.mark.parametrize("python", ["/opt/broker/bin/python", "python3"])
def test_nothing_in_it_installs_or_tests_anything(pod: Pod, module: str, python: str) -> None:
    """In neither Python of the image."""
    done = pod.execute(python, "-I", "-c", f"import {module}")

    assert done.returncode == 1
    assert f"No module named '{module}'" in done.stderr


def test_there_is_no_compiler(pod: Pod) -> None:
    """Nor anything else that makes programs."""
    found = "import shutil; print([p for p in ('cc', 'gcc', 'make', 'ld') if shutil.which(p)])"

    assert pod.execute("python3", "-c", found).stdout == "[]\n"


@pytest.mark.parametrize("folder", ["/", "/opt/broker/bin", "/etc/broker/keyring"])
def test_nothing_is_written_but_to_tmp(pod: Pod, folder: str) -> None:
    """Read-only, and not the user's."""
    write = f"open('{folder}/x', 'w')"

    assert "Error: [Errno " in pod.execute("python3", "-c", write).stderr
    assert pod.execute("python3", "-c", "open('/tmp/x', 'w')").returncode == 0


def test_it_is_nobody(pod: Pod) -> None:
    """Also where no user is asked for."""
    who = pod.execute("python3", "-c", "import os; print(os.getuid(), os.getgid())")
    config = json.loads(engine("image", "inspect", IMAGE).stdout)[0]["Config"]

    assert who.stdout == "65532 65532\n"
    assert config["User"] == "65532:65532"


def test_it_says_what_it_is() -> None:
    """By the labels of OCI."""
    labels = json.loads(engine("image", "inspect", IMAGE).stdout)[0]["Config"]["Labels"]

    named = {name.removeprefix("org.opencontainers.image."): text for name, text in labels.items()}
    assert named["version"] == __version__
    assert len(named["revision"]) == 40
    assert named["base.name"]


def test_it_stops_in_time_when_it_is_asked_to(tmp_path: Path) -> None:
    """The first process is the broker, so that SIGTERM reaches it; it ends as a program that did what it should."""
    with running_pod(tmp_path) as stopped:
        _works(stopped)
        stopped.stack.broker.signal(signal.SIGTERM)

        assert stopped.stack.broker.exit_code() == 0
