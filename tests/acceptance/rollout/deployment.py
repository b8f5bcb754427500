"""A Deployment whose pods are local processes, replaced in the order in which Kubernetes replaces them.

1. A new pod is started; when a probe of ``/readyz`` succeeds, it becomes an endpoint.
2. An old pod is deleted. In one and the same moment it ceases to be an endpoint, and the kubelet begins with its preStop sleep.
3. After the sleep it gets SIGTERM; when the grace period, which began with the deletion, is over, SIGKILL.

Whoever sends requests learns of a change of the endpoints only some time after it was made. Pods that stop do not hold up those that
start (``maxSurge: 1``, ``maxUnavailable: 0``).

Source: kubernetes.io, Pod Lifecycle, Termination of Pods; security.md §5.4.
"""

import contextlib
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from sandbox.demo.processes import Program, answers, free_port, wait_until
from sandbox.demo.stack import start_broker

_REPLICAS = 3


@dataclass(frozen=True, slots=True)
class Timing:
    """In seconds.

    Attributes:
        lag: From a change of the endpoints until clients follow it.
        pre_stop: The sleep before SIGTERM.
        grace: From the deletion to SIGKILL.
    """

    lag: float
    pre_stop: float
    grace: float


class Endpoints:
    """The ports of the pods that get requests, as clients see them: some time later."""

    def __init__(self, lag: float) -> None:
        self._lag = lag
        self._changes: list[tuple[float, tuple[int, ...]]] = [(0.0, ())]

    def change(self, ports: tuple[int, ...]) -> None:
        """Set what clients will see."""
        self._changes.append((time.monotonic() + self._lag, ports))

    def visible(self) -> tuple[int, ...]:
        """Return what they see now."""
        now = time.monotonic()
        return next(ports for since, ports in reversed(self._changes) if since <= now)


@dataclass(frozen=True, slots=True)
class Pod:
    """One broker."""

    program: Program
    port: int


class Deployment:
    """Pods, and what deletes and replaces them."""

    def __init__(self, folder: Path, settings: Mapping[str, str], timing: Timing) -> None:
        self._folder = folder
        self._settings = settings
        self._timing = timing
        self._started: list[Program] = []
        self.endpoints = Endpoints(timing.lag)
        self.pods: list[Pod] = []
        self.exit_codes: list[int | None] = []
        """Of the pods that were deleted; None for one that did not end within its grace period."""

    def add_pod(self) -> None:
        """Start a pod, and make it an endpoint as soon as it is ready."""
        folder = self._folder / f"pod-{len(self._started)}"
        folder.mkdir()
        port, ops_port = free_port(), free_port()
        settings = {**self._settings, "BROKER_AUDIT_FILE": str(folder / "audit.jsonl")}
        program = start_broker(folder, settings, port, ops_port)
        self._started.append(program)
        wait_until("the pod to be ready", lambda: answers(ops_port, "/readyz"))
        self.pods.append(Pod(program, port))
        self._announce()

    def delete_pod(self, pod: Pod) -> None:
        """Stop a pod as the kubelet does."""
        deadline = time.monotonic() + self._timing.grace
        self.pods.remove(pod)
        self._announce()
        time.sleep(self._timing.pre_stop)  # the kubelet waits for no condition either
        pod.program.signal(signal.SIGTERM)
        try:
            code = pod.program.exit_code(max(deadline - time.monotonic(), 0))
        except subprocess.TimeoutExpired:
            code = None
        self.exit_codes.append(code)

    def restart(self) -> None:
        """Replace every pod, and wait until the last old one has ended."""
        old = list(self.pods)
        with ThreadPoolExecutor(len(old)) as kubelets:
            for pod in old:
                self.add_pod()
                kubelets.submit(self.delete_pod, pod)

    def close(self) -> None:
        """End what still runs."""
        for program in self._started:
            program.stop()

    def _announce(self) -> None:
        self.endpoints.change(tuple(pod.port for pod in self.pods))


@contextlib.contextmanager
def running_pods(folder: Path, settings: Mapping[str, str], timing: Timing) -> Iterator[Deployment]:
    """Run three pods that clients see for the length of a block."""
    with contextlib.closing(Deployment(folder, settings, timing)) as deployment:
        for _ in range(_REPLICAS):
            deployment.add_pod()
        wait_until("the endpoints", lambda: len(deployment.endpoints.visible()) == _REPLICAS)
        yield deployment
