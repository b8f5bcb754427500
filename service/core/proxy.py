"""The proxy: a request to the upstream with the store's token, made without the caller ever having the token.

In order: read the target, take a use of the reference and a request of the store's budget (which matches the request scope of the verified
grant and records), set the headers, send once, learn what the upstream says of its limits, guard what comes back, record what came of
it, and release it.

Source: DESIGN §9.
"""

import functools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import chain

from service.core.allowance import Allowance
from service.core.budget import endpoint_of, said_less, told
from service.core.errors import AuditError, BrokerError, TokenLeakError, TokenRejectedError
from service.core.gate import About, Call, Gate
from service.core.grant import Grant
from service.core.guard import ResponseGuard
from service.core.headers import incoming, outgoing
from service.core.ports import Observer
from service.core.repair import Repair
from service.core.scope import parse_scope_entry
from service.core.secret import Secret
from service.core.target import Target, parse_target
from service.core.upstream_answers import token_suspected
from service.core.upstream_ports import ProxyRequest, ProxyResponse, Upstream
from service.core.uses import Use, Uses

WITHHOLDING_BYTES = 256 * 1024
"""Answers up to this size are looked at whole before the first byte leaves, so that a leak becomes an error and not a broken answer."""

_SAFE_METHODS = ("GET", "HEAD")
_HEAD_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Incoming:
    """A caller's request as it arrived.

    Attributes:
        method: Upper case.
        raw_target: The request target as it stood on the request line.
        headers: All of them.
        body: Chunks; None for no body.
        body_bytes: Its length, if it was announced.
        abandoned: Tells whether the caller has gone.
    """

    method: str
    raw_target: str
    headers: tuple[tuple[str, str], ...]
    body: Iterable[bytes] | None
    body_bytes: int | None
    abandoned: Callable[[], bool] | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back to the caller.

    Attributes:
        status: Of the upstream.
        headers: Of the upstream, those that pass.
        body: Read to its end, or closed if it has ``close``.
        allowance: What the caller may still ask of the upstream.
    """

    status: int
    headers: list[tuple[str, str]]
    body: Iterator[bytes]
    allowance: Allowance | None = None


class Proxy:
    """The use case of the proxy."""

    def __init__(
        self,
        uses: Uses,
        upstream: Upstream,
        repair: Repair,
        gate: Gate,
        observer: Observer,
    ) -> None:
        self._uses = uses
        self._repair = repair
        self._upstream = upstream
        self._gate = gate
        self._observer = observer

    def forward(self, call: Call, reference: Secret, request: Incoming) -> Answer:
        """Forward a request with the token that a reference stands for.

        Raises:
            AmbiguousTargetError, NeverProxiedError, ScopeError: The request is not one to forward.
            ReferenceInvalidError: Whatever is wrong with the reference.
            RateLimitedError: The minute's requests to the upstream are spent, or this caller's part of them.
            UpstreamError: The upstream did not answer usably.
            TokenLeakError: Its answer contains the token.
            TokenRejectedError: It rejects the token itself, and the request cannot be sent again with another one.
        """
        try:
            target = parse_target(request.raw_target)
        except BrokerError as error:
            self._gate.record(call, About("reference.use"), "denied", error.reason)
            raise
        use = self._uses.take(
            call,
            reference,
            "proxy",
            lambda grant: _in_scope(grant, request.method, target),
            endpoint_of(request.method, target.segments),
        )
        about = About("reference.use", use.grant.store_hash, use.accessor.text)
        try:
            answer = self._answer(call, use, target, request)
        except BrokerError as error:
            if not isinstance(error, AuditError):
                self._gate.record_failure(call, about, error.reason)
            raise
        try:
            self._gate.record(call, about, "completed", f"upstream_{answer.status}")
        except AuditError:
            _close(answer)
            raise
        return answer

    def _answer(self, call: Call, use: Use, target: Target, request: Incoming) -> Answer:
        """Return the upstream's answer; of a token that is dead, the answer to its successor."""
        answer, head = self._exchange(call, use, target, request)
        if not token_suspected(answer.status, head, use.token.style):
            return answer
        try:
            token = self._repair.look_into(call, use.grant.store_hash, use.token)
        except BaseException:
            _close(answer)
            raise
        if token is None:
            return answer
        _close(answer)
        if request.method not in _SAFE_METHODS or request.body is not None:
            raise TokenRejectedError(
                "The upstream rejected the token, which has been replaced since.",
                reason="token_replaced",
                retry_after=timedelta(seconds=1),
            )
        return self._exchange(call, replace(use, token=token), target, request)[0]

    def _exchange(
        self, call: Call, use: Use, target: Target, request: Incoming
    ) -> tuple[Answer, bytes]:
        """Send a request once, and return the answer and the beginning of its body."""
        response = self._upstream.exchange(
            ProxyRequest(
                method=request.method,
                target=str(target),
                headers=(
                    *outgoing(request.headers, use.headers),
                    ("X-Request-Id", call.request_id),
                ),
                body=request.body,
                body_bytes=request.body_bytes,
                abandoned=request.abandoned,
            )
        )
        try:
            return self._guarded(call, use, response, self._learn(use, response))
        except BaseException:
            response.close()
            raise

    def _learn(self, use: Use, response: ProxyResponse) -> Allowance | None:
        """Believe the upstream that less is left, and return what the caller may still ask."""
        if use.allowance is None or use.nearest is None:
            return None
        said = said_less(response.status, response.headers, use.allowance)
        if said is None:
            return use.nearest
        self._uses.lower(use, said)
        return told(said, use.nearest, use.allowance)

    def _guarded(
        self, call: Call, use: Use, response: ProxyResponse, allowance: Allowance | None
    ) -> tuple[Answer, bytes]:
        tokens = (use.token.secret, *use.token.others)
        guard = ResponseGuard(use.grant.store_hash, tokens)
        headers = incoming(response.headers)
        chunks = guard.filter(response.chunks())
        try:
            guard.check_headers(headers)
            first, complete = _take(chunks, WITHHOLDING_BYTES)
        except TokenLeakError as error:
            self._failed(call, use, error)
            raise
        head = _head(first)
        if complete:
            response.close()
            return Answer(response.status, headers, iter(first), allowance), head
        failed = functools.partial(self._failed, call, use)
        rest = _Rest(response, chain(first, chunks), failed)
        return Answer(response.status, headers, rest, allowance), head

    def _failed(self, call: Call, use: Use, error: BrokerError) -> None:
        if isinstance(error, TokenLeakError):
            self._observer.security_event(error.reason)
        about = About("reference.use", use.grant.store_hash, use.accessor.text)
        self._gate.record(call, about, "failed", error.reason)


def _in_scope(grant: Grant, method: str, target: Target) -> bool:
    return not grant.requests or any(
        parse_scope_entry(entry).matches(method, target.segments) for entry in grant.requests
    )


def _close(answer: Answer) -> None:
    if isinstance(answer.body, _Rest):
        answer.body.close()


class _Rest:
    """A body that is still being read. Closing it ends the exchange, also when nobody has begun to read."""

    def __init__(
        self,
        response: ProxyResponse,
        chunks: Iterator[bytes],
        failed: Callable[[BrokerError], None],
    ) -> None:
        self._response = response
        self._chunks = chunks
        self._failed = failed

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        try:
            return next(self._chunks)
        except BrokerError as error:
            self.close()
            self._failed(error)
            raise
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End the exchange."""
        self._response.close()


def _head(chunks: list[bytes]) -> bytes:
    """Return the beginning of a body, wherever it was cut."""
    head = b""
    for chunk in chunks:
        head += chunk[: _HEAD_BYTES - len(head)]
        if len(head) == _HEAD_BYTES:
            break
    return head


def _take(chunks: Iterator[bytes], limit: int) -> tuple[list[bytes], bool]:
    """Return the first chunks, up to ``limit`` bytes or a little more, and whether that is all."""
    taken: list[bytes] = []
    size = 0
    for chunk in chunks:
        taken.append(chunk)
        size += len(chunk)
        if size >= limit:
            return taken, False
    return taken, True
