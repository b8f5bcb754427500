"""Vault's Transit engine and AWS KMS on loopback, as far as wrapping keys goes: they check what they are sent, and really encrypt.

Source: the API documentation of OpenBao's Transit engine; the AWS KMS API reference; AWS Signature Version 4.
"""

import base64
import contextlib
import hashlib
import hmac
import json
import os
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tests.support.pki import Issued

Headers = dict[str, str]
_NONCE = 12


@dataclass
class KeyService:
    """What every such service has: a key of its own, and a memory of what it was asked.

    Attributes:
        paths: Of the requests.
        plaintexts: What it was given to wrap.
        refuses: The status that it answers with, whatever it is asked; 0 for none.
        says: What it answers, whatever it is asked; None for what is right.
    """

    cipher: AESGCM = field(default_factory=lambda: AESGCM(os.urandom(32)))
    paths: list[str] = field(default_factory=list)
    headers: list[Headers] = field(default_factory=list)
    plaintexts: list[bytes] = field(default_factory=list)
    refuses: int = 0
    says: bytes | None = None
    url: str = ""

    def answer(self, path: str, headers: Headers, body: bytes) -> tuple[int, Headers, bytes]:
        """Return status, headers and body of an answer."""
        self.paths.append(path)
        self.headers.append(headers)
        if self.refuses:
            status, extra = self.refuses, {"Location": "/elsewhere"}
            return status, extra, json.dumps({"errors": [body.decode()]}).encode()
        if self.says is not None:
            return 200, {}, self.says
        return self.right(path, headers, json.loads(body), body)

    def right(
        self, path: str, headers: Headers, fields: Any, body: bytes
    ) -> tuple[int, Headers, bytes]:
        """Return the right answer."""
        raise NotImplementedError

    def seal(self, plaintext: bytes, bound: bytes) -> bytes:
        """Encrypt."""
        self.plaintexts.append(plaintext)
        nonce = os.urandom(_NONCE)
        return nonce + self.cipher.encrypt(nonce, plaintext, bound)

    def open(self, sealed: bytes, bound: bytes) -> bytes | None:
        """Decrypt; None for what was not sealed here, or for something else."""
        try:
            return self.cipher.decrypt(sealed[:_NONCE], sealed[_NONCE:], bound)
        except (InvalidTag, ValueError):
            return None


@dataclass
class Vault(KeyService):
    """The Transit engine, mounted at ``transit``, with the key ``b2b-broker``."""

    token: str = "s.canary-vault-token"
    namespace: str | None = None

    def right(
        self, path: str, headers: Headers, fields: Any, body: bytes
    ) -> tuple[int, Headers, bytes]:
        """See ``KeyService.right``."""
        del body
        if headers.get("X-Vault-Token") != self.token:
            return 403, {}, b'{"errors":["permission denied"]}'
        if headers.get("X-Vault-Namespace") != self.namespace:
            return 404, {}, b'{"errors":[]}'
        bound = base64.b64decode(fields["associated_data"], validate=True)
        if path == "/v1/transit/encrypt/b2b-broker":
            assert set(fields) == {"plaintext", "associated_data"}
            sealed = self.seal(base64.b64decode(fields["plaintext"], validate=True), bound)
            return _vault_data({"ciphertext": f"vault:v1:{base64.b64encode(sealed).decode()}"})
        assert path == "/v1/transit/decrypt/b2b-broker"
        assert set(fields) == {"ciphertext", "associated_data"}
        engine, version, sealed_text = fields["ciphertext"].split(":", 2)
        assert (engine, version) == ("vault", "v1")
        plaintext = self.open(base64.b64decode(sealed_text), bound)
        if plaintext is None:
            return 400, {}, b'{"errors":["cipher: message authentication failed"]}'
        return _vault_data({"plaintext": base64.b64encode(plaintext).decode()})


def _vault_data(data: dict[str, str]) -> tuple[int, Headers, bytes]:
    answer = {"request_id": "0", "lease_id": "", "renewable": False, "data": data}
    return 200, {"Content-Type": "application/json"}, json.dumps(answer).encode()


@dataclass
class Kms(KeyService):
    """AWS KMS with one key, for one caller."""

    key: str = "alias/b2b-broker"
    region: str = "eu-central-1"
    access_key_id: str = "AKIACANARY"
    secret_access_key: str = "canary-secret-access-key"
    contexts: list[dict[str, str]] = field(default_factory=list)

    def right(
        self, path: str, headers: Headers, fields: Any, body: bytes
    ) -> tuple[int, Headers, bytes]:
        """See ``KeyService.right``."""
        assert path == "/"
        assert headers["Content-Type"] == "application/x-amz-json-1.1"
        if not self._is_signed(headers, body):
            return _kms_error("InvalidSignatureException")
        if fields["KeyId"] != self.key:
            return _kms_error("NotFoundException")
        self.contexts.append(fields["EncryptionContext"])
        bound = json.dumps(fields["EncryptionContext"], sort_keys=True).encode()
        operation = headers["X-Amz-Target"]
        if operation == "TrentService.Encrypt":
            sealed = self.seal(base64.b64decode(fields["Plaintext"], validate=True), bound)
            return _kms_data({"CiphertextBlob": base64.b64encode(sealed).decode()})
        assert operation == "TrentService.Decrypt"
        plaintext = self.open(base64.b64decode(fields["CiphertextBlob"], validate=True), bound)
        if plaintext is None:
            return _kms_error("InvalidCiphertextException")
        return _kms_data({"Plaintext": base64.b64encode(plaintext).decode(), "KeyId": self.key})

    def _is_signed(self, headers: Headers, body: bytes) -> bool:
        """Tell whether a request bears the right signature, computed here a second time."""
        scheme, _, rest = headers["Authorization"].partition(" ")
        parts = dict(part.split("=", 1) for part in rest.split(", "))
        access_key, date, region, service, end = parts["Credential"].split("/")
        if (scheme, access_key) != ("AWS4-HMAC-SHA256", self.access_key_id):
            return False
        assert (region, service, end) == (self.region, "kms", "aws4_request")
        names = parts["SignedHeaders"].split(";")
        assert {"host", "x-amz-date", "x-amz-target"} <= set(names)
        lower = {name.lower(): value for name, value in headers.items()}
        lines = "".join(f"{name}:{lower[name].strip()}\n" for name in names)
        digest = hashlib.sha256(body).hexdigest()
        canonical = f"POST\n/\n\n{lines}\n{parts['SignedHeaders']}\n{digest}"
        scope = f"{date}/{region}/{service}/{end}"
        to_sign = "\n".join(
            (scheme, lower["x-amz-date"], scope, hashlib.sha256(canonical.encode()).hexdigest())
        )
        key = f"AWS4{self.secret_access_key}".encode()
        for part in (date, region, service, end, to_sign):
            key = hmac.digest(key, part.encode(), "sha256")
        return hmac.compare_digest(key.hex(), parts["Signature"])


def _kms_data(data: dict[str, str]) -> tuple[int, Headers, bytes]:
    return 200, {"Content-Type": "application/x-amz-json-1.1"}, json.dumps(data).encode()


def _kms_error(code: str) -> tuple[int, Headers, bytes]:
    body = {"__type": code, "message": "canary text of the service"}
    return 400, {"Content-Type": "application/x-amz-json-1.1"}, json.dumps(body).encode()


@contextlib.contextmanager
def serving(service: KeyService, certificate: Issued | None = None) -> Iterator[None]:
    """Serve for the length of a block, over TLS if there is a certificate, and set ``url``."""

    class Handler(BaseHTTPRequestHandler):
        """Hands requests to the service."""

        def do_POST(self) -> None:
            """Answer."""
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status, headers, content = service.answer(self.path, dict(self.headers), body)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 — the library's name
            """Say nothing."""

    class Server(ThreadingHTTPServer):
        """Says nothing about callers that hang up."""

        def handle_error(self, request: object, client_address: object) -> None:
            """Say nothing."""

    with Server(("127.0.0.1", 0), Handler) as server:
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate.cert_file, certificate.key_file)
            server.socket = context.wrap_socket(
                server.socket, server_side=True, do_handshake_on_connect=False
            )
        service.url = f"http{'s' if certificate else ''}://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()
