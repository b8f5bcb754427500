"""The attacks on a proxy that forwards paths, as bytes, each with its required outcome.

``%PROOF%`` stands for the header lines with the caller's own token and a reference to everything of one store, ``%REF%`` for that
reference, ``%TOKEN%`` for the caller's token.

Source: security.md §2.3, P-01 to P-09 and P-15.
"""

from collections.abc import Iterator
from dataclasses import dataclass

UP = "/api/v3/io/companies"
FILE = "/api/v3/io/files/a"
PROOF = "%PROOF%\r\n"


@dataclass(frozen=True, slots=True)
class Attack:
    """One row.

    Attributes:
        row: Of the list in the source.
        name: What it tries.
        sent: The bytes.
        statuses: Of which the answer has to have one.
        upstream: The target that goes upstream, exactly once; None for not a byte.
        body: What goes upstream as the body; None when it must not be complete there.
    """

    row: str
    name: str
    sent: bytes
    statuses: tuple[int, ...]
    upstream: str | None = None
    body: bytes | None = b""


def _bytes(*lines: str, body: str = "") -> bytes:
    return ("\r\n".join(lines) + "\r\n" + PROOF + "\r\n" + body).encode("latin-1")


def _refused(
    row: str, target: str, *statuses: int, method: str = "GET", host: str = "b", more: str = ""
) -> Attack:
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}", *([more] if more else [])]
    sent = _bytes(*lines, "Connection: close")
    return Attack(row, f"{method} {target} {more}"[:70], sent, statuses or (400,))


def _tail(row: str, tail: str, *statuses: int) -> Attack:
    return _refused(row, f"/v1/proxy/api/v3/io{tail}", *statuses)


def _with(row: str, *headers: str, statuses: tuple[int, ...] = (200,)) -> Attack:
    """Return a good request with headers that must have no effect, or be refused."""
    lines = [f"GET /v1/proxy{UP} HTTP/1.1", "Host: b", *headers]
    if not any(line.lower().startswith("connection:") for line in headers):
        lines.append("Connection: close")
    forwarded = UP if statuses == (200,) else None
    return Attack(row, "; ".join(headers)[:70], _bytes(*lines), statuses, forwarded)


def _framed(row: str, name: str, headers: str, body: str, outcome: Attack | None = None) -> Attack:
    """Return an upload in some framing; without an ``outcome`` it is refused and never complete upstream."""
    sent = _bytes(f"PUT /v1/proxy{FILE} HTTP/1.1", "Host: b", *headers.split("|"), body=body)
    if outcome is None:
        return Attack(row, name, sent, (400,), None, None)
    return Attack(row, name, sent, outcome.statuses, outcome.upstream, outcome.body)


def _targets() -> Iterator[Attack]:
    dots = ("/..", "/../x", "/%2e%2e", "/.%2e", "/%2E./x", "/..;/x", "/..%2f", "/..%2Fx")
    folds = ("/%5c..%5cx", "/\\..\\x", "//x", "/./x", "/.", "/companies//1", "/%252e%252e/x")
    for tail in (*dots, *folds, "/..%00/x", "/%c0%ae%c0%ae/../x", "/a%2fb", "/%2e"):
        yield _tail("P-01", tail)
    yield _refused("P-01", "/v1/proxy/api/io/companies/../auth/backend", method="POST")
    for target in (
        *("/v1/proxy//evil.example/x", "/v1/proxy/\\evil.example", "/v1/proxy:99@evil.example/"),
        *("http://evil.example/v1/proxy/api/v3/io/companies", "file:///etc/passwd"),
        *("https://b/v1/proxy/api/v3/io/companies", "//evil.example/v1/proxy/api/v3/io/companies"),
    ):
        yield _refused("P-02", target, 400, 404)
    for target in ("@evil.example/", "/@evil.example/", ".evil.example/", "/evil.example/"):
        yield _refused("P-02", f"/v1/proxy{target}", 400, 403, 404)
    for octet in ("%0d%0aX:y", "%00", "%0a", "%09", "%7f", "\t", "\x01", "\x7f", "\xe9", "%"):
        yield _tail("P-03", f"/companies/a{octet}b")
    for octet in ("\t", "\x01", "\x7f", "\xe9", "\x00", "\r", "\n"):
        yield _tail("P-03", f"/companies?a={octet}b")
    for line in ("X-A: a\rb", "X-A: a\x00b", "X-A: a\n b", "X-A : a", " X-A: a", "X\tA: a", "X-A"):
        yield _with("P-03", line, statuses=(400,))
    for method in ("G\rET", "GE\x00T", "GET\t", "", "G(ET"):
        yield _refused("P-03", f"/v1/proxy{UP}", method=method)


def _methods() -> Iterator[Attack]:
    for method in ("TRACE", "OPTIONS", "PROPFIND", "LINK", "CONNECT"):
        yield _refused("P-04", f"/v1/proxy{UP}", 400, 405, method=method)
    yield _refused("P-04", "evil.example:443", 400, 404, 405, method="CONNECT")
    yield _refused("P-04", "*", 400, 404, 405, method="OPTIONS")
    yield Attack("P-04", "PRI", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", (400,))
    for method in ("get", "Get", "gET", "post"):
        yield _refused("P-04", f"/v1/proxy{UP}", 400, 405, method=method)
    for header in ("X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"):
        yield _with("P-04", f"{header}: DELETE")
    for header in ("X-Original-URL", "X-Rewrite-URL"):
        yield _with("P-04", f"{header}: /api/io/auth/backend")


def _headers() -> Iterator[Attack]:
    for name in ("authToken", "AUTHTOKEN", "X-Auth-Token", "x-auth-token"):
        yield _with("P-05", f"{name}: evil", statuses=(400,))
        yield _with("P-05", f"{name}: %REF%", f"{name}: evil", statuses=(400,))
        yield _with("P-05", f"{name}: %REF%")
    for name in ("auth_token", "X_Auth_Token", "X_STORE_HASH", "Broker_Reference", "SCRIPT_NAME"):
        yield _with("P-05", f"{name}: evil", statuses=(400,))
    for line in ("X-Store-Hash: evil", "x-STORE-hash: evil", "X-Auth-Client: evil"):
        yield _with("P-05", line)
        yield _with("P-05", line, line)
    for name in ("Cookie", "Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "Broker-X", "Via"):
        yield _with("P-05", f"{name}: host=evil")
    yield _with("P-05", "Authorization: Bearer evil", statuses=(400, 401))
    for named in ("authToken", "X-Auth-Token", "X-Store-Hash", "Accept-Encoding", "Host"):
        yield _with("P-06", f"Connection: {named}, close")
    hops = "Keep-Alive, TE, Trailer, Transfer-Encoding, Upgrade, Proxy-Authorization, close"
    yield _with("P-06", f"Connection: {hops}, X-Mine", "X-Mine: dropped", "Keep-Alive: 5")
    yield _with("P-06", "Connection: authToken", "Connection: X-Auth-Token, close")
    for line in ("TE: trailers", "Trailer: X-A", "Proxy-Connection: x", "Proxy-Authorization: x"):
        yield _with("P-06", line)
    yield _with("P-08", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk", "Connection: Upgrade, close")
    yield _with("P-08", "Upgrade: websocket", "Sec-WebSocket-Key: x", "Connection: Upgrade, close")
    for host in ("evil.example", "evil.example:99", "[::1]", "127.0.0.1"):
        sent = _bytes(f"GET /v1/proxy{UP} HTTP/1.1", f"Host: {host}", "Connection: close")
        yield Attack("P-09", f"Host: {host}", sent, (200,), UP)
    yield _with("P-09", "Host: evil.example", statuses=(400,))
    yield _with("P-09", "X-Forwarded-Host: evil.example", "X-Host: evil.example")
    yield _refused("P-09", f"http://evil.example/v1/proxy{UP}", host="other.example")


def _framings() -> Iterator[Attack]:
    whole = Attack("", "", b"", (200,), FILE, b"hello")
    hidden = "GET /v1/proxy/api/v3/io/users HTTP/1.1\r\nHost: b\r\n" + PROOF + "\r\n"
    both = "Content-Length: 5|Transfer-Encoding: chunked"
    yield _framed("P-07", "both lengths", both, "0\r\n\r\n" + hidden)
    for coding in ("xchunked", "chunked, identity", "\x0bchunked", "chunked\x00", '"chunked"'):
        yield _framed("P-07", f"TE {coding!r}", f"Transfer-Encoding: {coding}", "0\r\n\r\n")
    two = "Transfer-Encoding: chunked|Transfer-Encoding: "
    for coding in ("identity", "x", "chunked"):
        yield _framed("P-07", f"TE twice, {coding}", two + coding, "0\r\n\r\n" + hidden)
    yield _framed("P-07", "TE with a blank", "Transfer-Encoding : chunked", "0\r\n\r\n" + hidden)
    for lengths in ("5|Content-Length: 6", "5|Content-Length: 5", "5, 5", "+5", "0x5", "5 5", "-5"):
        yield _framed("P-07", f"CL {lengths}", f"Content-Length: {lengths}", "hello")
    for length in (str(2**64), "5_0", "\xd9\xa5", ""):
        yield _framed("P-07", f"CL {length!r}", f"Content-Length: {length}", "hello")
    chunked = "Transfer-Encoding: chunked"
    for size in ("zz", "-5", "+5", "0x5", "5 ", "", " 5", "5_", "5;x=\x00"):
        yield _framed("P-07", f"chunk size {size!r}", chunked, f"{size}\r\nhello\r\n0\r\n\r\n")
    yield _framed("P-07", "chunk too long", chunked, "4\r\nhello\r\n0\r\n\r\n")
    yield _framed("P-07", "chunk ends in LF", chunked, "5\nhello\n0\n\n" + hidden)
    yield _framed("P-07", "extension", chunked, "5;a=b\r\nhello\r\n0\r\n\r\n", whole)
    trailer = "5\r\nhello\r\n0\r\nX-A: b\r\n\r\n"
    yield _framed("P-07", "trailer", chunked, trailer, whole)
    for name in ("Authorization", "Host", "Content-Length", "Transfer-Encoding"):
        body = trailer.replace("X-A: b", f"{name}: evil")
        yield _framed("P-07", f"trailer {name}", chunked, body)
    # No standard forbids it; like every trailer it stays behind.
    body = trailer.replace("X-A: b", "authToken: evil")
    yield _framed("P-07", "trailer authToken", chunked, body, whole)
    yield _framed("P-08", "Expect", "Content-Length: 5|Expect: 100-continue", "hello", whole)
    odd = "Content-Length: 5|Expect: 200-ok|Connection: close"
    yield Attack(
        "P-08",
        "Expect of something else",
        _framed("", "", odd, "hello").sent,
        (200, 417, 400),
        None,
        None,
    )


def _queries() -> Iterator[Attack]:
    for query in (
        *("a=1&a=2&a=1", "a=1;b=2", "authToken=canary-query", "x=..%2f..%2f&y=//evil.example"),
        *("%2e%2e/", "?", "q=%00%0d%0a", "a=b?c=d", "x=[1]&y=|", "", "x=http://evil.example/"),
    ):
        sent = _bytes(f"GET /v1/proxy{UP}?{query} HTTP/1.1", "Host: b", "Connection: close")
        yield Attack("P-15", f"?{query}", sent, (200,), f"{UP}?{query}")
    yield _tail("P-15", f"/companies?a={'x' * 65_536}", 414)
    yield _tail("P-15", f"/companies?{'a=1&' * 4096}", 414)
    yield _tail("P-15", "/companies?a=1#b")


ATTACKS = (*_targets(), *_methods(), *_headers(), *_framings(), *_queries())
