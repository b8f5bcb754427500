"""Make, list and delete tokens: `/api/io/auth/backend` and `/api/io/backend/tokens` (§1.1 to §1.3).

NOTE: the same paths with `v3` do not exist (§1, base path): they get the routing layer's 404.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sandbox import answers, faults
from sandbox.answers import Answer, DropConnectionError, Page
from sandbox.credentials import X_AUTH_TOKEN, Credential, refusal
from sandbox.ledger import TokenRow
from sandbox.routing import Call, RefusedRequestError, Route, page_bounds
from sandbox.state import PRIVILEGED_ROLES
from sandbox.tokens import make_token

if TYPE_CHECKING:
    import threading

CREATE_PATH = "/api/io/auth/backend"
LIST_PATH = "/api/io/backend/tokens"
WRONG_PASSWORD = "The email or password you have entered is incorrect. Please try again."
ROLE_FORBIDDEN = "role forbidden"
OTHER_STORE = "zzz999"
#: field of the request → its name in validation errors (§2.2)
REQUIRED = {"storeHash": "store_hash", "email": "email", "password": "password", "name": "name"}
OPTIONAL_NUMBERS = {"channelId": "channel_id", "beginAt": "begin_at", "endAt": "end_at"}
#: Outcomes in which the upstream answers wrongly, or not at all, but has made the token.
COMMITTING = (
    "normal",
    "commit_then_drop",
    "commit_then_hang",
    "commit_then_500",
    "empty_token",
    "huge_body",
    "wrong_store_claim",
)


def auth_routes(stopping: threading.Event) -> list[Route]:
    """Give the routes; the event ends what hangs when the server stops."""
    return [
        Route("POST", CREATE_PATH, lambda call: create_token(call, stopping)),
        Route("GET", LIST_PATH, list_tokens),
        Route("DELETE", CREATE_PATH, delete_token),
    ]


def create_token(call: Call, stopping: threading.Event) -> Answer:
    """Exchange e-mail and password for a token; each success adds a permanent row.

    Raises:
        DropConnectionError: If the switches want no answer.
    """
    wanted = _checked_fields(call)
    stopping.wait(call.behaviours.create_delay_seconds)
    outcome = call.behaviours.create_outcome
    if outcome not in COMMITTING:
        return _without_token(call, outcome, stopping)
    with call.state.lock:
        refused = _refused_login(call, wanted)
        logins = call.state.ledger.logins[wanted["storeHash"]]
        if refused:
            logins.refused += 1
            return refused
        logins.accepted += 1
        row = _add_row(call, wanted)
    return _with_token(call, row, outcome, stopping)


def _checked_fields(call: Call) -> dict[str, Any]:
    body = call.fields()
    wrong = {
        name: ["This field may not be null."]
        for key, name in REQUIRED.items()
        if not isinstance(body.get(key), str) or not body[key]
    }
    wrong |= {
        name: ["A valid integer is required."]
        for key, name in OPTIONAL_NUMBERS.items()
        if not isinstance(body.get(key, 0), int)
    }
    if wrong:
        raise RefusedRequestError(answers.parameter_error(wrong))
    return body


def _refused_login(call: Call, wanted: dict[str, Any]) -> Answer | None:
    store = call.state.stores.get(wanted["storeHash"])
    if store is None:
        status = call.behaviours.unknown_store_answer
        return answers.error(status, "Store not found.", answers.LOGIC_ERROR)
    user = store.users.get(wanted["email"])
    if user is None or user.password != wanted["password"]:
        return answers.error(400, WRONG_PASSWORD, answers.LOGIC_ERROR)
    if user.role not in PRIVILEGED_ROLES:
        return answers.error(400, ROLE_FORBIDDEN, answers.LOGIC_ERROR)
    live = call.state.ledger.live(store.store_hash, call.state.now())
    if call.behaviours.duplicate_name_refused and wanted["name"] in {row.name for row in live}:
        return answers.error(400, "Token name already exists.", answers.LOGIC_ERROR)
    return None


def _add_row(call: Call, wanted: dict[str, Any]) -> TokenRow:
    bounded = call.behaviours.honour_end_at and "endAt" in wanted
    begins_at = wanted.get("beginAt") if bounded else None
    ends_at = wanted["endAt"] if bounded else None
    store_hash = wanted["storeHash"]
    claim = OTHER_STORE if call.behaviours.create_outcome == "wrong_store_claim" else store_hash
    row = TokenRow(
        id=0,
        store_hash=store_hash,
        name=wanted["name"],
        email=wanted["email"],
        token=make_token(wanted["email"], claim, begins_at, ends_at),
        created_at=call.state.now(),
        begins_at=begins_at,
        ends_at=ends_at,
    )
    return call.state.ledger.add(row)


def _without_token(call: Call, outcome: str, stopping: threading.Event) -> Answer:
    match outcome:
        case "bad_credentials" | "role_forbidden":
            text = WRONG_PASSWORD if outcome == "bad_credentials" else ROLE_FORBIDDEN
            with call.state.lock:
                call.state.ledger.logins[call.store].refused += 1
            return answers.error(400, text, answers.LOGIC_ERROR)
        case "ok_with_422_body":
            return faults.ok_with_422_body()
        case "saving_error":
            return faults.saving_error()
        case "drop_before_commit":
            raise DropConnectionError
        case "hang":
            faults.hang(call.behaviours.create_hang_seconds, stopping)
        case "html":
            return answers.html_page(200)
        case "redirect":
            return Answer(302, headers=[("Location", "/api/io/auth/elsewhere")])
    return faults.plain_failure(call, int(outcome.removeprefix("status_")))


def _with_token(call: Call, row: TokenRow, outcome: str, stopping: threading.Event) -> Answer:
    name, token = row.name, row.token
    match outcome:
        case "commit_then_drop":
            raise DropConnectionError
        case "commit_then_hang":
            faults.hang(call.behaviours.create_hang_seconds, stopping)
        case "commit_then_500":
            return faults.plain_failure(call, 500)
        case "empty_token":
            token = ""
        case "huge_body":
            name = name.ljust(faults.HUGE_BODY_BYTES, "x")
    shape = call.behaviours.create_shape
    named: dict[str, Any] = {"name": name, "token": [token] if shape == "token_array" else token}
    return answers.success([named] if shape == "list" else named)


def list_tokens(call: Call) -> Answer:
    """List every live token of the store, values in clear (§1.2)."""
    _require_token(call)
    limit, offset = page_bounds(call.query())
    with call.state.lock:
        live = call.state.ledger.live(call.store, call.state.now())
    rows = [
        {
            "id": row.id,
            "name": row.name,
            "email": row.email,
            "storeHash": row.store_hash,
            "token": row.token,
            "eventChannel": row.event_channel,
        }
        for row in live[offset : offset + limit]
    ]
    return answers.success(rows, Page(len(live), limit, offset))


def delete_token(call: Call) -> Answer:
    """Delete a token by the `id` in the body (§1.3)."""
    if call.behaviours.delete_needs_token:
        _require_token(call)
    wanted = call.fields().get("id")
    if not isinstance(wanted, int) or isinstance(wanted, bool):
        return answers.parameter_error({"id": ["A valid integer is required."]})
    with call.state.lock:
        now = call.state.now()
        row = next((row for row in call.state.ledger.tokens if row.id == wanted), None)
        if not row or not row.is_live(now) or row.store_hash != (call.store_hash or row.store_hash):
            return answers.error(404, "No matching token was found.", answers.NOT_FOUND)
        if row.token == call.credential.token and not call.behaviours.self_delete_allowed:
            return answers.error(403, "A token cannot delete itself.", answers.LOGIC_ERROR)
        row.deleted_at = now
    return answers.success([])


def _require_token(call: Call) -> None:
    credential = call.credential
    foreign = credential.style == X_AUTH_TOKEN and not credential.problem
    if foreign and not call.behaviours.auth_endpoints_take_x_auth_token:
        # §1.2 declares authToken only; the pair is as good as no credential here.
        credential = Credential(problem="missing")
    if credential.problem:
        raise RefusedRequestError(refusal(credential, call.behaviours))
