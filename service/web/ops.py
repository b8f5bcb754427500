"""Health and metrics, on their own port: is the process alive, is it ready, what has it counted.

``/livez`` depends on nothing, so that an outage of Redis never restarts the broker. ``/readyz`` asks every dependency.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass

from flask import Flask, Response

Exposition = Callable[[], tuple[bytes, str]]


@dataclass(frozen=True, slots=True)
class Check:
    """One dependency.

    Attributes:
        name: As it is shown.
        problem: Asks it; an empty answer means that it is there.
        vital: Whether the broker is not ready without it; others are shown only.
    """

    name: str
    problem: Callable[[], str]
    vital: bool = True


def create_ops_app(checks: tuple[Check, ...], exposition: Exposition) -> Flask:
    """Return the application of the ops port."""
    app = Flask("b2b-broker-ops", static_folder=None)

    @app.get("/livez")
    def _livez() -> Response:
        return _answer(200, {"status": "alive"})

    @app.get("/readyz")
    def _readyz() -> Response:
        problems = {check.name: check.problem() for check in checks}
        ready = not any(problems[check.name] for check in checks if check.vital)
        state = {name: problem or "ok" for name, problem in problems.items()}
        status = "ready" if ready else "not ready"
        return _answer(200 if ready else 503, {"status": status, "checks": state})

    @app.get("/metrics")
    def _metrics() -> Response:
        content, content_type = exposition()
        return Response(content, content_type=content_type)

    @app.after_request
    def _name(response: Response) -> Response:
        response.headers["Server"] = "b2b-broker"  # not which server and Python of which version
        return response

    return app


def _answer(status: int, body: dict[str, object]) -> Response:
    response = Response(json.dumps(body), status, content_type="application/json")
    response.headers["Cache-Control"] = "no-store"
    return response
