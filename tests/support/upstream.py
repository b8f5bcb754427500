"""A working upstream in memory, with a ledger; it fulfils ``Upstream`` and can be told to fail."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count

from service.core.errors import CredentialRefusedError, UpstreamError
from service.core.records import TokenStyle
from service.core.secret import Secret
from service.core.upstream_ports import ProxyRequest

PASSWORD = "canary-password-Zq7!"
EMAIL = "owner@canary.example"


@dataclass
class MadeToken:
    """A row of the ledger."""

    token_id: int
    store_hash: str
    name: str
    value: str
    deleted: bool = False


@dataclass
class CannedResponse:
    """An answer of the proxy's upstream. Fulfils ``ProxyResponse``."""

    status: int = 200
    headers: list[tuple[str, str]] = field(default_factory=list)
    content: list[bytes] = field(default_factory=lambda: [b"{}"])
    closed: bool = False

    def chunks(self) -> Iterator[bytes]:
        """Yield the content."""
        yield from self.content

    def close(self) -> None:
        """Note that it was closed."""
        self.closed = True


class FakeUpstream:
    """Makes tokens for whoever has the right password, and remembers all of them."""

    def __init__(self) -> None:
        self.ledger: list[MadeToken] = []
        self.logins = 0
        self.access_tokens: dict[str, str] = {}
        self.proxied: list[ProxyRequest] = []
        self.response = CannedResponse()
        self.before_issue: Callable[[], None] = lambda: None
        self.after_issue: Callable[[], None] = lambda: None
        self.failure: UpstreamError | None = None
        self._ids = count(1001)

    def live(self, store_hash: str) -> list[MadeToken]:
        """Return the tokens of a store that were not deleted."""
        return [made for made in self.ledger if made.store_hash == store_hash and not made.deleted]

    def issue(self, store_hash: str, email: Secret, password: Secret, name: str) -> Secret:
        """See ``Upstream.issue``; ``before_issue`` may raise before, and ``after_issue`` after the token was made."""
        self.logins += 1
        self.before_issue()
        if (email.reveal(), password.reveal()) != (EMAIL, PASSWORD):
            raise CredentialRefusedError("refused", reason="credential_incorrect")
        number = next(self._ids)
        made = MadeToken(number, store_hash, name, f"eyJhbGciOiJIUzI1NiJ9.canarytoken{number}.sig")
        self.ledger.append(made)
        self.after_issue()
        return Secret(made.value)

    def check(self, store_hash: str, style: TokenStyle, token: Secret) -> None:
        """See ``Upstream.check``."""
        self._fail()
        known = {made.value for made in self.live(store_hash)}
        if style == "x_auth_token":
            known = {self.access_tokens.get(store_hash, "")}
        if token.reveal() not in known:
            raise CredentialRefusedError("refused", reason="token_rejected")

    def tokens(self, token: Secret) -> Iterator[tuple[int, str]]:
        """See ``Upstream.tokens``."""
        self._fail()
        store_hash = self._store_of(token)
        for made in self.live(store_hash):
            yield made.token_id, made.name

    def delete(self, token: Secret, token_id: int) -> None:
        """See ``Upstream.delete``."""
        self._fail()
        self._store_of(token)
        for made in self.ledger:
            if made.token_id == token_id:
                made.deleted = True

    def exchange(self, request: ProxyRequest) -> CannedResponse:
        """See ``Upstream.exchange``."""
        self._fail()
        if request.body is not None:
            for _ in request.body:
                pass
        self.proxied.append(request)
        return self.response

    def _fail(self) -> None:
        if self.failure is not None:
            raise self.failure

    def _store_of(self, token: Secret) -> str:
        for made in self.ledger:
            if made.value == token.reveal() and not made.deleted:
                return made.store_hash
        raise CredentialRefusedError("refused", reason="token_rejected")
