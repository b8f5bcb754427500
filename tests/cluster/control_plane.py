"""A real control plane of Kubernetes on loopback: etcd, API server and controller manager, without any node.

It judges objects as a cluster does: strict fields, validation, Pod Security at the making of pods, RBAC, tokens of service accounts.
Pods are made and never run.
"""

import contextlib
import json
import os
import secrets
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import urllib3
import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from sandbox.demo.processes import Program, free_port, stopping
from tests.support.chart import tool

ISSUER = "https://kubernetes.default.svc.cluster.local"


class ControlPlane:
    """A client of the API server, as somebody who may do everything.

    Attributes:
        kubeconfig: The same for helm.
        ca_file: The API server's certificate.
        url: Its address.
    """

    def __init__(self, folder: Path, port: int) -> None:
        self.url = f"https://127.0.0.1:{port}"
        self.ca_file = folder / "certs" / "apiserver.crt"
        self.kubeconfig = folder / "kubeconfig"
        self.token = secrets.token_hex(16)
        self._pool: urllib3.HTTPSConnectionPool | None = None

    def write_kubeconfig(self) -> None:
        """Write it, when the API server has made its certificate."""
        cluster = {"server": self.url, "certificate-authority": str(self.ca_file)}
        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "it", "cluster": cluster}],
            "users": [{"name": "admin", "user": {"token": self.token}}],
            "contexts": [{"name": "it", "context": {"cluster": "it", "user": "admin"}}],
            "current-context": "it",
        }
        self.kubeconfig.write_text(yaml.safe_dump(document), "utf-8")

    def is_ready(self) -> bool:
        """Tell whether the API server serves."""
        try:
            return self.ca_file.exists() and self.ask("GET", "/readyz")[0] == 200
        except (urllib3.exceptions.HTTPError, ssl.SSLError):
            return False

    def ask(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Make a request and return the status and the answer."""
        if self._pool is None:
            self._pool = urllib3.HTTPSConnectionPool(
                "127.0.0.1", int(self.url.rpartition(":")[2]), ca_certs=str(self.ca_file)
            )
        response = self._pool.request(
            method,
            path,
            body=None if body is None else json.dumps(body),
            headers={"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"},
            retries=False,
        )
        is_json = "json" in response.headers.get("Content-Type", "")
        return response.status, response.json() if is_json else response.data

    def make(self, path: str, body: Any) -> Any:
        """Make an object, with no member that Kubernetes does not know, and return it."""
        status, answer = self.ask("POST", f"{path}?fieldValidation=Strict", body)
        assert status == 201, answer
        return answer

    def make_namespace(self, name: str) -> None:
        """Make a namespace that admits only pods of the restricted profile."""
        labels = {"pod-security.kubernetes.io/enforce": "restricted"}
        body = {"metadata": {"name": name, "labels": labels}}
        self.make("/api/v1/namespaces", body)

    def account_token(self, namespace: str, name: str, *audiences: str) -> str:
        """Return a token of a service account; without an audience, one for the API server."""
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token"
        spec = {"audiences": list(audiences)}
        return str(self.make(path, {"spec": spec})["status"]["token"])

    def close(self) -> None:
        """Close the connections."""
        if self._pool is not None:
            self._pool.close()


@contextlib.contextmanager
def running_control_plane(folder: Path) -> Iterator[ControlPlane]:
    """Run everything for the length of a block."""
    etcd_port, peer_port, port, controllers_port = (free_port() for _ in range(4))
    etcd_url, peer_url = f"http://127.0.0.1:{etcd_port}", f"http://127.0.0.1:{peer_port}"
    plane = ControlPlane(folder, port)
    key_file, certs = _signing_key(folder / "sa.key"), folder / "certs"
    (folder / "tokens.csv").write_text(f"{plane.token},admin,admin,system:masters\n", "utf-8")

    def started(name: str, *arguments: str) -> Program:
        return running.enter_context(
            stopping(Program(name, [tool(name), *arguments], folder, os.environ))
        )

    with contextlib.ExitStack() as running, contextlib.closing(plane):
        started(
            "etcd",
            *("--data-dir", str(folder / "etcd"), "--listen-peer-urls", peer_url),
            *("--listen-client-urls", etcd_url, "--advertise-client-urls", etcd_url),
        )
        server = started(
            "kube-apiserver",
            *("--etcd-servers", etcd_url, "--bind-address", "127.0.0.1"),
            *("--secure-port", str(port), "--cert-dir", str(certs)),
            *("--service-account-issuer", ISSUER, "--service-account-key-file", key_file),
            *("--service-account-signing-key-file", key_file, "--authorization-mode", "RBAC"),
            *("--token-auth-file", str(folder / "tokens.csv")),
            *("--service-cluster-ip-range", "10.96.0.0/16"),
        )
        server.wait_ready(plane.is_ready)
        plane.write_kubeconfig()
        started(
            "kube-controller-manager",
            *("--kubeconfig", str(plane.kubeconfig), "--cert-dir", str(certs)),
            *("--secure-port", str(controllers_port), "--root-ca-file", str(plane.ca_file)),
            *("--service-account-private-key-file", key_file),
        )
        yield plane


def _signing_key(path: Path) -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.NoEncryption(),
        )
    )
    return str(path)
