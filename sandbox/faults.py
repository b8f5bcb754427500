"""What the switches put between a request and its endpoint, and do to the answer after."""

from __future__ import annotations

import json
import random
import uuid
from typing import TYPE_CHECKING

from sandbox import answers
from sandbox.answers import Answer, DropConnectionError

if TYPE_CHECKING:
    import threading

    from sandbox.routing import Call

PLANNED_RETRY_AFTER_SECONDS = 7
HUGE_BODY_BYTES = 20 * 1024 * 1024


def plain_failure(call: Call, status: int) -> Answer:
    """Answer as the layers before the application do when it is not well (§3)."""
    answer = answers.routing_error(status, _reason(status))
    if status == 429 and call.behaviours.rate_limit_retry_after:  # noqa: PLR2004 — the one with a header
        answer.headers.append(("Retry-After", str(PLANNED_RETRY_AFTER_SECONDS)))
    return answer


def _reason(status: int) -> str:
    """Give the words for a failure status."""
    return {
        429: "Too Many Requests",
        500: "Internal Server Error",
        503: "Down for Maintenance",
    }.get(status, "Failed")


def hang(seconds: float, stopping: threading.Event) -> None:
    """Hold the connection, then close it without an answer.

    Raises:
        DropConnectionError: Always, when the time is over or the server stops.
    """
    stopping.wait(seconds)
    raise DropConnectionError


def before(call: Call, stopping: threading.Event) -> Answer | None:
    """Delay a request, and answer it before its endpoint can, if a switch says so.

    Raises:
        DropConnectionError: If the switches want no answer at all.
    """
    behaviours = call.behaviours
    if behaviours.latency_seconds:
        stopping.wait(_latency(behaviours.latency_seconds))
    if behaviours.hang_seconds:
        hang(behaviours.hang_seconds, stopping)
    if behaviours.connection_fault == "drop":
        raise DropConnectionError
    if behaviours.redirect_to:
        return Answer(302, headers=[("Location", behaviours.redirect_to)])
    if behaviours.fail_next or behaviours.fail_every:
        return _failure(call)
    return None


def _latency(seconds: float | list[float]) -> float:
    if isinstance(seconds, list):
        return random.uniform(*seconds)  # noqa: S311 — a delay is no secret
    return seconds


def _failure(call: Call) -> Answer | None:
    state, every = call.state, call.behaviours.fail_every
    with state.lock:
        status = state.behaviours.take_failure(call.store_hash, call.request.path)
        if status is None and every:
            state.failures_counted += 1
            turns, rest = divmod(state.failures_counted, every)
            status = None if rest else (500 if turns % 2 else 503)
    return plain_failure(call, status) if status else None


def instead(call: Call) -> Answer | None:
    """Answer a management request with something else than it asked for, if a switch says so."""
    match call.behaviours.management_outcome:
        case "ok_with_422_body":
            return ok_with_422_body()
        case "session_expired":
            text = "Session expired, please login again"
            return answers.json_answer(200, {"code": 40101, "data": {"errMsg": text}})
        case "saving_error":
            return saving_error()
        case "html":
            return answers.html_page(200)
        case "huge_body":
            return answers.success([{"padding": "x" * HUGE_BODY_BYTES}])
    return _reflection(call) if call.behaviours.reflect_headers else None


def ok_with_422_body() -> Answer:
    """Answer 200 with a body that says otherwise (§2.4)."""
    body = {
        "code": 422,
        "data": {"errMsg": {"name": ["This field may not be null."]}},
        "meta": {"message": answers.PARAMETER_ERROR},
    }
    return answers.json_answer(200, body)


def saving_error() -> Answer:
    """Answer with the 422 that goes away by itself (§3, flakiness)."""
    return answers.error(422, "saving error", "saving error")


def _reflection(call: Call) -> Answer:
    headers = [list(pair) for pair in call.request.headers]
    if not call.behaviours.reflect_escaped:
        return answers.success({"headers": headers})
    escaped = [
        [name, "".join(f"\\u{ord(character):04x}" for character in value)]
        for name, value in headers
    ]
    # The escapes must reach the wire as they are, not escaped once more.
    text = json.dumps({"code": 200, "data": {"headers": escaped}, "meta": {"message": "SUCCESS"}})
    return Answer(200, text.replace("\\\\u", "\\u").encode())


def after(call: Call, answer: Answer) -> Answer:
    """Add what every answer of the real API carries, and what the switches add."""
    behaviours = call.behaviours
    answer.headers += [
        ("X-Request-Id", str(uuid.uuid4())),
        ("Trace-Id", uuid.uuid4().hex),
        ("X-Envoy-Upstream-Service-Time", "68"),
        ("Via", "1.1 google"),
    ]
    if behaviours.set_cookie:
        cookie = f"csrftoken={uuid.uuid4().hex}; Path=/; SameSite=Lax"
        answer.headers.append(("Set-Cookie", cookie))
    if behaviours.reflect_in_header and call.credential.token:
        answer.headers.append(("X-Reflected-Token", call.credential.token))
    answer.headers.extend(behaviours.response_headers.items())
    answer.delivery = behaviours.delivery
    return answer
