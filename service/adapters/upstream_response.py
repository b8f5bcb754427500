"""The upstream's answers: whether they can be relied on, and their bodies, read as they are asked for."""

from collections.abc import Iterator

from urllib3 import BaseHTTPResponse
from urllib3.connection import HTTPConnection

from service.adapters.deadline import Deadline
from service.adapters.decoding import decoded
from service.adapters.upstream_connections import NETWORK_ERRORS, IdleConnections, is_quiet
from service.core.errors import UpstreamAnswerError, UpstreamError, UpstreamTimeoutError

_CHUNK_BYTES = 64 * 1024
_FIRST_FINAL_STATUS = 200
_WITHOUT_BODY = (204, 304)
_IDENTITY = "identity"
_CHUNKED = "chunked"
_CODINGS = (_IDENTITY, "gzip", "x-gzip", "deflate")


class UpstreamResponse:
    """An answer whose body is read as it is asked for. Fulfils ``ProxyResponse``."""

    def __init__(
        self,
        response: BaseHTTPResponse,
        deadline: Deadline,
        connection: HTTPConnection,
        idle: IdleConnections,
    ) -> None:
        self._response = response
        self._deadline = deadline
        self._connection = connection
        self._idle = idle
        self._complete = False
        self._closed = False

    @property
    def status(self) -> int:
        """See ``ProxyResponse.status``."""
        return self._response.status

    @property
    def headers(self) -> list[tuple[str, str]]:
        """See ``ProxyResponse.headers``."""
        listed = list(self._response.headers.items())
        if not self._is_encoded:
            return listed
        # The body is given decoded, so its old length and encoding no longer describe it.
        return [
            (n, v) for n, v in listed if n.lower() not in ("content-encoding", "content-length")
        ]

    def header(self, name: str) -> str | None:
        """Return a header's value, several of one name joined by commas; None if there is none."""
        value: str | None = self._response.headers.get(name)
        return value

    @property
    def _is_encoded(self) -> bool:
        return (
            self._response.headers.get("Content-Encoding", _IDENTITY).strip().lower() != _IDENTITY
        )

    def chunks(self) -> Iterator[bytes]:
        """See ``ProxyResponse.chunks``."""
        try:
            chunks = self._response.stream(_CHUNK_BYTES, decode_content=False)
            yield from decoded(chunks, _CHUNK_BYTES) if self._is_encoded else chunks
        except (
            *NETWORK_ERRORS,
            ValueError,
        ):  # of damaged compression, or a chunk with a size below zero
            raise failure(self._deadline) from None
        if self._deadline.missed:
            raise timed_out()
        self._complete = True

    def read(self, limit: int) -> bytes:
        """Return the whole body, and close.

        Raises:
            UpstreamError: It broke off, took too long, or has more than ``limit`` bytes.
        """
        body = bytearray()
        try:
            for chunk in self.chunks():
                body += chunk
                if len(body) > limit:
                    raise UpstreamAnswerError(
                        "The upstream's answer is too large.", reason="answer_too_large"
                    )
        finally:
            self.close()
        return bytes(body)

    def close(self) -> None:
        """See ``ProxyResponse.close``."""
        if self._closed:
            return
        self._closed = True
        self._deadline.finish()
        if self._complete and is_quiet(self._connection):
            self._idle.put(self._connection)
        else:
            self._response.close()
            self._connection.close()


def failure(deadline: Deadline, error: Exception | None = None) -> UpstreamError:
    """Return what a network error means: too late, or broken off."""
    if deadline.missed or isinstance(error, TimeoutError):
        return timed_out()
    return UpstreamAnswerError("The upstream broke off.", reason="upstream_broke_off")


def is_usable(response: BaseHTTPResponse, method: str) -> bool:
    """Tell whether an answer is whole as far as its head goes, and of a kind that can be looked through."""
    headers = response.headers
    # http.client skips only 100; any other interim answer is not the answer.
    if response.status < _FIRST_FINAL_STATUS:
        return False
    if headers.get("Content-Encoding", _IDENTITY).strip().lower() not in _CODINGS:
        return False
    # Any other transfer coding would be passed on undecoded, and a token in it not be seen.
    if headers.get("Transfer-Encoding", _CHUNKED).strip().lower() != _CHUNKED:
        return False
    # http.client takes a head that was cut off for one that ended, so an answer has to say how long it is.
    says_length = "Content-Length" in headers or "Transfer-Encoding" in headers
    ends_with_connection = "close" in headers.get("Connection", "").lower()
    return (
        says_length or ends_with_connection or method == "HEAD" or response.status in _WITHOUT_BODY
    )


def unusable() -> UpstreamAnswerError:
    """Return the error for an answer that is not usable."""
    return UpstreamAnswerError(
        "The upstream's answer cannot be relied on.", reason="upstream_answer_unusable"
    )


def timed_out() -> UpstreamTimeoutError:
    """Return the error for a deadline that was missed."""
    return UpstreamTimeoutError(
        "The upstream did not answer in time; what it did is unknown.", reason="upstream_timeout"
    )
