"""Targets that try to leave the place that a reference opens, made from a seed, and what may become of one upstream."""

import posixpath
import random
import re
from collections.abc import Iterator
from urllib.parse import unquote_to_bytes

PREFIX = "/v1/proxy"
ROOM = "/api/v3/io/companies"
_DOTS = ("..", ".", "%2e%2e", "%2E.", ".%2e", "%252e%252e", "...", "..;", ". .", "%c0%ae%c0%ae")
_SLASHES = (
    "/",
    "//",
    "%2f",
    "%2F",
    "\\",
    "%5c",
    "/./",
    "%252f",
    "%c0%af",
    "/;/",
    "/%20/",
    "\uff0f",
)
_ROOMS = ("auth/backend", "io/backend/tokens", "users", "orders", "api/v2/io/proxy", "AUTH", "1")
_AUTHORITIES = ("@evil.example", ":99@evil.example", ".evil.example", "#@evil.example", "\\@evil")
_FRONTS = ("http://evil.example", "//evil.example", "https://127.0.0.1", "file://", "///", "\\\\")
_CONTROLS = ("%00", "%0d%0a", "%0aX-A:%20b", "\r\nX-A: b", "\n", "\r", "\t", "\x00", "\x7f", "%09")
_ODD = ("\xe9", "%e9", "%C3%A9", "%", "%%", "%zz", "%u002e", "%1", ";a=b", "#", "?", "&", "*", "~")
_HONEST = ("1", "companies", "a:b", "a@b", "x,y", "caf%c3%a9", "a+b", "status", "$1", "%20", "1!")
_QUERIES = (
    "",
    "",
    "?",
    "?a=1",
    "?x=/../y",
    "?x=%0d%0a",
    "?\\",
    "?a b",
    "?a\r\nX-A: b",
    "?%",
    "?a#b",
)


def hostile_targets(seed: int, number: int) -> Iterator[str]:
    """Yield different targets; about one in eight is honest, so that the proof is not about refusals alone."""
    chance = random.Random(seed)  # noqa: S311 — the same targets in every run
    seen: set[str] = set()
    while len(seen) < number:
        target = _target(chance)
        if target not in seen:
            seen.add(target)
            yield target


def _target(chance: random.Random) -> str:
    pools = (_DOTS, _SLASHES, _ROOMS, _CONTROLS, _ODD, _HONEST, _HONEST, _AUTHORITIES)
    if chance.random() < 1 / 6:
        steps = "".join(f"/{chance.choice(_HONEST)}" for _ in range(chance.randint(0, 4)))
        return f"{PREFIX}{ROOM}{steps}{chance.choice(_QUERIES[:5])}"
    tail = "".join(
        chance.choice(("/", "/", "", *_SLASHES)) + chance.choice(chance.choice(pools))
        for _ in range(chance.randint(1, 5))
    )
    room = chance.choice((ROOM, ROOM, ROOM, "/api/v3/io", "/api/io", "", "/api/v3/io/companie"))
    front = chance.choice(_FRONTS) if chance.random() < 1 / 16 else ""
    return f"{front}{PREFIX}{room}{tail}{chance.choice(_QUERIES)}"


def sent_as(target: str) -> bytes:
    """Return the bytes that stand on the request line."""
    return target.encode("utf-8" if max(target) > "\xff" else "latin-1")


def only_form(target: str) -> str:
    """Return the one form in which a target may go upstream: as it is, without the prefix, percent-encodings of the path in capitals."""
    path, mark, query = target.removeprefix(PREFIX).partition("?")
    return (
        re.sub("%[0-9a-f]{2}", lambda found: found[0].upper(), path, flags=re.IGNORECASE)
        + mark
        + query
    )


def stays_in_the_room(target: str) -> bool:
    """Tell whether a path stays where it is allowed however often, and by whomever, it is decoded and folded."""
    path = target.partition("?")[0].encode("latin-1")
    for _ in range(4):
        plain = re.sub(rb";[^/]*", b"", path.replace(b"\\", b"/"))
        folded = posixpath.normpath(plain.decode("latin-1"))
        if folded != ROOM and not folded.startswith(f"{ROOM}/"):
            return False
        path = unquote_to_bytes(path)
    return not re.search(rb"[\x00-\x1f\x7f]", path)
