"""What the rules need of the upstream's API."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

from service.core.records import TokenStyle
from service.core.secret import Secret


@dataclass(frozen=True, slots=True)
class ProxyRequest:
    """A request as it goes upstream.

    Attributes:
        method: Upper case.
        target: Path and query, to be sent byte for byte.
        headers: All of them, the token's included.
        body: Chunks; None for no body.
        body_bytes: The length; None when it is not known, which is then sent in chunks.
        abandoned: Tells whether nobody waits for the answer any more; None if that cannot happen.
    """

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: Iterable[bytes] | None = None
    body_bytes: int | None = None
    abandoned: Callable[[], bool] | None = None


class ProxyResponse(Protocol):
    """An answer of the upstream whose body has not been read yet."""

    @property
    def status(self) -> int:
        """The status code."""

    @property
    def headers(self) -> list[tuple[str, str]]:
        """The headers, in order; they describe the body as ``chunks`` gives it."""

    def chunks(self) -> Iterator[bytes]:
        """Yield the body with any content encoding undone.

        Raises:
            UpstreamError: It broke off or took too long.
        """

    def close(self) -> None:
        """Give the connection back, or close it if the body was not read to its end."""


class Upstream(Protocol):
    """BigCommerce B2B Edition. Every method ends within the upstream timeout and raises only ``UpstreamError``."""

    def issue(self, store_hash: str, email: Secret, password: Secret, name: str) -> Secret:
        """Exchange a password for a new token, with exactly one request that is never repeated.

        Raises:
            CredentialRefusedError: The upstream refused e-mail, password or role.
        """

    def check(self, store_hash: str, style: TokenStyle, token: Secret) -> None:
        """Make one harmless read with a token.

        Raises:
            CredentialRefusedError: The upstream does not accept it.
        """

    def tokens(self, token: Secret) -> Iterator[tuple[int, str]]:
        """Yield id and name of every token of the store of ``token``."""

    def delete(self, token: Secret, token_id: int) -> None:
        """Delete a token by id; one that is gone already counts as deleted."""

    def exchange(self, request: ProxyRequest) -> ProxyResponse:
        """Send a proxied request once, follow nothing, and return as soon as the headers are there."""
