"""The OpenAPI 3.1 document, made from the list of operations and the wire models, so that it cannot say anything else than they do."""

import json
import re
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import models_json_schema

from service import __version__
from service.web.models import ProblemDocument
from service.web.operations import Operation
from service.web.problems import MEDIA_TYPE

Json = dict[str, Any]
_REF = "#/components/schemas/{model}"
# Every operation may answer these, whatever it does.
_COMMON_PROBLEMS = (400, 401, 403, 422, 429, 500, 503)
_BODY_PROBLEMS = (413, 415)
_VARIABLE = re.compile(r"\{(\w+)\}")


def document(operations: Iterable[Operation]) -> Json:
    """Return the OpenAPI document of the operations and the proxy."""
    listed = list(operations)
    paths: Json = {}
    for operation in listed:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation)
    paths["/v1/proxy/{upstream_path}"] = _proxy()
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "B2B credential broker",
            "version": __version__,
            "description": "One BigCommerce B2B Edition token per store, kept sealed; short-lived references for everybody else.",
        },
        "security": [{"workloadToken": []}, {"clientCertificate": []}, {"brokerKey": []}],
        "paths": paths,
        "components": {
            "schemas": _schemas(listed),
            "securitySchemes": {
                "workloadToken": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
                "clientCertificate": {"type": "mutualTLS"},
                "brokerKey": {"type": "apiKey", "in": "header", "name": "Broker-Key"},
            },
        },
    }


def as_json(document: Json) -> str:
    """Return a document as text."""
    return json.dumps(document, separators=(",", ":"))


def _models(annotation: Any) -> list[type[BaseModel]]:
    """Return the models of an answer, which is one model or a union of some."""
    if isinstance(annotation, type):
        return [annotation]
    return list(annotation.__args__)


def _schemas(operations: list[Operation]) -> Json:
    wanted: dict[tuple[type[BaseModel], Any], None] = {(ProblemDocument, "serialization"): None}
    for operation in operations:
        if operation.body is not None:
            wanted[operation.body, "validation"] = None
        for annotation in operation.answers.values():
            if annotation is not None:
                wanted.update(((model, "serialization"), None) for model in _models(annotation))
    _, schemas = models_json_schema(list(wanted), ref_template=_REF)
    found: Json = schemas["$defs"]
    return found


def _ref(model: type[BaseModel]) -> Json:
    return {"$ref": _REF.format(model=model.__name__)}


def _answer_schema(annotation: Any) -> Json:
    models = _models(annotation)
    return _ref(models[0]) if len(models) == 1 else {"oneOf": [_ref(model) for model in models]}


def _operation(operation: Operation) -> Json:
    described: Json = {
        "operationId": operation.name,
        "summary": operation.summary,
        "responses": _answers(operation) | _problems(operation),
    }
    parameters = _parameters(operation)
    if parameters:
        described["parameters"] = parameters
    if operation.body is not None:
        described["requestBody"] = {
            "required": operation.body_required,
            "content": {"application/json": {"schema": _ref(operation.body)}},
        }
    return described


def _answers(operation: Operation) -> Json:
    answers: Json = {}
    for status, annotation in operation.answers.items():
        answers[str(status)] = {"description": HTTPStatus(status).phrase}
        if annotation is not None:
            schema = _answer_schema(annotation)
            answers[str(status)]["content"] = {"application/json": {"schema": schema}}
    return answers


def _problems(operation: Operation) -> Json:
    statuses = {*_COMMON_PROBLEMS, *operation.problems}
    if operation.body is not None:
        statuses.update(_BODY_PROBLEMS)
    return {str(status): _problem(status) for status in sorted(statuses)}


def _problem(status: int) -> Json:
    return {
        "description": HTTPStatus(status).phrase,
        "content": {MEDIA_TYPE: {"schema": _ref(ProblemDocument)}},
    }


def _parameters(operation: Operation) -> list[Json]:
    found: list[Json] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in _VARIABLE.findall(operation.path)
    ]
    if operation.query is not None:
        schema = TypeAdapter(operation.query).json_schema()
        required = schema.get("required", [])
        found.extend(
            {"name": name, "in": "query", "required": name in required, "schema": part}
            for name, part in schema["properties"].items()
        )
    return found


_PROXY_TEXT = (
    "One of the three headers carries the reference. The upstream's answers pass unchanged; "
    "`Proxy-Status` tells them (`received-status`) from the broker's own refusals (`error`). "
    "`RateLimit` says how many requests the caller may still make, of the limit that it will reach first; "
    "a 429 of the broker's own says in `Retry-After` when to come back."
)


def _proxy() -> Json:
    """Return the proxy's entry: any method, any path beneath ``/api``."""
    header = {"in": "header", "required": False, "schema": {"type": "string"}}
    described = {
        "summary": "Call B2B Edition with the token that a reference stands for.",
        "description": _PROXY_TEXT,
        "parameters": [
            {
                "name": "upstream_path",
                "in": "path",
                "required": True,
                "schema": {"type": "string"},
                "description": "The upstream path, such as `api/v3/io/companies`.",
            },
            *(
                {"name": name, **header}
                for name in ("Broker-Reference", "authToken", "X-Auth-Token")
            ),
        ],
        "responses": {
            "default": {"description": "The upstream's answer."},
            **{
                str(s): _problem(s) for s in (400, 401, 403, 409, 410, 423, 429, 500, 502, 503, 504)
            },
        },
    }
    methods = ("get", "head", "post", "put", "patch", "delete")
    return {
        method: {"operationId": f"proxy{method.capitalize()}", **described} for method in methods
    }
