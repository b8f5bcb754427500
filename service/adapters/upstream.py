"""BigCommerce B2B Edition. Fulfils ``Upstream``; what its answers mean is decided in ``core/upstream_answers.py``.

The token endpoints live beneath ``/api/io`` without a version (upstream.md §1).
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, TypeVar, get_args

from service.adapters.calls import OK, CallWatch, Headers
from service.adapters.deprecations import Deprecations, Kind
from service.adapters.upstream_link import UpstreamLink
from service.adapters.upstream_response import UpstreamResponse
from service.core.errors import (
    CredentialRefusedError,
    UpstreamAnswerError,
    UpstreamError,
)
from service.core.records import TokenStyle, token_headers
from service.core.secret import Secret
from service.core.upstream_answers import (
    MISMATCHED,
    credential_rejected,
    issued_token,
    perhaps_mismatched,
    seconds_of,
    success,
)
from service.core.upstream_ports import ProxyRequest, ProxyResponse

_AUTH = "/api/io/auth/backend"
_TOKENS = "/api/io/backend/tokens"
_HARMLESS_READ = "/api/v3/io/companies?limit=1&offset=0"
_PAGE = 250
_MOST_PAGES = 400
_ANSWER_BYTES = 64 * 1024
_TOKEN_PAGE_BYTES = 4 * 1024 * 1024
_NOT_FOUND = 404
_TOO_MANY = 429
_SERVER_ERRORS = 500

Answer = TypeVar("Answer")


class B2BUpstream:
    """The upstream's API, as far as the broker itself uses it, and the way through for the proxy."""

    def __init__(
        self,
        link: UpstreamLink,
        watch: CallWatch,
        deprecations: Deprecations,
    ) -> None:
        """Take the link, who watches the calls, and who reads announcements."""
        self._link = link
        self._watch = watch
        self._deprecations = deprecations

    def issue(self, store_hash: str, email: Secret, password: Secret, name: str) -> Secret:
        """See ``Upstream.issue``."""
        body = {
            "storeHash": store_hash,
            "email": email.reveal(),
            "password": password.reveal(),
            "name": name,
        }
        # A fresh connection, because a failure on an old one would leave it unknown whether the request arrived.
        request = _request("POST", _AUTH, {}, body)
        return self._call(
            "issue",
            request,
            lambda status, answer, wait: issued_token(status, answer, store_hash, wait),
            fresh=True,
        )

    def check(self, store_hash: str, style: TokenStyle, token: Secret) -> None:
        """See ``Upstream.check``. A pair of token and store hash that do not match is answered with a server error (upstream.md §2.1)."""
        headers = _revealed(token_headers(style, store_hash, token))
        answered = 0

        def checked(status: int, answer: bytes, wait: str | None) -> None:
            nonlocal answered
            answered = status
            _own_success(status, answer, wait)

        try:
            self._call("check", _request("GET", _HARMLESS_READ, headers, None), checked)
        except UpstreamAnswerError:
            if perhaps_mismatched(answered, style) and self._answers_others():
                raise CredentialRefusedError(
                    "The upstream fails with the token, and not without one.", reason=MISMATCHED
                ) from None
            raise

    def _answers_others(self) -> bool:
        """Tell whether the upstream is well enough to refuse a request that carries no token at all."""
        try:
            self._call("probe", _request("GET", _HARMLESS_READ, {}, None), _own_success)
        except CredentialRefusedError:
            return True
        except UpstreamError:
            return False
        return False

    def tokens(self, token: Secret) -> Iterator[tuple[int, str]]:
        """See ``Upstream.tokens``. The answers hold every token of the store in clear; only ids and names leave this method."""
        headers = _revealed(token_headers("auth_token", "", token))
        seen = 0
        for _ in range(_MOST_PAGES):
            target = f"{_TOKENS}?limit={_PAGE}&offset={seen}"
            request = _request("GET", target, headers, None)
            rows, total = self._call("list_tokens", request, _token_rows, limit=_TOKEN_PAGE_BYTES)
            yield from _ids_and_names(rows)
            seen += len(rows)
            # The upstream may give fewer than it was asked for, so only its own total or an empty page is the end.
            if not rows or (total is not None and seen >= total):
                return
        raise UpstreamAnswerError("The list of tokens does not end.", reason="too_many_tokens")

    def delete(self, token: Secret, token_id: int) -> None:
        """See ``Upstream.delete``."""
        headers = _revealed(token_headers("auth_token", "", token))

        def deleted(status: int, answer: bytes, wait: str | None) -> None:
            if status == _NOT_FOUND:
                return
            _own_success(status, answer, wait)

        self._call("delete_token", _request("DELETE", _AUTH, headers, {"id": token_id}), deleted)

    def exchange(self, request: ProxyRequest) -> ProxyResponse:
        """See ``Upstream.exchange``."""
        with self._watch("proxy") as call:
            response = self._link.exchange(_traced(request, call.headers))
            call.outcome = _outcome(response.status)
        self._note(response)
        return response

    def _note(self, response: UpstreamResponse) -> None:
        for kind in get_args(Kind):
            value = response.header(kind)
            if value is not None:
                self._deprecations.note(kind, value)

    def _call(
        self,
        operation: str,
        request: ProxyRequest,
        understand: Callable[[int, bytes, str | None], Answer],
        *,
        fresh: bool = False,
        limit: int = _ANSWER_BYTES,
    ) -> Answer:
        with self._watch(operation) as call:
            response = self._link.exchange(_traced(request, call.headers), fresh=fresh)
            self._note(response)
            body = response.read(limit)
            wait = seconds_of(response.header("retry-after"), response.header("date"))
            return understand(response.status, body, wait)


def _outcome(status: int) -> str:
    """Return how a caller's request ended, as far as the upstream's health is concerned."""
    if status == _TOO_MANY:
        return "upstream_rate_limited"
    return "upstream_error" if status >= _SERVER_ERRORS else OK


def _traced(request: ProxyRequest, headers: Headers) -> ProxyRequest:
    """Return a request with the headers of a trace in the place of those that it came with."""
    if not headers:
        return request
    names = {name for name, _ in headers}
    kept = tuple(pair for pair in request.headers if pair[0].lower() not in names)
    return replace(request, headers=(*kept, *headers))


def _request(
    method: str, target: str, headers: dict[str, str], body: dict[str, Any] | None
) -> ProxyRequest:
    headers = {"Accept": "application/json", "Accept-Encoding": "identity", **headers}
    if body is None:
        return ProxyRequest(method, target, tuple(headers.items()))
    content = json.dumps(body).encode()
    headers["Content-Type"] = "application/json"
    return ProxyRequest(method, target, tuple(headers.items()), [content], len(content))


def _revealed(headers: dict[str, Secret]) -> dict[str, str]:
    return {name: secret.reveal() for name, secret in headers.items()}


def _own_success(status: int, answer: bytes, wait: str | None) -> dict[str, Any]:
    if credential_rejected(status, answer):
        raise _not_accepted()
    return success(status, answer, wait)


def _not_accepted() -> CredentialRefusedError:
    return CredentialRefusedError(
        "The upstream does not accept the token.", reason="token_rejected"
    )


def _token_rows(status: int, answer: bytes, wait: str | None) -> tuple[list[Any], int | None]:
    """Return a page of rows as they are, and how many rows there are in all, if that is said."""
    fields = _own_success(status, answer, wait)
    rows = fields.get("data")
    if not isinstance(rows, list):
        raise UpstreamAnswerError("The list of tokens is not one.", reason="token_list_unreadable")
    meta = fields.get("meta")
    pagination = meta.get("pagination") if isinstance(meta, dict) else None
    total = pagination.get("totalCount") if isinstance(pagination, dict) else None
    return rows, total if type(total) is int else None


def _ids_and_names(rows: list[Any]) -> Iterator[tuple[int, str]]:
    for row in rows:
        token_id, name = (row.get("id"), row.get("name")) if isinstance(row, dict) else (0, None)
        if isinstance(token_id, int) and isinstance(name, str):
            yield token_id, name
