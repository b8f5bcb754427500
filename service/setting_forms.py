"""The forms that the values of settings have. A wrong one raises ``ValueError`` with the rule, never with the value."""

import re
from urllib.parse import SplitResult, urlsplit

_HIGHEST_PORT = 65535
_LONGEST_IDENTITY = 300
_PROXY = re.compile(r"spiffe://[a-z0-9._-]{1,255}(/(?!\.{1,2}(/|\Z))[A-Za-z0-9._-]+)+", re.ASCII)
_LOOPBACK = ("127.0.0.1", "::1", "localhost")
VAULT_PATH = r"^[A-Za-z0-9][A-Za-z0-9_-]*(/[A-Za-z0-9_-]+)*$"
_HOST = r"(?:[A-Za-z0-9][A-Za-z0-9._-]*|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?"
_SEVERAL = re.compile(
    rf"rediss?\+(?:sentinel://{_HOST}(?:,{_HOST})*/[A-Za-z0-9._-]+(?:/[0-9]{{0,4}})?|cluster://{_HOST}(?:,{_HOST})*/?)",
    re.ASCII,
)


def bind_address(value: str) -> str:
    """Take ``host:port``."""
    host, separator, port = value.rpartition(":")
    if not host or not separator or not re.fullmatch("[0-9]{1,5}", port, re.ASCII):
        raise ValueError("is host:port, such as 0.0.0.0:8080")
    if int(port) > _HIGHEST_PORT:
        raise ValueError("is host:port, such as 0.0.0.0:8080")
    return value


def _split(value: str) -> SplitResult:
    try:
        parts = urlsplit(value)
        _ = parts.port
    except ValueError:  # its own text quotes the value
        raise ValueError("is a URL, with a port from 1 to 65535 or none") from None
    return parts


def redis_url(value: str) -> str:
    """Take the address of a Redis, of sentinels, or of a cluster, without anything secret."""
    if "+" in value.partition("://")[0]:
        return _url_of_several(value)
    parts = _split(value)
    if parts.scheme not in ("redis", "rediss", "unix"):
        raise ValueError(
            "begins with redis://, rediss://, unix://, redis+sentinel://, redis+cluster:// or their rediss+… forms"
        )
    if parts.scheme != "unix" and not parts.hostname:
        raise ValueError("names a host")
    if parts.scheme != "unix" and not re.fullmatch(r"(/[0-9]{0,4})?", parts.path, re.ASCII):
        raise ValueError("ends with the number of the database, or with nothing")
    if "@" in parts.netloc or parts.query or parts.fragment:
        # Both can hold a password, and the query can switch the verification of TLS off.
        raise ValueError(
            "holds no user, password or options; use BROKER_REDIS_USERNAME and BROKER_REDIS_PASSWORD_FILE"
        )
    return value


def _url_of_several(value: str) -> str:
    ports = re.findall(r":([0-9]+)(?=[,/]|$)", value, re.ASCII)
    if not _SEVERAL.fullmatch(value) or any(not 0 < int(port) <= _HIGHEST_PORT for port in ports):
        raise ValueError(
            "is redis+sentinel://host:26379,host/name/0 or redis+cluster://host:6379,host, without user, password or options"
        )
    return value


def upstream_url(value: str) -> str:
    """Take scheme and host, and return them without a slash at the end."""
    parts = _split(value)
    bare = not (parts.path.strip("/") or parts.query or parts.fragment or "@" in parts.netloc)
    if parts.scheme not in ("https", "http") or not parts.hostname or not bare:
        raise ValueError("is https://host with nothing behind it")
    return f"{parts.scheme}://{parts.netloc}"


def service_url(value: str) -> str:
    """Take scheme and host, or nothing; plain HTTP to this machine only."""
    if not value:
        return value
    parts = _split(value)
    bare = not (parts.path.strip("/") or parts.query or parts.fragment or "@" in parts.netloc)
    here = parts.scheme == "http" and parts.hostname in _LOOPBACK
    if not bare or not parts.hostname or not (parts.scheme == "https" or here):
        raise ValueError("is https://host with nothing behind it, or http://127.0.0.1:port")
    return f"{parts.scheme}://{parts.netloc}"


def items(value: str) -> list[str]:
    """Return what stands between commas."""
    return [item.strip() for item in value.split(",") if item.strip()]


def trusted_proxies(value: str) -> str:
    """Take SPIFFE ids with commas between."""
    if not all(_PROXY.fullmatch(i) and len(i) <= _LONGEST_IDENTITY for i in items(value)):
        raise ValueError("is SPIFFE ids such as spiffe://prod.example/ns/edge/sa/envoy")
    return value
