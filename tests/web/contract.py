"""The documented contract, held against every answer: its status must be documented, and its body what the document says."""

from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from jsonschema import Draft202012Validator
from werkzeug.exceptions import HTTPException
from werkzeug.test import TestResponse

from service.web import openapi
from service.web.edge import OPERATIONS

DOCUMENT = openapi.document(OPERATIONS)
_OPERATIONS = {operation.name: operation for operation in OPERATIONS}
_PROBLEM = {"$ref": "#/components/schemas/ProblemDocument"}


class CheckedClient(FlaskClient):
    """Flask's test client; an answer that the OpenAPI document does not allow fails the test that asked for it."""

    def open(
        self,
        *args: Any,
        buffered: bool = False,
        follow_redirects: bool = False,
        **kwargs: Any,
    ) -> TestResponse:
        """Send a request and check the answer."""
        answer = super().open(*args, buffered=buffered, follow_redirects=follow_redirects, **kwargs)
        check(self.application, answer)
        return answer


def check(app: Flask, answer: TestResponse) -> None:
    """Hold an answer against the OpenAPI document."""
    problem = answer.mimetype == "application/problem+json"
    if problem and answer.request.method != "HEAD":
        conforms(answer.get_json(), _PROBLEM)
    described = _described(app, answer)
    if described is None:
        return
    responses = described["responses"]
    assert str(answer.status_code) in responses, f"{answer.status} is not documented"
    content = responses[str(answer.status_code)].get("content")
    if content is None:
        assert answer.data == b""
        return
    assert answer.mimetype in content
    if answer.request.method != "HEAD":
        conforms(answer.get_json(), content[answer.mimetype]["schema"])


def conforms(value: object, schema: dict[str, Any]) -> None:
    """Validate a value against a schema of the document."""
    whole = {**schema, "components": DOCUMENT["components"]}
    Draft202012Validator(whole).validate(value)


def _described(app: Flask, answer: TestResponse) -> dict[str, Any] | None:
    """Return what the document says of the operation that answered; None if it was none of the listed ones."""
    adapter = app.url_map.bind("broker")
    try:
        endpoint, _ = adapter.match(answer.request.path, answer.request.method)
    except HTTPException:
        return None
    operation = _OPERATIONS.get(endpoint)
    if operation is None:
        return None
    found: dict[str, Any] = DOCUMENT["paths"][operation.path][operation.method.lower()]
    return found
