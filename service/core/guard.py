r"""The response guard: no server token of the store ever reaches a caller.

An upstream that echoes a request, or lists tokens, would hand out what the broker keeps. The guard sees every header and every byte
of the body before the caller does. It holds back as many bytes as a hidden token could need, so that no border between chunks hides
one. What it looks for:

* the store's tokens, in plain text and in base64 and base64url wherever they begin in what was encoded;
* any other token whose own claims say that it is a server token of this store (upstream.md §1.5), such as one of those that a list shows;

each as it is, and with JSON (``\\u0065``) and URL (``%65``) escapes undone. Compression is undone before (``ProxyResponse.chunks``).

Source: DESIGN §9; security.md §2.3 P-11.
"""

import base64
import re
from collections import deque
from collections.abc import Iterable, Iterator

from service.core.errors import TokenLeakError
from service.core.secret import Secret
from service.core.upstream_answers import is_server_token

_OF_ANY_TOKEN = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_."
_JSON_ESCAPES = (b"\\u00", b"\\/", b'\\"', b"\\\\")
_ESCAPED_WIDTH = 18  # \u0025\u0036\u0035 is %65 is one character
_LONGEST_TOKEN = 512
_SINGLE_LOOKS = 64
_JSON_ESCAPE = re.compile(rb'\\u00([0-9a-fA-F]{2})|\\([/"\\])')
_URL_ESCAPE = re.compile(rb"%([0-9a-fA-F]{2})")
_MIXED_BEFORE = (0, 2, 3)
_URL_ALPHABET = bytes.maketrans(b"+/", b"-_")
_PART = rb"[A-Za-z0-9_-]{8,600}"
# It begins where a word does, so that a hostile text cannot make each of its places a beginning.
_SERVER_TOKEN = re.compile(rb"(?<![A-Za-z0-9_-])eyJ%b\.eyJ%b\.%b" % (_PART, _PART, _PART))


class ResponseGuard:
    """Looks for a store's tokens in one response."""

    def __init__(self, store_hash: str, tokens: Iterable[Secret]) -> None:
        self._store_hash = store_hash
        plain = [token.reveal().encode("ascii") for token in tokens]
        self._needles = [spelling for token in plain for spelling in _spellings(token)]
        self._hold = max(_LONGEST_TOKEN, *map(len, self._needles)) * _ESCAPED_WIDTH - 1
        # A body may have thousands of escapes. Only those of characters that we look for can hide something.
        characters = set(b"".join(self._needles)) | set(_OF_ANY_TOKEN)
        self._json = tuple(
            escape for escape in _JSON_ESCAPES if escape == b"\\u00" or escape[1] in characters
        )
        codes = b"|".join(b"%02x" % character for character in sorted(characters | {0x5C, 0x25}))
        self._url = re.compile(b"%%(?:%b)" % codes, re.IGNORECASE)

    def check_headers(self, headers: Iterable[tuple[str, str]]) -> None:
        """Look at header names and values.

        Raises:
            TokenLeakError: The secret is in one of them.
        """
        for name, value in headers:
            self._search(f"{name}: {value}".encode("latin-1", "replace"))

    def filter(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """Yield the body, each byte only when it cannot be part of the secret.

        Raises:
            TokenLeakError: The secret is in the body; what was yielded before holds no part of it.
        """
        waiting: deque[bytes] = deque()
        held = 0
        before = b""
        for chunk in chunks:
            # Whole chunks are searched and given on as they came; copied is only what lies around the border of two.
            self._search(before + chunk[: self._hold])
            if len(chunk) > self._hold:
                self._search(chunk)
            before = (before + chunk[-self._hold :])[-self._hold :]
            waiting.append(chunk)
            held += len(chunk)
            while held - len(waiting[0]) >= self._hold:
                held -= len(waiting[0])
                yield waiting.popleft()
        yield from waiting

    def _search(self, window: bytes) -> None:
        for reading in self._readings(window):
            if any(needle in reading for needle in self._needles) or self._has_another(reading):
                raise TokenLeakError(
                    "The upstream's answer was withheld because it contains a token of the store.",
                    reason="token_in_answer",
                )

    def _has_another(self, reading: bytes) -> bool:
        """Tell whether there is a token that is none of those that were given, and says that it is the store's."""
        if not _may_have_a_part(reading):
            return False
        return any(
            is_server_token(match[0].decode("ascii"), self._store_hash)
            for match in _SERVER_TOKEN.finditer(reading)
        )

    def _readings(self, window: bytes) -> Iterator[bytes]:
        """Yield what a reader could make of some text: as it is, and with either or both kinds of escapes undone."""
        yield window
        without_json = window
        # One byte is found much faster than two, and most texts have neither.
        if b"\\" in window and any(escape in window for escape in self._json):
            without_json = _JSON_ESCAPE.sub(lambda m: m[2] or _octet(m[1]), window)
            yield without_json
        if b"%" in window and self._url.search(window):
            yield _URL_ESCAPE.sub(lambda m: _octet(m[1]), window)
        if without_json is not window and self._url.search(without_json):
            yield _URL_ESCAPE.sub(lambda m: _octet(m[1]), without_json)


def _spellings(token: bytes) -> Iterator[bytes]:
    """Yield a token, and what is common to all base64 texts of something that it is in, for each place that it can begin at."""
    yield token
    for before in range(3):
        encoded = base64.b64encode(bytes(before) + token)
        # The first and the last characters also hold bits of what stands around the token.
        inner = encoded[_MIXED_BEFORE[before] :].rstrip(b"=")[:-1]
        yield inner
        in_url = inner.translate(_URL_ALPHABET)
        if in_url != inner:
            yield in_url


def _may_have_a_part(text: bytes) -> bool:
    """Tell whether the beginning of a token's second part is in a text, as in every token of this form and little else.

    Single bytes are found many times as fast as several, and this one is rare in what people write.
    """
    at = -1
    for _ in range(_SINGLE_LOOKS):
        at = text.find(b"J", at + 1)
        if at < 0:
            return False
        if text.endswith(b".ey", 0, at):
            return True
    return text.find(b".eyJ", at) >= 0


def _octet(digits: bytes) -> bytes:
    return bytes.fromhex(digits.decode("ascii"))
