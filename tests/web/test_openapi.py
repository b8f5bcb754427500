"""The OpenAPI document and its page: valid, complete, and about nothing but this API."""

import re
from typing import Any

import pytest
from jsonschema import ValidationError
from openapi_spec_validator import validate

from service import __version__
from service.web.edge import OPERATIONS
from tests.web.calling import Api
from tests.web.contract import DOCUMENT, conforms

PAGES = {"/openapi.json", "/docs"}
VERBS = {"get", "head", "put", "post", "delete", "patch", "options", "trace"}


@pytest.fixture
def served(api: Api) -> Any:
    """The document as it is served."""
    return api.ask("GET", "/openapi.json", None).get_json()


def test_the_document_is_valid_openapi(served: Any) -> None:
    """Served to everybody, as JSON, and right by the standard."""
    validate(served)
    assert served["openapi"] == "3.1.0"
    assert served["info"]["version"] == __version__


def test_the_document_is_what_the_tests_hold_answers_against(served: Any) -> None:
    """What the shared client checks is what callers read."""
    assert served == DOCUMENT


def test_the_document_lists_exactly_the_routes(api: Api, served: Any) -> None:
    """No route is undocumented, and nothing is documented that is not there."""
    routed = set()
    for rule in api.app.url_map.iter_rules():
        path = re.sub(r"<(?:path:)?(\w+)>", r"{\1}", rule.rule)
        methods = set(rule.methods or ())
        if rule.endpoint != "proxy":
            methods -= {"HEAD"}  # comes with every GET
        routed |= {(path, method) for method in methods if path not in PAGES}
    documented = {
        (path, verb.upper())
        for path, item in served["paths"].items()
        for verb in item.keys() & VERBS
    }

    assert documented == routed
    assert len(documented) == len(OPERATIONS) + 6


def test_every_operation_documents_its_body_and_its_problems(served: Any) -> None:
    """Whoever generates a client from the document knows what can come."""
    for operation in OPERATIONS:
        described = served["paths"][operation.path][operation.method.lower()]
        statuses = set(described["responses"])
        assert described["operationId"] == operation.name
        assert {str(status) for status in operation.answers} <= statuses
        assert {"400", "401", "403", "500", "503"} <= statuses
        assert ("requestBody" in described) == (operation.body is not None)
        assert ({"413", "415", "422"} <= statuses) == (operation.body is not None)
        assert ("422" in statuses) or (operation.query is None)


def test_queries_and_variables_of_paths_are_documented(served: Any) -> None:
    """Each with where it stands and whether it is needed."""
    listed = served["paths"]["/v1/references"]["get"]["parameters"]
    shown = served["paths"]["/v1/references/{accessor}"]["get"]["parameters"]

    assert {(p["name"], p["in"], p["required"]) for p in listed} == {
        ("store_hash", "query", True),
        ("cursor", "query", False),
        ("limit", "query", False),
    }
    assert [(p["name"], p["in"], p["required"]) for p in shown] == [("accessor", "path", True)]


def test_secrets_are_marked_as_such(served: Any) -> None:
    """Tools that show the document hide what is typed into these fields."""
    schemas = served["components"]["schemas"]

    for model, member in (
        ("B2BPasswordCredential", "password"),
        ("AccessTokenCredential", "access_token"),
        ("ReferenceOnly", "reference"),
    ):
        assert schemas[model]["properties"][member]["format"] == "password"


@pytest.mark.parametrize("value", [{"active": True}, {"active": False, "more": 1}, {}])
def test_the_check_of_answers_can_fail(value: object) -> None:
    """A positive control of the shared client: what the document does not allow is found."""
    introspect = DOCUMENT["paths"]["/v1/references/introspect"]["post"]["responses"]["200"]

    with pytest.raises(ValidationError):
        conforms(value, introspect["content"]["application/json"]["schema"])


def test_the_page_names_every_operation_and_schema(api: Api, served: Any) -> None:
    """Everything of the document is on the page."""
    answer = api.ask("GET", "/docs", None)

    assert (answer.status_code, answer.headers["Content-Type"]) == (
        200,
        "text/html; charset=utf-8",
    )
    for path, item in served["paths"].items():
        for verb, operation in item.items():
            assert f"<b>{verb.upper()}</b> <code>{path}</code>" in answer.text
            assert operation["summary"].replace("'", "&#x27;") in answer.text
    for name in served["components"]["schemas"]:
        assert f"<h2 id={name}>" in answer.text
    links = set(re.findall(r"href='#([^']+)'", answer.text))
    assert links <= set(served["components"]["schemas"])
    assert links


def test_the_page_reaches_out_to_nobody(api: Api) -> None:
    """No script, no address of another host, and a policy that forbids both."""
    answer = api.ask("GET", "/docs", None)

    assert re.findall(r"(?i)https?://|<script|\bon\w+=|\bsrc=|@import|url\(", answer.text) == []
    assert answer.headers["Content-Security-Policy"] == (
        "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'"
    )
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
