"""What happens to one request, from its head to its answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox import answers, control, faults, management
from sandbox.auth_endpoints import CREATE_PATH, auth_routes
from sandbox.credentials import X_AUTH_TOKEN, Credential, read_credential, refusal
from sandbox.requests import BodyTooLargeError
from sandbox.routing import V2, Call, RefusedRequestError, Route, Routes, json_body

if TYPE_CHECKING:
    import threading

    from sandbox.answers import Answer
    from sandbox.requests import Request
    from sandbox.state import RecordedRequest, SandboxState

AUTH_PREFIX = "/api/io/"


class Exchange:
    """Turns requests into answers."""

    def __init__(self, state: SandboxState, stopping: threading.Event) -> None:
        self._state = state
        self._stopping = stopping
        self._routes = Routes([*auth_routes(stopping), *management.ROUTES])

    def answer(self, request: Request) -> Answer:
        """Answer a request.

        Raises:
            DropConnectionError: If there is to be no answer.
            MalformedRequestError: If the body breaks off.
        """
        if request.path.startswith(control.PREFIX):
            return control.answer_control(self._state, request)
        recorded = self._state.record(request)
        try:
            answer = self._answer_upstream(request, recorded)
        finally:
            recorded.body_sha256 = request.body.sha256
            recorded.body_bytes = request.body.bytes_read
        recorded.status = answer.status
        return answer

    def _answer_upstream(self, request: Request, recorded: RecordedRequest) -> Answer:
        found = self._routes.find(request.method, request.path)
        route = found[0] if found else None
        try:
            if not (route and route.streams):
                request.body.read_all()
        except BodyTooLargeError:
            return answers.html_page(413)
        call = self._open_call(request, recorded)
        if found:
            call.args = found[1]
        early = faults.before(call, self._stopping)
        return faults.after(call, early or self._serve(call, route))

    def _open_call(self, request: Request, recorded: RecordedRequest) -> Call:
        credential = read_credential(self._state, request)
        store_hash = credential.store_hash
        if request.method == "POST" and request.path == CREATE_PATH:
            store_hash = _named_store(request)
        recorded.store_hash, recorded.style = store_hash, credential.style
        if credential.problem == "misuse":
            recorded.misuse = True
            with self._state.lock:
                self._state.ledger.misuse[store_hash or ""] += 1
        behaviours = self._state.behaviours.towards(store_hash)
        return Call(self._state, request, credential, store_hash, behaviours)

    def _serve(self, call: Call, route: Route | None) -> Answer:
        if route is None:
            # §2.2: the routing layer answers before anyone looks at the credential.
            return answers.routing_error(404, "Not Found")
        creates = route.method == "POST" and route.pattern == CREATE_PATH
        managed = not route.pattern.startswith(AUTH_PREFIX)
        try:
            if managed:
                self._authenticate(call, route)
            limited = bool(call.store_hash) and (managed or not call.credential.problem)
            if creates:
                limited = call.behaviours.rate_limit_counts_create
            headers = self._take_place(call, route) if limited else []
            answer = (faults.instead(call) if managed else None) or route.endpoint(call)
        except RefusedRequestError as error:
            return error.answer
        answer.headers.extend(headers)
        return answer

    def _authenticate(self, call: Call, route: Route) -> None:
        credential = call.credential
        unified_on_v2 = route.pattern.startswith(V2) and credential.style == X_AUTH_TOKEN
        if unified_on_v2 and not call.behaviours.v2_takes_x_auth_token:
            credential = Credential(problem="missing")
        if credential.problem:
            raise RefusedRequestError(refusal(credential, call.behaviours))

    def _take_place(self, call: Call, route: Route) -> list[tuple[str, str]]:
        behaviours, now = call.behaviours, self._state.now()
        limits = {"all": behaviours.rate_limit_per_minute}
        if route.sub_limit:
            limits[route.sub_limit] = behaviours.sub_limit_per_minute
        headers: list[tuple[str, str]] = []
        for what, limit in limits.items():
            if not limit:
                continue
            with self._state.lock:
                taken = self._state.windows.take(call.store, what, limit, now)
            headers = headers or taken.headers()
            if not taken.admitted:
                refused = answers.error(429, "Too many requests", "Too Many Requests")
                refused.headers = taken.headers()
                if behaviours.rate_limit_retry_after:
                    after = str(int(taken.resets_after_seconds) + 1)
                    refused.headers.append(("Retry-After", after))
                raise RefusedRequestError(refused)
        return headers


def _named_store(request: Request) -> str | None:
    try:
        body = json_body(request)
    except RefusedRequestError:
        return None
    named = body.get("storeHash") if isinstance(body, dict) else None
    return named if isinstance(named, str) else None
