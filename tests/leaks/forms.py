"""The forms in which a secret could be written down.

A secret is searched for in pieces: whatever contains at least ``2 * PIECE - 1`` characters of it in one go, in one of the forms, contains
a whole piece. So a secret that was cut short, or that stands within something that was encoded as a whole, is found as well.
"""

import base64
import html
import json
from collections.abc import Callable, Iterator
from urllib.parse import quote, quote_plus

PIECE = 12
"""Characters, or bytes of a secret that is none of text."""
_CHARACTERS_BEFORE = (0, 2, 3)


def needles(secret: str | bytes) -> set[bytes]:
    """Return every form of every piece of a secret.

    Raises:
        ValueError: It is too short to be told from chance.
    """
    if len(secret) < PIECE:
        raise ValueError("a canary has at least a piece")
    return {form for piece in _pieces(secret) for form in _forms(piece)}


def _pieces(secret: str | bytes) -> Iterator[str | bytes]:
    for start in range(0, len(secret) - PIECE + 1, PIECE):
        yield secret[start : start + PIECE]
    yield secret[-PIECE:]


def _forms(piece: str | bytes) -> Iterator[bytes]:
    if isinstance(piece, str):
        for write in TEXT_FORMS.values():
            yield write(piece)
        piece = piece.encode()
    for encode in BYTE_FORMS.values():
        yield encode(piece)


def _base64(before: int) -> Callable[[bytes], bytes]:
    """Return what encodes some bytes as they stand in base64 after so many others; what mixes with neighbours is left out."""

    def encode(piece: bytes) -> bytes:
        encoded = base64.b64encode(bytes(before) + piece).rstrip(b"=")
        return encoded[_CHARACTERS_BEFORE[before] : -1 if (before + len(piece)) % 3 else None]

    return encode


def _base64url(before: int) -> Callable[[bytes], bytes]:
    return lambda piece: _base64(before)(piece).translate(bytes.maketrans(b"+/", b"-_"))


def _each(pattern: str, encoding: str) -> Callable[[str], bytes]:
    """Return what writes each unit of some text by a pattern."""
    width = 2 if encoding == "utf-16-be" else 1

    def write(piece: str) -> bytes:
        raw = piece.encode(encoding)
        units = (raw[at : at + width] for at in range(0, len(raw), width))
        return "".join(pattern.format(int.from_bytes(unit)) for unit in units).encode()

    return write


#: name → how some text is written in it
TEXT_FORMS: dict[str, Callable[[str], bytes]] = {
    "UTF-16, little end first": lambda piece: piece.encode("utf-16-le"),
    "UTF-16, big end first": lambda piece: piece.encode("utf-16-be"),
    "URL": lambda piece: quote(piece, safe="").encode(),
    "form": lambda piece: quote_plus(piece).encode(),
    "URL, every character": _each("%{:02X}", "utf-8"),
    "URL, every character, small": _each("%{:02x}", "utf-8"),
    "JSON": lambda piece: json.dumps(piece)[1:-1].encode(),
    "JSON in JSON": lambda piece: json.dumps(json.dumps(piece)[1:-1])[1:-1].encode(),
    "JSON, not ASCII": lambda piece: json.dumps(piece, ensure_ascii=False)[1:-1].encode(),
    "JSON, every character": _each("\\u{:04x}", "utf-16-be"),
    "JSON, every character, capitals": _each("\\u{:04X}", "utf-16-be"),
    "Python": lambda piece: repr(piece)[1:-1].encode(),
    "Python, ASCII": lambda piece: ascii(piece)[1:-1].encode(),
    "HTML": lambda piece: html.escape(piece).encode(),
}
#: name → how some bytes are written in it
BYTE_FORMS: dict[str, Callable[[bytes], bytes]] = {
    "as it is": bytes,
    "Python's bytes": lambda piece: repr(piece)[2:-1].encode(),
    "hex": lambda piece: piece.hex().encode(),
    "HEX": lambda piece: piece.hex().upper().encode(),
    **{f"base64, {before} before": _base64(before) for before in range(3)},
    **{f"base64url, {before} before": _base64url(before) for before in range(3)},
}
