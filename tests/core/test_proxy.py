"""The proxy: what is forwarded, and what is not."""

import pytest

from service.core.errors import (
    AmbiguousTargetError,
    AuditError,
    BrokerError,
    NeverProxiedError,
    ReferenceInvalidError,
    ScopeError,
    UpstreamTimeoutError,
)
from service.core.minting import MintedReference
from service.core.policy import AccessGrant, Limits, MintAsk, Policy
from service.core.proxy import Answer, Incoming
from tests.support.upstream import CannedResponse
from tests.support.world import MINTER, OPERATOR, STORE, WORKER, World, call

PATH = "/v1/proxy/api/v3/io/companies/1?x=1"


@pytest.fixture
def ready(world: World) -> World:
    """A world with one active store."""
    return world.active()


def mint(world: World, max_uses: int | None = None) -> MintedReference:
    """Mint for the worker."""
    return world.minter.mint(call(MINTER), STORE, MintAsk(audience=WORKER, max_uses=max_uses))


def request(
    target: str = PATH, method: str = "GET", headers: tuple[tuple[str, str], ...] = ()
) -> Incoming:
    """Return a request as it arrived."""
    return Incoming(method, target, headers, None, None)


def forward(world: World, incoming: Incoming | None = None) -> Answer:
    """Forward a request with a fresh reference."""
    return world.proxy.forward(call(WORKER), mint(world).reference, incoming or request())


def token(world: World) -> str:
    """Return the store's token."""
    return world.upstream.ledger[0].value


def test_a_request_goes_upstream_with_the_token_and_its_answer_comes_back(ready: World) -> None:
    """Method, target and body as they were; the caller's own credentials stay here."""
    ready.upstream.response = CannedResponse(
        status=207,
        headers=[("Content-Type", "application/json"), ("Set-Cookie", "csrftoken=x")],
        content=[b'{"a":', b"1}"],
    )
    incoming = Incoming(
        "POST",
        "/v1/proxy/api/v3/io/orders?limit=1",
        (
            ("X-Request-Id", "the caller's"),
            ("Content-Type", "text/plain"),
            ("authToken", "cbr_x"),
            ("Connection", "authToken, X-Request-Id"),
        ),
        [b"bo", b"dy"],
        4,
    )

    answer = forward(ready, incoming)

    sent = ready.upstream.proxied[0]
    assert (sent.method, sent.target) == ("POST", "/api/v3/io/orders?limit=1")
    assert (sent.body, sent.body_bytes) == (incoming.body, 4)
    assert sent.headers == (
        ("Content-Type", "text/plain"),
        ("Accept-Encoding", "identity"),
        ("authToken", token(ready)),
        ("X-Request-Id", "r-1"),
    )
    assert (answer.status, answer.headers) == (207, [("Content-Type", "application/json")])
    assert b"".join(answer.body) == b'{"a":1}'
    assert ready.upstream.response.closed
    assert ready.audit.told()[-2:] == [
        ("reference.use", "allowed", ""),
        ("reference.use", "completed", "upstream_207"),
    ]


@pytest.mark.parametrize(
    ("method", "target", "error", "reason"),
    [
        ("GET", "/v1/proxy/api/v3/io/../auth", AmbiguousTargetError, "dot_segments"),
        ("GET", "/v1/proxy/api/v3/io/a%2fb", AmbiguousTargetError, "path"),
        ("POST", "/v1/proxy/api/io/auth/backend", NeverProxiedError, "never_proxied"),
        ("GET", "/v1/proxy/api/v9/io/BACKEND/tokens", NeverProxiedError, "never_proxied"),
        ("POST", "/v1/proxy/api/v2/io/proxy", NeverProxiedError, "never_proxied"),
    ],
)
def test_a_target_that_is_not_forwarded_takes_no_use(
    ready: World, method: str, target: str, error: type[BrokerError], reason: str
) -> None:
    """Not one byte goes upstream, and the denial is recorded."""
    minted = mint(ready, max_uses=1)

    with pytest.raises(error):
        ready.proxy.forward(call(WORKER), minted.reference, request(target, method))

    assert not ready.upstream.proxied
    assert ready.audit.told()[-1] == ("reference.use", "denied", reason)
    assert ready.references.get(call(OPERATOR), minted.accessor.text).uses_left == 1


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("DELETE", "/v1/proxy/api/v3/io/companies/1"),
        ("HEAD", "/v1/proxy/api/v3/io/companies/1"),
        ("GET", "/v1/proxy/api/v3/io/orders"),
        ("POST", "/v1/proxy/api/v3/io/orders/1"),
        ("GET", "/v1/proxy/api/v3/io/Companies"),
        ("GET", "/v1/proxy/api/v2/io/companies"),
    ],
)
def test_a_request_outside_the_references_scope_is_not_forwarded(
    ready: World, method: str, target: str
) -> None:
    """Method and path are matched as they would be sent."""
    with pytest.raises(ScopeError):
        forward(ready, request(target, method))

    assert not ready.upstream.proxied


def test_a_reference_without_a_scope_reaches_all_that_is_forwarded_at_all(ready: World) -> None:
    """And still none of the rooms of credentials."""
    policy = Policy((AccessGrant("all", (MINTER,), ("*",), ("reference.mint",), Limits()),))
    minted = ready.minter.mint(call(MINTER, policy), STORE, MintAsk())

    ready.proxy.forward(
        call(MINTER), minted.reference, request("/v1/proxy/api/v3/io/anything", "DELETE")
    )
    with pytest.raises(NeverProxiedError):
        ready.proxy.forward(call(MINTER), minted.reference, request("/v1/proxy/api/io/auth"))

    assert [sent.target for sent in ready.upstream.proxied] == ["/api/v3/io/anything"]


def test_a_reference_of_somebody_else_forwards_nothing(ready: World) -> None:
    """Holding it is not enough."""
    minted = mint(ready)

    with pytest.raises(ReferenceInvalidError):
        ready.proxy.forward(call(MINTER), minted.reference, request())

    assert not ready.upstream.proxied


def test_nothing_is_forwarded_that_cannot_be_recorded(ready: World) -> None:
    """No record, no request; a refusal that cannot be recorded is no better."""
    minted = mint(ready)
    ready.audit.broken = True

    for target in (PATH, "/v1/proxy/api/io/auth"):
        with pytest.raises(AuditError):
            ready.proxy.forward(call(WORKER), minted.reference, request(target))
    assert not ready.upstream.proxied


def test_an_upstream_that_fails_is_an_error_of_its_own(ready: World) -> None:
    """It is not sent again."""
    ready.upstream.failure = UpstreamTimeoutError("late", reason="upstream_timeout")

    with pytest.raises(UpstreamTimeoutError):
        forward(ready)

    assert not ready.upstream.proxied
