"""What a test tells and asks the sandbox, under `/_sandbox/`: never limited, delayed, recorded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sandbox import answers
from sandbox.answers import Answer, json_answer
from sandbox.routing import RefusedRequestError, json_body, last_values
from sandbox.state import ROLES, User
from sandbox.switchboard import UnknownBehaviourError

if TYPE_CHECKING:
    from sandbox.requests import Request
    from sandbox.state import SandboxState

PREFIX = "/_sandbox/"
STORE_FIELDS = {"store_hash", "email", "password", "access_token", "role"}


def answer_control(state: SandboxState, request: Request) -> Answer:
    """Answer a request to the control endpoints."""
    place = (request.method, request.path.removeprefix(PREFIX))
    endpoint = ENDPOINTS.get(place)
    try:
        if endpoint:
            return endpoint(state, request)
        if place[0] == "DELETE" and place[1].startswith("stores/"):
            return _remove_store(state, place[1].removeprefix("stores/"))
    except RefusedRequestError as error:
        return error.answer
    return answers.routing_error(404, "Not Found")


def _refuse(detail: str) -> RefusedRequestError:
    return RefusedRequestError(json_answer(422, {"error": detail}))


def _fields(request: Request, known: set[str] | None = None) -> dict[str, Any]:
    body = json_body(request)
    if not isinstance(body, dict):
        raise _refuse("the body must be an object")
    for name, value in body.items():
        if known is not None and (name not in known or not isinstance(value, str)):
            raise _refuse(f"{name} is unknown or no text; known: {', '.join(sorted(known))}")
    return body


def _asked_store(request: Request) -> str | None:
    return last_values(request.query_string).get("store_hash")


def _health(state: SandboxState, request: Request) -> Answer:
    del request
    return json_answer(200, {"stores": sorted(state.stores)})


def _put_store(state: SandboxState, request: Request) -> Answer:
    body = _fields(request, STORE_FIELDS)
    role = body.get("role", "administrator")
    if role not in ROLES:
        raise _refuse(f"role takes {', '.join(ROLES)}")
    if not body.get("store_hash"):
        raise _refuse("store_hash is missing")
    if ("email" in body) != ("password" in body) or not {"email", "access_token"} & set(body):
        raise _refuse("give email and password, or access_token, or all three")
    if "email" in body:
        state.put_user(body["store_hash"], User(body["email"], body["password"], role))
    if "access_token" in body:
        state.put_access_token(body["store_hash"], body["access_token"])
    return json_answer(200, {"store_hash": body["store_hash"]})


def _remove_store(state: SandboxState, store_hash: str) -> Answer:
    return (
        Answer(204) if state.remove_store(store_hash) else answers.routing_error(404, "Not Found")
    )


def _ledger(state: SandboxState, request: Request) -> Answer:
    with state.lock:
        return json_answer(200, state.ledger.as_json(_asked_store(request)))


def _requests(state: SandboxState, request: Request) -> Answer:
    wanted = _asked_store(request)
    with state.lock:
        recorded = list(state.requests)
    shown = [item.as_json() for item in recorded if wanted in (None, item.store_hash)]
    return json_answer(200, {"requests": shown})


def _forget_requests(state: SandboxState, request: Request) -> Answer:
    del request
    with state.lock:
        state.requests.clear()
    return Answer(204)


def _behaviours(state: SandboxState, request: Request) -> Answer:
    del request
    with state.lock:
        return json_answer(200, state.behaviours.as_json())


def _set_behaviours(state: SandboxState, request: Request) -> Answer:
    changes = _fields(request)
    store_hash = changes.pop("store_hash", None)
    if store_hash is not None and not isinstance(store_hash, str):
        raise _refuse("store_hash must be text")
    try:
        with state.lock:
            state.behaviours.set(store_hash, **changes)
    except UnknownBehaviourError as error:
        raise _refuse(str(error)) from None
    return _behaviours(state, request)


def _revoke_token(state: SandboxState, request: Request) -> Answer:
    body = _fields(request, {"token", "access_token", "store_hash"})
    revoked = int("access_token" in body and state.revoke_access_token(body["access_token"]))
    with state.lock:
        for row in state.ledger.tokens:
            named = row.token == body.get("token") or row.store_hash == body.get("store_hash")
            if named and row.deleted_at is None:
                row.deleted_at = state.now()
                revoked += 1
    return json_answer(200, {"revoked": revoked})


def _advance_clock(state: SandboxState, request: Request) -> Answer:
    seconds = _fields(request).get("advance_seconds")
    if not isinstance(seconds, (int, float)) or seconds < 0:
        raise _refuse("advance_seconds takes a number from 0")
    state.advance(seconds)
    return json_answer(200, {"now": state.now()})


def _reset(state: SandboxState, request: Request) -> Answer:
    del request
    state.reset()
    return Answer(204)


#: (method, path after the prefix) → what answers it
ENDPOINTS = {
    ("GET", "health"): _health,
    ("POST", "stores"): _put_store,
    ("GET", "ledger"): _ledger,
    ("GET", "requests"): _requests,
    ("DELETE", "requests"): _forget_requests,
    ("GET", "behaviours"): _behaviours,
    ("PATCH", "behaviours"): _set_behaviours,
    ("POST", "tokens/revoke"): _revoke_token,
    ("POST", "clock"): _advance_clock,
    ("POST", "reset"): _reset,
}
