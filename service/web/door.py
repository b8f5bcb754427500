"""The door: every request comes in and goes out here, whichever way it was routed.

In comes a request; it gets an id, its caller proves who it is, its operation runs, whatever goes wrong becomes a problem, and out go an
answer, one log line and one count.
"""

import re
import time
from collections.abc import Callable, Iterable, Mapping
from typing import cast

import structlog
from werkzeug import Request, Response
from werkzeug.exceptions import HTTPException

from service.core.errors import AuditError, BrokerError, UnauthenticatedError
from service.core.gate import About, Call
from service.web import problems
from service.web.body import refuse_query
from service.web.models import STORE_HASH
from service.web.operations import Answered, Asked, Edge, Operation
from service.web.problems import WrongFieldsError, WrongMediaTypeError
from service.web.sent_body import SentBody
from service.web.visit import Visit, begin_visit

Run = Callable[[Request, Visit], Response]
"""Answers a request, or raises what is wrong with it."""

NO_ROUTE = "none"
_REASONS: dict[type[Exception], str] = {
    WrongFieldsError: "wrong_fields",
    WrongMediaTypeError: "wrong_media_type",
    HTTPException: "malformed",
}


class Door:
    """Lets requests in and answers out."""

    def __init__(self, edge: Edge) -> None:
        self._edge = edge
        self._log = structlog.get_logger()

    def serve(self, request: Request, route: str, run: Run) -> Response:
        """Return the answer to a request; nothing is raised.

        Args:
            request: As it came in.
            route: The operation's name, for log and metrics.
            run: What answers it.
        """
        visit = begin_visit(request)
        with self._edge.trace(route, _known_method(request, route), visit.trace) as span:
            visit.trace_id = span.trace_id or visit.trace_id
            response = self._answered(request, visit, run)
            span.answered(visit.request_id, response.status_code, visit.problem)
        self._leave(request, route, visit, response)
        return response

    def _answered(self, request: Request, visit: Visit, run: Run) -> Response:
        try:
            return run(request, visit)
        except BrokerError as error:
            return problems.answer_broker_error(visit, error)
        except WrongFieldsError as error:
            return problems.answer_wrong_fields(visit, error)
        except WrongMediaTypeError:
            return problems.answer_wrong_media_type(visit)
        except HTTPException as error:
            return problems.answer_http_exception(visit, error)
        except Exception as error:  # noqa: BLE001 — the last resort: it is logged, and answered with a fixed text
            return problems.answer_unexpected(visit, error)

    def operate(self, request: Request, operation: Operation, path: Mapping[str, str]) -> Response:
        """Return the answer of an operation."""

        def run(request: Request, visit: Visit) -> Response:
            def act(call: Call) -> Response:
                if operation.query is None:
                    refuse_query(request)
                return _response(operation.run(Asked(self._edge, call, request, path)))

            return self.followed(request, visit, _about(operation, path), act)

        return self.serve(request, operation.name, run)

    def followed(
        self, request: Request, visit: Visit, about: About, act: Callable[[Call], Response]
    ) -> Response:
        """Return the answer to a proven caller's request; one that ends in an error has an entry that says so.

        Raises:
            Whatever ``act`` does, and what ``authenticated`` does.
        """
        call = self.authenticated(request, visit)
        try:
            return act(call)
        except AuditError:
            raise
        except Exception as error:
            self._edge.gate.record_failure(call, about, _reason(error))
            raise

    def authenticated(self, request: Request, visit: Visit) -> Call:
        """Return the call of a request's proven caller.

        Raises:
            LockedError: The broker is locked, which everybody is told.
            UnauthenticatedError: Nobody was proven; it is recorded.
            TooManyFailuresError: Nobody was proven, once too often.
        """
        self._edge.keyring()
        access = self._edge.access()
        try:
            caller = self._edge.callers.authenticate(request, access)
        except UnauthenticatedError as error:
            self._edge.gate.record_unauthenticated(visit.request_id, error.reason)
            raise
        visit.caller = caller.identity
        return Call(caller, visit.request_id, access.policy, visit.is_about)

    def _leave(self, request: Request, route: str, visit: Visit, response: Response) -> None:
        response.headers["X-Request-Id"] = visit.request_id
        seconds = time.monotonic() - visit.started
        method = _known_method(request, route)
        self._edge.observe(route, method, response.status_code, seconds)
        status = response.status_code

        def log(sent: int, cut_short: bool) -> None:  # noqa: FBT001 — as ``Tell`` has it
            # No path and no query: what a caller puts there is not ours to keep.
            self._log.info(
                "request",
                request_id=visit.request_id,
                trace_id=visit.trace_id,
                caller=visit.caller,
                route=route,
                method=method,
                # What names no store is the caller's own text.
                store_hash="" if visit.problem == "store_unknown" else visit.store_hash,
                status=status,
                problem=visit.problem,
                reason=visit.reason,
                bytes=sent,
                cut_short=cut_short,
                ms=round((time.monotonic() - visit.started) * 1000, 1),
            )

        if response.is_streamed:
            response.response = SentBody(cast("Iterable[bytes]", response.response), log)
        else:
            whole = 0 if request.method == "HEAD" else response.calculate_content_length()
            log(whole or 0, False)  # noqa: FBT003 — it goes as a whole


def _known_method(request: Request, route: str) -> str:
    """Return the method, unless it has no route and is the caller's own text."""
    return "other" if route == NO_ROUTE else request.method


def _about(operation: Operation, path: Mapping[str, str]) -> About:
    """Return what a request is about, before it is read; what names no store is the caller's own text, so it is not repeated."""
    store_hash = path.get("store_hash", "")
    named = re.fullmatch(STORE_HASH, store_hash, re.ASCII)
    return About(operation.action, store_hash if named else "")


def _reason(error: Exception) -> str:
    """Return the word for an error in the audit trail."""
    if isinstance(error, BrokerError):
        return error.reason or "refused"
    for kind, reason in _REASONS.items():
        if isinstance(error, kind):
            return reason
    return "internal"


def _response(answered: Answered) -> Response:
    if answered.document is None:
        response = Response(status=answered.status)
        del response.headers["Content-Type"]
    else:
        content = answered.document.model_dump_json()
        response = Response(content, answered.status, content_type="application/json")
    response.headers["Cache-Control"] = "no-store"
    return response
