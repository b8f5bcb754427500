r"""The target of a proxied request: read once, from the raw bytes that the caller sent, and sent on exactly as it was matched.

A path is refused when two parties could read it differently, because then what was allowed and what is done may differ:

* anything but ``/segment/segment…`` of RFC 3986 ``pchar``: no empty segments, backslashes, control or non-ASCII characters, and no
  ``;`` (parameters of a segment);
* ``.`` and ``..`` as segments;
* percent-encodings of what need not be encoded (letters, digits, ``-._~``: RFC 3986 §2.3 calls the two spellings equal, so an honest
  client uses the plain one), of ``/``, ``\``, ``;``, ``%`` and controls, and of octets that are no UTF-8 (``%C0%AE`` is an overlong dot:
  RFC 3629 §10).

The one normalisation is that percent-encodings are written in upper case (RFC 3986 §6.2.2.1). Some paths are never forwarded,
whatever a reference says: they make, list or delete credentials, or call other APIs with the store's own rights.

Source: DESIGN §9; security.md §2.3 P-01 to P-03; upstream.md §1, §2.1.
"""

import re
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from service.core.errors import AmbiguousTargetError, NeverProxiedError

PREFIX = "/v1/proxy"
_PCHAR = r"(?:[A-Za-z0-9\-._~!$&'()*+,=:@]|%[0-9A-Fa-f]{2})"
_TARGET = re.compile(
    rf"{PREFIX}((?:/{_PCHAR}+)+/?)(?:\?([A-Za-z0-9\-._~!$&'()*+,;=:@/?%\[\]|]*))?", re.ASCII
)
_PERCENT = re.compile(r"%([0-9A-Fa-f]{2})")
_UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_AMBIGUOUS = frozenset(b"/\\;%") | frozenset(range(0x20)) | {0x7F}
_VERSION = re.compile(r"v[0-9.]+")
_CREDENTIAL_ROOMS = frozenset({"auth", "backend", "proxy", "login", "logout"})


@dataclass(frozen=True, slots=True)
class Target:
    """What is sent upstream.

    Attributes:
        path: Normalised, beginning with ``/``.
        query: Verbatim, without the question mark; None if there was none.
    """

    path: str
    query: str | None

    @property
    def segments(self) -> tuple[str, ...]:
        """The path split at ``/``; what a request scope is matched against."""
        return tuple(self.path[1:].split("/"))

    def __str__(self) -> str:
        return self.path if self.query is None else f"{self.path}?{self.query}"


def parse_target(raw: str) -> Target:
    """Return the upstream target of a raw request target.

    Args:
        raw: As it stood on the request line, decoded as Latin-1.

    Raises:
        AmbiguousTargetError: It could be read in more than one way, or is not beneath the proxy.
        NeverProxiedError: It is well-formed, and never forwarded.
    """
    match = _TARGET.fullmatch(raw)
    if match is None or _has_ambiguous_encoding(match[1]):
        raise AmbiguousTargetError("The path is not one that the proxy forwards.", reason="path")
    path = _PERCENT.sub(lambda encoded: encoded[0].upper(), match[1])
    target = Target(path, match[2])
    if any(segment in (".", "..") for segment in target.segments):
        raise AmbiguousTargetError("The path has dot segments.", reason="dot_segments")
    _refuse_credential_rooms(target)
    return target


def _has_ambiguous_encoding(path: str) -> bool:
    octets = {int(digits, 16) for digits in _PERCENT.findall(path)}
    return bool(octets & (_UNRESERVED | _AMBIGUOUS)) or not _is_utf8(path)


def _is_utf8(path: str) -> bool:
    try:
        unquote_to_bytes(path).decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _refuse_credential_rooms(target: Target) -> None:
    """Refuse what lies in a room of credentials under any API version, with or without ``io``, in any case."""
    rest = [segment.lower() for segment in target.segments if segment]
    if not rest or rest[0] != "api":
        raise NeverProxiedError("Only paths beneath /api are forwarded.", reason="outside_api")
    rest = [segment for segment in rest[1:] if not _VERSION.fullmatch(segment)]
    # The first may also be a version that is written as none has been until now.
    first = rest[:3] if rest[1:2] == ["io"] else rest[:2]
    if first in ([], ["io"]) or not _CREDENTIAL_ROOMS.isdisjoint(first):
        raise NeverProxiedError("This path is never forwarded.", reason="never_proxied")
