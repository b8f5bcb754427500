"""A fake Kubernetes API server that speaks the real wire format: JWK set with rotation, and TokenReview, over TLS.

It authenticates who asks by a bearer token, as the real one does, and answers 401 or 403 to whoever may not.
"""

import contextlib
import json
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from sandbox.demo.identities import Issuer
from tests.support.pki import Authority

JWKS_PATH = "/openid/v1/jwks"
_JWK_SET = "application/jwk-set+json"
REVIEW_PATH = "/apis/authentication.k8s.io/v1/tokenreviews"


class Cluster:
    """What the API server knows, and what it was asked."""

    def __init__(self, folder: Path, own_token: str) -> None:
        self.issuer = Issuer("https://kubernetes.default.svc.cluster.local", "cluster-1")
        self.own_token = own_token
        self.deleted: set[str] = set()
        self.asked: list[str] = []
        self.failure: tuple[int, bytes] | None = None
        self.knows_audiences = True
        self.url = ""
        self.ca_file = ""
        self._folder = folder

    def jwk_set(self) -> bytes:
        """Return the JWK set as it is at this moment."""
        return self.issuer.write_jwk_set(self._folder / "current.json").read_bytes()

    def rotate(self, kid: str) -> None:
        """Sign with a new key from now on."""
        self.issuer = Issuer(self.issuer.url, kid)

    def review(self, spec: dict[str, Any]) -> dict[str, Any]:
        """Return the status of a TokenReview."""
        token = spec["token"]
        claims = _claims(token)
        wanted = set(spec.get("audiences", []))
        audiences = sorted(wanted & set(claims.get("aud", [])))
        if token in self.deleted or not audiences:
            return {"authenticated": False, "user": {}, "error": "invalid bearer token"}
        user = {"username": claims["sub"], "groups": ["system:serviceaccounts"]}
        answer: dict[str, Any] = {"authenticated": True, "user": user}
        if self.knows_audiences:
            answer["audiences"] = audiences
        return answer


def _claims(token: str) -> dict[str, Any]:
    import jwt

    claims: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    return claims


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    cluster: Cluster

    def do_GET(self) -> None:
        self._answer_to(b"")

    def do_POST(self) -> None:
        self._answer_to(self.rfile.read(int(self.headers.get("Content-Length", "0"))))

    def _answer_to(self, body: bytes) -> None:
        cluster = self.cluster
        cluster.asked.append(self.path)
        if cluster.failure is not None:
            self._send(*cluster.failure)
        elif self.headers.get("Authorization") != f"Bearer {cluster.own_token}":
            self._send(
                401, b'{"kind":"Status","status":"Failure","reason":"Unauthorized","code":401}'
            )
        elif self.path == JWKS_PATH and _JWK_SET not in self.headers.get("Accept", _JWK_SET):
            self._send(406, b'{"kind":"Status","status":"Failure","code":406}')
        elif self.path == JWKS_PATH:
            self._send(200, cluster.jwk_set())
        elif self.path == REVIEW_PATH:
            review = json.loads(body)
            review["status"] = cluster.review(review["spec"])
            self._send(201, json.dumps(review).encode())
        else:
            self._send(404, b'{"kind":"Status","status":"Failure","reason":"NotFound","code":404}')

    def _send(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 — the name of the base class
        """Say nothing."""


@contextlib.contextmanager
def running_cluster(folder: Path, own_token: str = "the broker's own token") -> Iterator[Cluster]:
    """Run a fake API server on loopback for the length of a block."""
    cluster = Cluster(folder, own_token)
    authority = Authority(folder, "cluster-ca")
    issued = authority.server("localhost")
    handler = type("Handler", (_Handler,), {"cluster": cluster})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(issued.cert_file, issued.key_file)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.daemon_threads = True
    cluster.url = f"https://localhost:{server.server_address[1]}"
    cluster.ca_file = str(authority.ca_file)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield cluster
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
