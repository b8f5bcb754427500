r"""The response guard: no server token of the store ever reaches a caller.

An upstream that echoes a request, or lists tokens, would hand out what the broker keeps. The guard sees every header and every byte
of the body before the caller does. It holds back as many bytes as a hidden token could need, so that no border between chunks hides
one. What it looks for:

* the store's tokens, in plain text and in base64 and base64url wherever they begin in what was encoded;
* any other token whose own claims say that it is a server token of this store (upstream.md §1.5), such as one of those that a list shows;

each as it is, in UTF-16 and UTF-32, and with JSON (``\\u0065``) and URL (``%65``) escapes undone. Compression is undone before
(``ProxyResponse.chunks``).

Source: DESIGN §9; security.md §2.3 P-11.
"""

import base64
import re
from collections import deque
from collections.abc import Iterable, Iterator, Sequence

from service.core.errors import TokenLeakError
from service.core.secret import Secret
from service.core.upstream_answers import is_server_token

_OF_ANY_TOKEN = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_."
_USUAL_CODES = b"|".join(b"%02x" % byte for byte in _OF_ANY_TOKEN + b"\\%")
_JSON_ESCAPES = (b"\\u00", b"\\/", b'\\"', b"\\\\")
_ESCAPED_WIDTH = 18  # \u0025\u0036\u0035 is %65 is one character
_LONGEST_TOKEN = 512
_ZERO = b"\0"
_MOST_LOOKS = 64
_SIGN_BYTES = 4
# Of what tokens and base64 are written with, the rarest first in what people write.
_RARE = tuple(bytes((byte,)) for byte in b"XQJKVYWZUGHBLFORDCMNPTqzxjSAIEkvw")
# Backslashes before a \\u are taken together: whether it is an escape, or text that looks like one, may hang on those that are gone.
_JSON_ESCAPE = re.compile(rb'(?<!\\)(\\++)u00([0-9a-fA-F]{2})|\\([/"\\])')
_URL_ESCAPE = re.compile(rb"%([0-9a-fA-F]{2})")
_MIXED_BEFORE = (0, 2, 3)
_URL_ALPHABET = bytes.maketrans(b"+/", b"-_")
_PART_BORDER = b".eyJ"
_PART = rb"[A-Za-z0-9_-]{8,600}"
# It begins where a word does or an escape ends, so that a hostile text cannot make each of its places a beginning. None hides another.
_SERVER_TOKEN = re.compile(
    rb"(?:(?<![A-Za-z0-9_-])|(?<=%%[0-9A-Fa-f]{2})|(?<=\\[bfnrt]))(?=(eyJ%b\.eyJ%b\.%b))"
    % (_PART, _PART, _PART)
)


class _Signs:
    """What tells fast that a text has none of some needles.

    Single bytes are found many times as fast as several. So a text is looked through for the rarest byte that all needles have, and only
    where it stands for what comes before it, of which there is something in each.
    """

    def __init__(self, needles: Sequence[bytes]) -> None:
        ends = [needle[_SIGN_BYTES - 1 :] for needle in needles]
        self._rare = next((rare for rare in _RARE if all(rare in end for end in ends)), b"")
        self._signs = frozenset(_sign(needle, self._rare) for needle in needles if self._rare)
        self._before = frozenset(sign[-2] for sign in self._signs)

    def may_be_in(self, text: bytes) -> bool:
        """Tell whether a text may have a needle: sometimes wrongly yes, never wrongly no."""
        if not self._rare:
            return True
        at = -1
        for _ in range(_MOST_LOOKS):
            at = text.find(self._rare, at + 1)
            if at < 0:
                return False
            # The first of the two takes half the time, and is seldom true.
            if text[at - 1] in self._before and text[at - _SIGN_BYTES + 1 : at + 1] in self._signs:
                return True
        return True


def _sign(needle: bytes, rare: bytes) -> bytes:
    end = needle.index(rare, _SIGN_BYTES - 1) + 1
    return needle[end - _SIGN_BYTES : end]


_SECOND_PART = _Signs([_PART_BORDER])


class ResponseGuard:
    """Looks for a store's tokens in one response."""

    def __init__(self, store_hash: str, tokens: Iterable[Secret]) -> None:
        self._store_hash = store_hash
        plain = [token.reveal().encode("ascii") for token in tokens]
        self._needles = [spelling for token in plain for spelling in _spellings(token)]
        self._signs = _Signs(self._needles)
        self._hold = max(_LONGEST_TOKEN, *map(len, self._needles)) * _ESCAPED_WIDTH - 1
        # A body may have thousands of escapes. Only those of characters that we look for can hide something.
        written = b"".join(self._needles)
        self._json = tuple(e for e in _JSON_ESCAPES if e == b"\\u00" or e[1] in written)
        unusual = sorted(set(written.translate(None, _OF_ANY_TOKEN)))
        codes = b"|".join((_USUAL_CODES, *(b"%02x" % byte for byte in unusual)))
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
            window = before + chunk
            self._search(window)
            before = window[-self._hold :]
            waiting.append(chunk)
            held += len(chunk)
            while held - len(waiting[0]) >= self._hold:
                held -= len(waiting[0])
                yield waiting.popleft()
        yield from waiting

    def _search(self, window: bytes) -> None:
        for reading in self._readings(window):
            if self._has_given(reading) or self._has_another(reading):
                raise TokenLeakError(
                    "The upstream's answer was withheld because it contains a token of the store.",
                    reason="token_in_answer",
                )

    def _has_given(self, reading: bytes) -> bool:
        """Tell whether there is one of the tokens that were given."""
        return self._signs.may_be_in(reading) and any(needle in reading for needle in self._needles)

    def _has_another(self, reading: bytes) -> bool:
        """Tell whether there is a token that is none of those that were given, and says that it is the store's."""
        if not (_SECOND_PART.may_be_in(reading) and _PART_BORDER in reading):
            return False
        return any(
            is_server_token(match[1].decode("ascii"), self._store_hash)
            for match in _SERVER_TOKEN.finditer(reading)
        )

    def _readings(self, window: bytes) -> Iterator[bytes]:
        """Yield what a reader could make of some text: as it is, in UTF-16 or UTF-32, and with either or both kinds of escapes undone."""
        yield window
        # There the letters of a token have zeros around them, whichever byte comes first, and many a parser tells by them.
        if _ZERO in window:
            yield window.replace(_ZERO, b"")
        without_json = window
        # One byte is found much faster than two, and most texts have neither.
        if b"\\" in window and any(escape in window for escape in self._json):
            without_json = _JSON_ESCAPE.sub(_json_character, window)
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


def _json_character(match: "re.Match[bytes]") -> bytes:
    if match[3]:
        return match[3]
    return b"\\" * ((len(match[1]) - 1) // 2) + _octet(match[2])


def _octet(digits: bytes) -> bytes:
    return bytes.fromhex(digits.decode("ascii"))
