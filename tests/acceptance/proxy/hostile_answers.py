"""What a hostile or broken upstream answers, as bytes, each with what the caller may get.

Source: security.md §2.3, P-10 to P-12.
"""

import base64
import gzip
import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from tests.acceptance.proxy.puppet import (
    FINE,
    TOKEN,
    Play,
    drip,
    say_goodbye,
    sending,
    silence,
)
from tests.support.wire import Wire, answer

_TOKEN = TOKEN.encode()
_PAD = b"x" * 450_000
"""More than is looked at before the first byte leaves."""


@dataclass(frozen=True, slots=True)
class Answered:
    """One row.

    Attributes:
        row: Of the list in the source.
        name: What the upstream does.
        play: Does it.
        status: What the caller gets; 0 for an answer that begins as 200 and is cut short.
        kind: The problem's name; empty for the upstream's own answer.
    """

    row: str
    name: str
    play: Play
    status: int
    kind: str = ""


def chunked(*chunks: bytes, end: bytes = b"0\r\n\r\n", headers: str = "") -> bytes:
    """Return an answer in chunks."""
    head = f"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n{headers}\r\n".encode()
    return head + b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + end


def _escaped(text: str) -> str:
    return "".join(f"\\u{ord(character):04x}" for character in text)


def _encoded(body: bytes, coding: str) -> bytes:
    return answer(body, "200 OK", f"Content-Encoding: {coding}")


def _transferred(codings: str) -> bytes:
    coded = chunked(gzip.compress(_TOKEN), headers="Connection: close\r\n")
    return coded.replace(b": chunked", f": {codings}".encode(), 1)


def leaks() -> Iterator[Answered]:
    """Yield answers that hold the store's token."""
    url = "".join(f"%{ord(character):02x}" for character in TOKEN)
    basic = base64.b64encode(b"user:" + _TOKEN)
    forms = {
        "plain": _TOKEN,
        "JSON": json.dumps({"headers": {"X-Auth-Token": TOKEN}}).encode(),
        "JSON escapes": f'"{_escaped(TOKEN)}"'.encode(),
        "some JSON escapes": f'"{_escaped(TOKEN[:9])}{TOKEN[9:]}"'.encode(),
        "JSON escapes in capitals": f'"{_escaped(TOKEN).upper().replace("U", "u")}"'.encode(),
        "URL escapes": url.encode(),
        "URL escapes in JSON escapes": _escaped(url).encode(),
        "base64": base64.b64encode(_TOKEN),
        "base64 within": basic,
        "base64url within": base64.urlsafe_b64encode(b"??>" + _TOKEN + b"~~"),
        "base64 without padding": basic.rstrip(b"="),
    }
    for name, form in forms.items():
        yield _leak(name, answer(b"a " + form + b" b"))
        yield _leak(f"{name}, byte by byte", chunked(*(form[i : i + 1] for i in range(len(form)))))
        yield _leak(f"{name}, late", answer(_PAD + form + b" b"), late=True)
        half = len(form) // 2
        halves = chunked(_PAD + form[:half], form[half:] + _PAD)
        yield _leak(f"{name}, late, in halves", halves, late=True)
    for charset in ("utf-16", "utf-16-be", "utf-32"):
        # Without a word about it: a JSON parser tells by the zeros (RFC 4627 §3).
        yield _leak(charset, answer(json.dumps({"a": TOKEN}).encode(charset)))
    yield _leak("gzip", _encoded(gzip.compress(_TOKEN), "gzip"))
    yield _leak("deflate", _encoded(zlib.compress(_TOKEN), "deflate"))
    yield _leak("a header", answer(b"{}", "200 OK", f"X-A: {TOKEN}"))
    yield _leak("a header, escaped", answer(b"{}", "200 OK", f"X-A: {url}"))
    yield _leak("a header, encoded", answer(b"{}", "200 OK", f"X-A: Basic {basic.decode()}"))
    yield _leak("a header's name", answer(b"{}", "200 OK", f"X-{TOKEN}: a"))
    yield _leak("a redirect", answer(b"", "302 Found", f"Location: /?t={TOKEN}"))
    yield _leak("an error", answer(_TOKEN, "400 Bad Request"))


def _leak(name: str, sent: bytes, *, late: bool = False) -> Answered:
    if late:
        return Answered("P-11", name, sending(sent), 0)
    return Answered("P-11", name, sending(sent), 502, "token_in_answer")


def dropped() -> Iterator[Answered]:
    """Yield answers whose part with the token stays behind by itself."""
    for header in ("Set-Cookie", "WWW-Authenticate", "Server", "Keep-Alive", "Date"):
        sent = answer(b"{}", "200 OK", f"{header}: a={TOKEN}")
        yield Answered("P-11", header, sending(sent), 200)
    end = f"0\r\nX-A: {TOKEN}\r\n\r\n".encode()
    yield Answered("P-11", "a trailer", sending(chunked(b"{}", end=end)), 200)
    yield Answered("P-11", "the reason", sending(answer(b"{}", f"200 {TOKEN}")), 200)
    foreign = answer(b"", "302 Found", f"Location: https://evil.example/?t={TOKEN}")
    yield Answered("P-11", "a redirect elsewhere", sending(foreign), 302)
    extension = chunked(b"").replace(b"0\r\n\r\n0", f"0;a={TOKEN}\r\n\r\n0".encode())
    yield Answered("P-11", "a chunk's extension", sending(extension), 200)


def broken() -> Iterator[Answered]:
    """Yield answers that are none."""
    early = f"HTTP/1.1 103 Early Hints\r\nLink: <{TOKEN}>\r\n\r\n".encode()
    bad = {
        "nothing": b"",
        "another protocol": b"SSH-2.0-OpenSSH_9.6\r\n",
        "no status line": b"<html>hello</html>",
        "half a head": b"HTTP/1.1 200 OK\r\nContent-Le",
        "no length": b"HTTP/1.1 200 OK\r\nX-A: b\r\n\r\nhello",
        "too short": b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello",
        "two lengths": answer(b"hello", "200 OK", "Content-Length: 6"),
        "a length that is none": b"HTTP/1.1 200 OK\r\nContent-Length: 0x5\r\n\r\nhello",
        "101": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n",
        "103": early + FINE,
        "too many headers": answer(b"{}", "200 OK", *(f"X-{n}: a" for n in range(20_000))),
        "a huge header": answer(b"{}", "200 OK", f"X-A: {'a' * 1_000_000}"),
        "a control character": answer(b"{}", "200 OK", "X-A: a\x01b"),
        "no chunk size": chunked(b"a", end=b"zz\r\nabc\r\n0\r\n\r\n"),
        "a negative chunk size": chunked(b"a", end=b"-5\r\nabc\r\n0\r\n\r\n"),
        "no last chunk": chunked(b"a", end=b""),
        "half a chunk": chunked(b"a", end=b"ff\r\nabc"),
        "gzip that is none": _encoded(b"hello", "gzip"),
        "an unknown coding": _encoded(b"hello", "br"),
        "two codings": _encoded(gzip.compress(gzip.compress(_TOKEN)), "gzip, gzip"),
        "a transfer coding beneath the chunks": _transferred("gzip, chunked"),
        "a transfer coding without chunks": _transferred("gzip"),
    }
    until_closed = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello"
    bad["a body that ends with TLS cut off"] = until_closed
    for name, sent in bad.items():
        yield Answered("P-12", name, sending(sent), 502, "upstream_answer")
    said = sending(until_closed, then=say_goodbye)
    yield Answered("P-12", "a body that ends with TLS", said, 200)


def slow() -> Iterator[Answered]:
    """Yield answers that do not end."""
    hint = b"HTTP/1.1 100 Continue\r\n\r\n"
    head = b"HTTP/1.1 200 OK\r\n"
    long = head + b"Content-Length: 100000\r\n\r\n"

    def flood(wire: Wire) -> None:
        while not wire.stopping.is_set():
            wire.send(hint * 100)

    plays: dict[str, Play] = {
        "nothing comes": sending(then=silence),
        "half a head comes": sending(head, then=silence),
        "half a body comes": sending(long, b"hello", then=silence),
        "interim answers for ever": flood,
        "a head in drips": sending(head, b"X-A: ", then=drip),
        "a body in drips": sending(long, then=drip),
        "chunks in drips": sending(chunked(b"a", end=b"ffff\r\n"), then=drip),
    }
    for name, play in plays.items():
        yield Answered("P-12", name, play, 504, "upstream_timeout")
