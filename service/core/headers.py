"""Which headers pass the proxy, in which direction.

What belongs to one connection goes first, together with whatever ``Connection`` names, and only then is the token set: done the other
way round, ``Connection: authToken`` would make the proxy drop what it has just injected.

Source: DESIGN §9; RFC 9110 §7.6.1; golang/go#50580; security.md §2.3 P-05 to P-11.
"""

import re
from collections.abc import Iterable, Mapping

from service.core.errors import UpstreamAnswerError
from service.core.secret import Secret

_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
_LENGTH = re.compile(r"[0-9]{1,18}")

Headers = Iterable[tuple[str, str]]

_HOP_BY_HOP = frozenset(
    {
        "connection",
        "http2-settings",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
_REQUEST_DROPPED = _HOP_BY_HOP | {
    # Whoever the caller is and whatever it holds stays here.
    "authtoken",
    "authorization",
    "cookie",
    "forwarded",
    "via",
    "x-auth-client",
    "x-auth-token",
    "x-store-hash",
    # The broker speaks for itself on the connection to the upstream.
    "accept-encoding",
    "content-length",
    "expect",
    "host",
    "x-request-id",
    # Parts of an answer could hold parts of a token, which the response guard would not recognise.
    "range",
    "if-range",
    # A method or path that differs from the one that was allowed.
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "x-original-url",
    "x-rewrite-url",
}
_REQUEST_PREFIXES = ("broker-", "x-forwarded-", "proxy-")
_RESPONSE_DROPPED = _HOP_BY_HOP | {
    "set-cookie",
    "set-cookie2",
    "www-authenticate",
    "refresh",  # a redirect in other words
    # The broker's own server writes these two.
    "date",
    "server",
}


def outgoing(headers: Headers, token: Mapping[str, Secret]) -> tuple[tuple[str, str], ...]:
    """Return the headers to send upstream: the caller's end-to-end ones, and exactly one token style."""
    listed = list(headers)
    named = _named_by_connection(listed)
    kept = [
        (name, value)
        for name, value in listed
        if (lower := name.lower()) not in _REQUEST_DROPPED
        and lower not in named
        and not lower.startswith(_REQUEST_PREFIXES)
    ]
    # What is read must be readable for the response guard.
    kept.append(("Accept-Encoding", "identity"))
    kept.extend((name, secret.reveal()) for name, secret in token.items())
    return tuple(kept)


def incoming(headers: Headers) -> list[tuple[str, str]]:
    """Return the headers to give to the caller.

    Raises:
        UpstreamAnswerError: One of them cannot be written on.
    """
    listed = list(headers)
    dropped = _RESPONSE_DROPPED | _named_by_connection(listed)
    if any(name.lower() == "transfer-encoding" for name, _ in listed):
        dropped |= {"content-length"}  # it does not count beside the other (RFC 9112 §6.3)
    kept = [(name, value) for name, value in listed if name.lower() not in dropped]
    if not all(_is_writable(name, value) for name, value in kept):
        raise UpstreamAnswerError(
            "The upstream's answer cannot be relied on.", reason="upstream_header_unusable"
        )
    return [(name, value) for name, value in kept if not _leads_away(name, value)]


def _is_writable(name: str, value: str) -> bool:
    if name.lower() == "content-length" and not _LENGTH.fullmatch(value):
        return False
    return bool(_NAME.fullmatch(name) and _VALUE.fullmatch(value))


def _leads_away(name: str, value: str) -> bool:
    """Tell whether a redirect names a host: a client that follows it would take its reference there."""
    return name.lower() == "location" and not re.match(r"/(?![/\\])", value)


def _named_by_connection(headers: list[tuple[str, str]]) -> frozenset[str]:
    return frozenset(
        option.strip().lower()
        for name, value in headers
        if name.lower() == "connection"
        for option in value.split(",")
    )
