"""Which headers pass the proxy, in which direction.

What belongs to one connection goes first, together with whatever ``Connection`` names, and only then is the token set: done the other
way round, ``Connection: authToken`` would make the proxy drop what it has just injected.

Source: DESIGN §9; RFC 9110 §7.6.1; golang/go#50580; security.md §2.3 P-05 to P-11.
"""

from collections.abc import Iterable, Mapping

from service.core.secret import Secret

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
    """Return the headers to give to the caller."""
    listed = list(headers)
    named = _named_by_connection(listed)
    return [
        (name, value)
        for name, value in listed
        if (lower := name.lower()) not in _RESPONSE_DROPPED and lower not in named
    ]


def _named_by_connection(headers: list[tuple[str, str]]) -> frozenset[str]:
    return frozenset(
        option.strip().lower()
        for name, value in headers
        if name.lower() == "connection"
        for option in value.split(",")
    )
