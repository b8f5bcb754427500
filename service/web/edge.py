"""The Flask application: routes, the way in (request id, caller) and the way out (problems, the one log line)."""

import re
import secrets
import time
from collections.abc import Callable

import structlog
from flask import Flask, Response, g, request
from werkzeug.exceptions import HTTPException

from service.core.errors import BrokerError, UnauthenticatedError
from service.core.gate import Call
from service.web import docs, identity, openapi, problems, proxy, references, stores
from service.web.callers import authenticate
from service.web.operations import Asked, Edge, Operation

__all__ = ["OPERATIONS", "Edge", "create_app"]

OPERATIONS = (*stores.OPERATIONS, *references.OPERATIONS, *identity.OPERATIONS)
_API_BODY_BYTES = 64 * 1024
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
_TRACE_PARENT = re.compile(r"00-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}", re.ASCII)
_VARIABLE = re.compile(r"\{(\w+)\}")


def create_app(edge: Edge) -> Flask:
    """Return the WSGI application on top of the use cases."""
    app = Flask("b2b-broker", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = _API_BODY_BYTES
    app.url_map.merge_slashes = False  # a redirect would send the caller's secrets once more
    app.url_map.strict_slashes = False
    for operation in OPERATIONS:
        _add(app, edge, operation)
    _add_proxy(app, edge)
    _add_documentation(app)
    _add_way_in_and_out(app, edge)
    return app


def _add(app: Flask, edge: Edge, operation: Operation) -> None:
    def view(**path: str) -> Response:
        answered = operation.run(Asked(edge, _authenticated(edge), request, path))
        if answered.document is None:
            return Response(status=answered.status)
        content = answered.document.model_dump_json()
        response = Response(content, answered.status, content_type="application/json")
        response.headers["Cache-Control"] = "no-store"
        return response

    app.add_url_rule(
        _VARIABLE.sub(r"<\1>", operation.path),
        endpoint=operation.name,
        view_func=view,
        methods=[operation.method],
        provide_automatic_options=False,
    )


def _add_proxy(app: Flask, edge: Edge) -> None:
    def view(upstream_path: str) -> Response:
        del upstream_path  # decoded, so not what was sent; the raw target is read instead
        return proxy.forward(edge, _authenticated(edge), request)

    app.add_url_rule(
        proxy.PATH,
        endpoint="proxy",
        view_func=view,
        methods=proxy.PROXY_METHODS,
        provide_automatic_options=False,
    )


def _add_documentation(app: Flask) -> None:
    document = openapi.document(OPERATIONS)
    pages: dict[str, Callable[[], Response]] = {
        "/openapi.json": lambda: Response(
            openapi.as_json(document), content_type="application/json"
        ),
        "/docs": lambda: docs.page(document),
    }
    for path, view in pages.items():
        app.add_url_rule(path, endpoint=path[1:], view_func=view, provide_automatic_options=False)


def _authenticated(edge: Edge) -> Call:
    edge.keyring()
    access = edge.access()
    try:
        caller = authenticate(request, access)
    except UnauthenticatedError as error:
        edge.gate.record_unauthenticated(g.request_id, error.reason)
        raise
    g.caller = caller.identity
    return Call(caller, g.request_id, access.policy)


def _add_way_in_and_out(app: Flask, edge: Edge) -> None:
    log = structlog.get_logger()

    @app.before_request
    def _enter() -> None:
        given = request.headers.get("X-Request-Id", "")
        g.started = time.monotonic()
        g.request_id = given if _REQUEST_ID.fullmatch(given) else secrets.token_hex(12)

    @app.after_request
    def _leave(response: Response) -> Response:
        response.headers["X-Request-Id"] = g.request_id
        seconds = time.monotonic() - g.started
        route = request.endpoint or "none"
        method = request.method if request.url_rule else "other"
        edge.observe(route, method, response.status_code, seconds)
        # No path and no query: what a caller puts there is not ours to keep.
        log.info(
            "request",
            request_id=g.request_id,
            trace_id=_trace_id(),
            caller=g.get("caller", ""),
            route=route,
            method=method,
            status=response.status_code,
            problem=g.get("problem", ""),
            reason=g.get("reason", ""),
            ms=round(seconds * 1000, 1),
        )
        return response

    app.register_error_handler(BrokerError, problems.answer_broker_error)
    app.register_error_handler(problems.WrongFieldsError, problems.answer_wrong_fields)
    app.register_error_handler(problems.WrongMediaTypeError, problems.answer_wrong_media_type)
    app.register_error_handler(HTTPException, problems.answer_http_exception)
    app.register_error_handler(Exception, problems.answer_unexpected)


def _trace_id() -> str:
    """Return the trace that the request belongs to (W3C Trace Context §3.2), if any."""
    match = _TRACE_PARENT.fullmatch(request.headers.get("traceparent", ""))
    return match[1] if match else ""
