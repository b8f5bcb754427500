"""The image that ``make image`` has built, run as the chart's pod is: its environment, its mounts, its user, its root file system."""

import contextlib
import os
import shlex
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from sandbox.demo.identities import Identities
from sandbox.demo.processes import Program, accepts, answers, free_port, stopping
from sandbox.demo.stack import Stack, start_redis, start_upstream, write_access
from tests.support.chart import environment, one, render

IMAGE = "b2b-credential-broker"
ENGINE = shlex.split(os.environ.get("DOCKER", "docker"))
OPTIONS = shlex.split(os.environ.get("RUN", ""))
"""What the engine needs besides to run a container."""


def engine(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run docker, or what stands for it, and return what it said."""
    return subprocess.run([*ENGINE, *arguments], capture_output=True, text=True, check=False)  # noqa: S603 — our own arguments


class Pod:
    """A running container of the chart's pod, and what it works with.

    Attributes:
        stack: The same as processes; the broker is the engine's command, which passes signals on and ends as the container does.
    """

    def __init__(self, name: str, stack: Stack) -> None:
        self._name = name
        self.stack = stack

    def execute(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command in the container."""
        return engine("exec", self._name, *arguments)


@contextlib.contextmanager
def running_pod(folder: Path) -> Iterator[Pod]:
    """Run Valkey, the sandbox and a container for the length of a block.

    Args:
        folder: An empty folder; what is mounted lies in it by the names of the volumes.
    """
    identities = Identities()
    redis_port, upstream_port, port, ops_port = (free_port() for _ in range(4))
    upstream_url = f"http://127.0.0.1:{upstream_port}"
    values = _values(folder, identities)
    values["redis"] = {"url": f"redis://127.0.0.1:{redis_port}/0"}
    values["upstream"] = {"url": upstream_url, "allowInsecure": True}
    ports = {"BROKER_BIND": f"127.0.0.1:{port}", "BROKER_OPS_BIND": f"127.0.0.1:{ops_port}"}
    _make_keyring(folder / "keyring")
    arguments = _arguments(folder, values, ports)
    name = f"broker-{port}"
    with (
        stopping(start_redis(folder, redis_port)) as redis,
        stopping(start_upstream(folder, upstream_port)) as upstream,
        stopping(_start(name, arguments, folder)) as broker,
    ):
        broker.wait_ready(lambda: answers(ops_port, "/readyz") and accepts(port))
        yield Pod(
            name,
            Stack(
                folder,
                identities,
                redis,
                redis_port,
                upstream,
                upstream_url,
                broker,
                port,
                ops_port,
            ),
        )


def _start(name: str, arguments: list[str], folder: Path) -> Program:
    command = [*ENGINE, "run", "--rm", "--name", name, "--network", "host", *OPTIONS, *arguments]
    return Program("container", command, folder, os.environ)


def _values(folder: Path, identities: Identities) -> dict[str, Any]:
    """Return values with the demo's access file, for a broker outside of any cluster."""
    access = write_access(folder, identities).read_text("utf-8")
    document = yaml.safe_load(access.replace(str(folder), "/etc/broker/access"))
    files = {path.name: path.read_text("utf-8") for path in folder.glob("*-jwks.json")}
    return {
        "image": {"repository": IMAGE, "tag": "latest"},
        "keyring": {"existingSecret": "keyring"},
        "kubernetesCallers": {"check": "none"},
        "access": {
            "issuers": document["issuers"],
            "grants": document["grants"],
            "tests": document["tests"],
            "files": files,
        },
    }


def _make_keyring(folder: Path) -> None:
    """Make it with the image itself, as the user that reads it later."""
    folder.mkdir()
    folder.chmod(0o777)
    made = engine(
        "run", "--rm", *OPTIONS, "--volume", f"{folder}:/keys", IMAGE, "keys", "new", "/keys"
    )
    assert made.returncode == 0, made.stderr


def _arguments(folder: Path, values: dict[str, Any], ports: Mapping[str, str]) -> list[str]:
    """Return what makes a container of the chart's pod; the ports are free ones, since the network is this machine's."""
    path = folder / "values.yaml"
    path.write_text(yaml.safe_dump(values), "utf-8")
    manifests = render(path)
    (folder / "access").mkdir()
    for name, content in one(manifests, "ConfigMap")["data"].items():
        (folder / "access" / name).write_text(content, "utf-8")
    spec = one(manifests, "Deployment")["spec"]["template"]["spec"]
    container = spec["containers"][0]
    arguments = _security(spec["securityContext"], container["securityContext"])
    for name, value in {**environment(manifests), **ports}.items():
        arguments += ["--env", f"{name}={value}"]
    for mount in container["volumeMounts"]:
        arguments += _mount(folder, mount)
    return [*arguments, container["image"], *container["args"]]


def _security(pod: dict[str, Any], container: dict[str, Any]) -> list[str]:
    assert container["readOnlyRootFilesystem"] is True
    assert container["allowPrivilegeEscalation"] is False
    dropped = [f"--cap-drop={capability}" for capability in container["capabilities"]["drop"]]
    user = f"--user={pod['runAsUser']}:{pod['runAsGroup']}"
    return ["--read-only", user, "--security-opt=no-new-privileges", *dropped]


def _mount(folder: Path, mount: dict[str, Any]) -> list[str]:
    if mount["name"] == "tmp":
        return ["--tmpfs", f"{mount['mountPath']}:size=64m"]
    return ["--volume", f"{folder / mount['name']}:{mount['mountPath']}:ro"]
