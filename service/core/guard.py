r"""The response guard: the store's own token never reaches a caller.

An upstream that echoes a request, or lists tokens, would hand out what the broker keeps. The guard sees every header and every byte
of the body before the caller does. It holds back as many bytes as a hidden token could need, so that no border between chunks hides
one, and it looks at the text both as it is and with JSON (``\\u0065``) and URL (``%65``) escapes undone.

Source: DESIGN §9; security.md §2.3 P-11.
"""

import re
from collections.abc import Iterable, Iterator

from service.core.errors import TokenLeakError
from service.core.secret import Secret

_ESCAPED_WIDTH = 18  # \u0025\u0036\u0035 is %65 is one character
_JSON_ESCAPE = re.compile(rb'\\u00([0-9a-fA-F]{2})|\\([/"\\])')
_URL_ESCAPE = re.compile(rb"%([0-9a-fA-F]{2})")


class ResponseGuard:
    """Looks for one secret in one response."""

    def __init__(self, secret: Secret) -> None:
        self._needle = secret.reveal().encode("ascii")
        self._hold = len(self._needle) * _ESCAPED_WIDTH - 1

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
        held = b""
        for chunk in chunks:
            window = held + chunk
            self._search(window)
            if len(window) > self._hold:
                yield window[: -self._hold]
                held = window[-self._hold :]
            else:
                held = window
        if held:
            yield held

    def _search(self, window: bytes) -> None:
        if any(self._needle in reading for reading in _readings(window)):
            raise TokenLeakError(
                "The upstream's answer was withheld because it contains the store's token.",
                reason="token_in_answer",
            )


def _readings(window: bytes) -> Iterator[bytes]:
    """Yield what a reader could make of some text: as it is, and with either or both kinds of escapes undone."""
    yield window
    without_json = window
    if b"\\" in window:
        without_json = _JSON_ESCAPE.sub(lambda m: m[2] or _octet(m[1]), window)
        yield without_json
    if b"%" in window:
        yield _URL_ESCAPE.sub(lambda m: _octet(m[1]), window)
    if b"%" in without_json and without_json is not window:
        yield _URL_ESCAPE.sub(lambda m: _octet(m[1]), without_json)


def _octet(digits: bytes) -> bytes:
    return bytes.fromhex(digits.decode("ascii"))
