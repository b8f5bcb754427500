"""Keys wrapped by the Transit engine of HashiCorp Vault or OpenBao. Fulfils ``KeyWrapper``.

The broker needs ``update`` on ``<mount>/decrypt/<key>`` only; whoever makes keys, on ``<mount>/encrypt/<key>``. The installation and the
key's id are associated data, so that a wrapped key is good under its own name only; the Transit key must be of an AEAD type
(``aes256-gcm96``, the default, or ``chacha20-poly1305``).

Source: https://openbao.org/api-docs/secret/transit/ (Encrypt Data, Decrypt Data).
"""

import base64
import binascii
import contextlib
import json
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import urllib3
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import HTTPError

from service.core.keyring import KeyringError

_TIMEOUT = urllib3.Timeout(connect=2, read=5)
_LONGEST_ANSWER_BYTES = 65_536
_OK = 200


@dataclass(frozen=True, slots=True)
class VaultOptions:
    """Where the Transit key is.

    Attributes:
        url: Scheme and host; empty where there is none.
        token_file: Holds the token; read for every call, since whoever renews it writes another one there.
        ca_file: Whom to trust; empty for the system's.
        namespace: Of Vault Enterprise or OpenBao; empty for none.
        mount: Of the Transit engine.
        key: Its key.
        instance: The installation, which wrapped keys are bound to.
    """

    url: str
    token_file: str
    ca_file: str
    namespace: str
    mount: str
    key: str
    instance: str


class VaultTransit:
    """Wraps and unwraps by one Transit key."""

    def __init__(self, options: VaultOptions) -> None:
        """Take where it is; nothing is connected before the first call."""
        self._options = options

    def wrap(self, key_id: str, material: bytes) -> str:
        """See ``KeyWrapper.wrap``."""
        answer = self._ask("encrypt", key_id, {"plaintext": base64.b64encode(material).decode()})
        wrapped = answer.get("ciphertext")
        if not isinstance(wrapped, str) or not (wrapped.isascii() and wrapped.isprintable()):
            raise _unusable()
        return wrapped

    def unwrap(self, key_id: str, wrapped: str) -> bytes:
        """See ``KeyWrapper.unwrap``."""
        plaintext = self._ask("decrypt", key_id, {"ciphertext": wrapped}).get("plaintext")
        try:
            return base64.b64decode(plaintext or "", validate=True)
        except (TypeError, ValueError, binascii.Error):
            raise _unusable() from None

    def _ask(self, operation: str, key_id: str, fields: dict[str, str]) -> dict[str, Any]:
        """Return the ``data`` of an answer."""
        options = self._options
        if not options.url:
            raise KeyringError("BROKER_VAULT_URL is not set")
        bound = json.dumps([options.instance, key_id]).encode("ascii")
        body = {**fields, "associated_data": base64.b64encode(bound).decode("ascii")}
        path = f"/v1/{quote(options.mount)}/{operation}/{quote(options.key, safe='')}"
        try:
            with self._pool() as pool:
                response = pool.urlopen(
                    "POST",
                    path,
                    json.dumps(body),
                    self._headers(),
                    retries=False,
                    redirect=False,
                    timeout=_TIMEOUT,
                    preload_content=False,
                )
                with contextlib.closing(response):
                    content = response.read(_LONGEST_ANSWER_BYTES, decode_content=True)
        except (HTTPError, OSError) as error:
            raise KeyringError(f"Vault cannot be reached ({type(error).__name__})") from None
        if response.status != _OK:
            # What it says may quote what was sent.
            raise KeyringError(f"Vault refused to {operation} it (status {response.status})")
        return _data(content)

    def _headers(self) -> dict[str, str]:
        try:
            token = Path(self._options.token_file).read_text("ascii").strip()
        except (OSError, UnicodeDecodeError):
            raise KeyringError("BROKER_VAULT_TOKEN_FILE cannot be read") from None
        if not token or not token.isprintable():
            raise KeyringError("BROKER_VAULT_TOKEN_FILE does not hold a token")
        headers = {
            "X-Vault-Token": token,
            "X-Vault-Request": "true",
            "Content-Type": "application/json",
        }
        if self._options.namespace:
            headers["X-Vault-Namespace"] = self._options.namespace
        return headers

    def _pool(self) -> HTTPConnectionPool:
        parts = urlsplit(self._options.url)
        host = parts.hostname or ""
        if parts.scheme == "http":
            return HTTPConnectionPool(host, parts.port)
        context = ssl.create_default_context(cafile=self._options.ca_file or None)
        return HTTPSConnectionPool(host, parts.port, ssl_context=context)


def _data(content: bytes) -> dict[str, Any]:
    try:
        data = json.loads(content)["data"]
    except (ValueError, TypeError, LookupError):
        raise _unusable() from None
    if not isinstance(data, dict):
        raise _unusable()
    return data


def _unusable() -> KeyringError:
    return KeyringError("Vault answered something that is no key")
