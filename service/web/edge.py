"""The Flask application: which request is for which operation. What happens to it then is ``door``'s.

Operations whose path has no variable, and the proxy, are found without Flask: they are the hot path, and Flask's routing and contexts
cost more than all that the broker does (ADR 15). They go through the same door, so nothing else differs.
"""

import re
from collections.abc import Callable, Iterable
from typing import Any
from wsgiref.types import StartResponse, WSGIEnvironment

import flask
from flask import Flask
from werkzeug import Request, Response
from werkzeug.exceptions import HTTPException, InternalServerError

from service.web import (
    audit,
    docs,
    identity,
    keys,
    locks,
    openapi,
    policy,
    proxy,
    references,
    stores,
)
from service.web.door import NO_ROUTE, Door
from service.web.operations import Edge, Operation
from service.web.visit import Visit

__all__ = ["OPERATIONS", "Edge", "create_app"]

OPERATIONS = (
    *stores.OPERATIONS,
    *locks.OPERATIONS,
    *references.OPERATIONS,
    *keys.OPERATIONS,
    *identity.OPERATIONS,
    *policy.OPERATIONS,
    *audit.OPERATIONS,
)
_VARIABLE = re.compile(r"\{(\w+)\}")


def create_app(edge: Edge) -> Flask:
    """Return the WSGI application on top of the use cases."""
    app = Flask("b2b-broker", static_folder=None)
    app.url_map.merge_slashes = False  # a redirect would send the caller's secrets once more
    door = Door(edge)
    for operation in OPERATIONS:
        _add(app, door, operation)
    _add_proxy(app, door, edge)
    _add_documentation(app, door)
    app.register_error_handler(Exception, _refuser(door))
    app.wsgi_app = _ShortWay(app.wsgi_app, door, edge)  # type: ignore[method-assign]  # Flask's documented place for a middleware
    return app


class _ShortWay:
    """Answers what can be found by method and path alone, and leaves the rest to Flask."""

    def __init__(self, otherwise: Any, door: Door, edge: Edge) -> None:
        self._otherwise = otherwise
        self._door = door
        self._forward = _forwarding(door, edge)
        self._operations = {(o.method, o.path): o for o in OPERATIONS if "{" not in o.path}

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        operation = self._operations.get((method, path))
        if operation is not None:
            answer = self._door.operate(Request(environ), operation, {})
        elif path.startswith(proxy.PREFIX) and method in proxy.PROXY_METHODS:
            answer = self._door.serve(Request(environ), proxy.NAME, self._forward)
        else:
            return self._otherwise(environ, start_response)  # type: ignore[no-any-return]  # a WSGI application
        return answer(environ, start_response)


def _add(app: Flask, door: Door, operation: Operation) -> None:
    def view(**path: str) -> Response:
        return door.operate(_request(), operation, path)

    app.add_url_rule(
        _VARIABLE.sub(r"<\1>", operation.path),
        endpoint=operation.name,
        view_func=view,
        methods=[operation.method],
        provide_automatic_options=False,
    )


def _add_proxy(app: Flask, door: Door, edge: Edge) -> None:
    """Let Flask know the proxy, so that it answers 405 to methods that are not forwarded."""

    def view(**_path: str) -> Response:
        return door.serve(_request(), proxy.NAME, _forwarding(door, edge))

    app.add_url_rule(
        proxy.PATH,
        endpoint=proxy.NAME,
        view_func=view,
        methods=proxy.PROXY_METHODS,
        provide_automatic_options=False,
    )


def _forwarding(door: Door, edge: Edge) -> Callable[[Request, Visit], Response]:
    def run(request: Request, visit: Visit) -> Response:
        return door.followed(
            request, visit, proxy.ABOUT, lambda call: proxy.forward(edge, call, request)
        )

    return run


def _add_documentation(app: Flask, door: Door) -> None:
    document = openapi.document(OPERATIONS)
    as_json, page = openapi.as_json(document), docs.page(document)
    pages: dict[str, Callable[[], Response]] = {
        "openapi.json": lambda: Response(as_json, content_type="application/json"),
        "docs": lambda: docs.response(page),
    }
    for name, make in pages.items():

        def view(name: str = name, make: Callable[[], Response] = make) -> Response:
            return door.serve(_request(), name, lambda _request, _visit: make())

        app.add_url_rule(f"/{name}", endpoint=name, view_func=view, provide_automatic_options=False)


def _refuser(door: Door) -> Callable[[Exception], Response]:
    """Return what answers a request that Flask found no operation for."""

    def refuse(error: Exception) -> Response:
        def run(_request: Request, _visit: Visit) -> Response:
            raise error if isinstance(error, HTTPException) else InternalServerError

        return door.serve(_request(), NO_ROUTE, run)

    return refuse


def _request() -> Request:
    """Return the request at hand without Flask's context around it."""
    return Request(flask.request.environ)
