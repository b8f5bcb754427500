"""The endpoints that do B2B work, and the shapes of their answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from sandbox.data import first_id
from sandbox.management import ROUTES
from sandbox.routing import V3

if TYPE_CHECKING:
    from tests.sandbox.calling import Caller

FIRST = first_id("abc123") + 1
DRAFT = FIRST + 4
ABSENT = FIRST + 900
BUYER = {"companyId": FIRST, "email": "b@x.example", "firstName": "B", "lastName": "X"}
COMPANY = {"companyName": "New"}

#: (method, path, body, status, something the answer contains)
CASES: list[tuple[str, str, Any, int, str]] = [
    ("GET", "/companies", None, 200, '"pagination":{"totalCount":300,"limit":10,"offset":0}'),
    ("GET", "/companies?limit=251", None, 422, '"limit"'),
    ("GET", "/companies?offset=299", None, 200, " 300"),
    ("GET", "/companies?companyStatus=0", None, 200, '"totalCount":30'),
    ("GET", "/companies?q=tools", None, 200, "Tools"),
    ("GET", "/companies?minModified=1837000000&limit=1", None, 200, '"totalCount":0,'),
    ("GET", "/companies?isIncludeExtraFields=1", None, 200, '"fieldName":"tax id"'),
    ("GET", "/companies/extra-fields", None, 200, '"fieldName"'),
    ("GET", f"/companies/{FIRST}", None, 200, f'"companyId":{FIRST}'),
    ("GET", f"/companies/{ABSENT}", None, 404, "Not Found Error"),
    ("POST", "/companies", COMPANY, 200, '"companyId"'),
    ("POST", "/companies", {}, 422, "The company name is required."),
    ("POST", "/companies", COMPANY | {"customerGroupId": 0}, 400, "customer group failed"),
    ("POST", "/companies", [], 500, "<h1>"),
    ("PUT", f"/companies/{FIRST}", {"nonsense": 1}, 200, "SUCCESS"),
    ("PUT", f"/companies/{ABSENT}", {}, 404, "Not Found Error"),
    ("PUT", f"/companies/{FIRST}/status", {"companyStatus": 1}, 200, "SUCCESS"),
    ("PUT", f"/companies/{FIRST}/status", {"companyStatus": 9}, 422, '"company_status"'),
    ("PUT", f"/companies/{ABSENT}/status", {"companyStatus": 1}, 404, "Not Found"),
    ("POST", "/companies/bulk", [{"companyName": "a"}], 200, '"companyId"'),
    ("POST", "/companies/bulk", [{}], 422, '"_detail"'),
    ("POST", "/companies/bulk", [COMPANY, COMPANY], 409, "in conflict"),
    ("POST", "/companies/bulk", [COMPANY] * 11, 413, "Request Entity Too Large"),
    ("POST", "/companies/bulk", {}, 500, "<h1>"),
    ("GET", f"/companies/{FIRST}/hierarchy", None, 200, '{"data":[{"companyId"'),
    ("GET", f"/companies/{ABSENT}/hierarchy", None, 400, '"title":"Parameter Error."'),
    ("GET", f"/companies/{FIRST}/credit", None, 400, "Store company credit is not enabled"),
    ("DELETE", f"/companies/{FIRST}/subsidiaries/2", None, 204, ""),
    ("DELETE", f"/companies/{ABSENT}/subsidiaries/2", None, 404, "Not Found"),
    ("GET", f"/users?companyId={FIRST + 1}", None, 200, '"totalCount":2'),
    ("GET", "/users?email=buyer7@abc123.example", None, 200, '"totalCount":1'),
    ("POST", "/users", BUYER, 200, '"userId"'),
    ("POST", "/users", {}, 422, '"first_name"'),
    ("POST", "/users/bulk", [BUYER], 200, '"bcId"'),
    ("POST", "/users/bulk", [BUYER, {}], 422, '"errMsg":[{},{'),
    ("POST", "/users/bulk", [BUYER] * 11, 413, "Too Large"),
    ("DELETE", f"/users/{FIRST}", None, 200, "SUCCESS"),
    ("DELETE", f"/users/{ABSENT}", None, 404, "Not Found"),
    ("GET", "/addresses", None, 200, '"addressId"'),
    ("POST", "/addresses/bulk", [{}], 200, '"id"'),
    ("POST", "/addresses/bulk", [{}] * 11, 413, "Too Large"),
    ("POST", "/super-admins/bulk", [{}], 200, '"id"'),
    ("PUT", "/super-admins/7", {}, 200, '"superAdminId":7'),
    ("GET", "/sales-staffs", None, 200, '"companyCount"'),
    ("GET", "/channels", None, 200, '"storefront"'),
    ("GET", "/orders", None, 200, '"meta":{"message":"SUCCESS","totalCount":260,"limit":10,'),
    ("PUT", f"/orders/{FIRST}", {"poNumber": "1"}, 200, "SUCCESS"),
    ("PUT", f"/orders/{ABSENT}", {}, 404, '{"code":404,"data":{},'),
    ("GET", f"/orders/{FIRST}/products", None, 200, '"sku"'),
    ("GET", f"/orders/{ABSENT}/products", None, 404, "Not Found"),
    ("GET", "/shopping-list", None, 200, '"totalCount":40'),
    ("POST", "/shopping-list", {"name": "a"}, 200, '"id"'),
    ("POST", "/shopping-list", {}, 422, '"name"'),
    ("DELETE", f"/shopping-list/{FIRST}/items/10", None, 200, "SUCCESS"),
    ("DELETE", f"/shopping-list/{FIRST}/items/99", None, 404, "Shopping list item matching"),
    ("GET", "/rfq", None, 200, '"data":{"list":[{"quoteId"'),
    ("POST", "/rfq", {"quoteTitle": "a"}, 200, '"message":"SUCCESS"}'),
    ("POST", "/rfq", {}, 422, '"quote_title"'),
    ("POST", f"/rfq/{FIRST}/checkout", {}, 200, '"checkoutUrl"'),
    ("POST", f"/rfq/{ABSENT}/checkout", {}, 404, "Not Found"),
    ("POST", f"/rfq/{FIRST}/ordered", {}, 200, "SUCCESS"),
    ("POST", f"/rfq/{DRAFT}/ordered", {}, 422, "Draft Quote can not be ordered"),
    ("POST", f"/rfq/{ABSENT}/ordered", {}, 404, "Not Found"),
    ("POST", f"/rfq/{FIRST}/pdf-export", {}, 200, ".pdf"),
    ("POST", f"/rfq/{ABSENT}/pdf-export", {}, 404, "Not Found"),
    ("DELETE", f"/rfq/{FIRST}/shipping-rate", None, 204, ""),
    ("GET", "/ip/invoices", None, 200, '"costLines"'),
    ("GET", f"/ip/invoices?customerId={FIRST + 1}", None, 200, '"totalCount":1'),
    ("POST", "/ip/invoices", {"invoiceNumber": "1"}, 200, '"id"'),
    ("POST", "/ip/invoices", {}, 422, '"invoice_number"'),
    ("POST", f"/ip/orders/{FIRST}/invoices", {}, 200, '"id"'),
    ("POST", f"/ip/orders/{ABSENT}/invoices", {}, 404, "Not Found"),
    ("GET", f"/ip/invoices/{FIRST}/download-pdf", None, 200, '"externalPdfUrl"'),
    ("GET", f"/ip/invoices/{ABSENT}/download-pdf", None, 404, "Not Found"),
    ("POST", "/ip/payments/offline", {"currency": "USD"}, 200, '"paymentId":112'),
    ("POST", "/ip/payments/offline", {"currency": "XXX"}, 422, "Invalid currency code"),
    ("GET", "/nothing", None, 404, '{"code": 404, "message": "Not Found"}'),
    ("PATCH", "/companies", None, 404, '{"code": 404, "message": "Not Found"}'),
    ("GET", "/%63ompanies", None, 200, '"companyId"'),
]


@pytest.mark.parametrize(("method", "path", "body", "status", "part"), CASES, ids=str)
def test_endpoint_answers(
    api: Caller, method: str, path: str, body: Any, status: int, part: str
) -> None:
    """Status and the telling part of the body, for good and bad requests."""
    reply = api.manage(method, path, body)

    assert reply.status == status
    assert part in reply.body.decode()


def test_every_route_wants_a_credential(api: Caller) -> None:
    """No endpoint is open."""
    for route in ROUTES:
        path = route.pattern.replace("{name_text}", "a")
        path = path.format(**dict.fromkeys(_names(path), "1"))

        assert api.send(route.method, path).status == 401, route.pattern


def _names(pattern: str) -> list[str]:
    return [part[1:-1] for part in pattern.split("/") if part.startswith("{")]


def test_rows_are_the_same_every_time_and_differ_between_stores(api: Caller) -> None:
    """A test can rely on a row without making it."""
    mine = api.manage("GET", "/companies?limit=250").json()["data"]
    again = api.manage("GET", "/companies?limit=250").json()["data"]
    others = api.manage("GET", "/companies?limit=250", store_hash="def456").json()["data"]

    assert mine == again
    assert len(mine) == 250
    assert not {row["companyId"] for row in mine} & {row["companyId"] for row in others}


def test_the_large_list_is_larger_than_a_megabyte(api: Caller) -> None:
    """250 orders, for tests of memory and time."""
    reply = api.manage("GET", "/orders?limit=250")

    assert len(reply.json()["data"]) == 250
    assert len(reply.body) > 1_000_000


@pytest.mark.parametrize("status", [403, 422])
def test_channels_are_refused_where_the_feature_is_off(api: Caller, status: int) -> None:
    """The documentation says 403, an observer 422."""
    api.set(channels_answer=status)

    reply = api.manage("GET", "/channels")

    assert reply.status == status
    assert b"Multi storefront is not enabled" in reply.body


def test_credit_is_shown_where_the_store_has_it(api: Caller) -> None:
    """A feature that most stores have off."""
    api.set(company_credit=True)

    assert api.manage("GET", f"/companies/{FIRST}/credit").status == 200
    assert api.manage("GET", f"/companies/{ABSENT}/credit").status == 404


@pytest.mark.parametrize(
    ("company", "field", "kind", "size", "status"),
    [
        (FIRST, "attachmentFile", "text/plain", 10, 200),
        (FIRST, "attachmentFile", "application/octet-stream", 10, 422),
        (FIRST, "attachmentFile", "text/plain", 10 * 1024 * 1024 + 1, 422),
        (FIRST, "other", "text/plain", 10, 422),
        (ABSENT, "attachmentFile", "text/plain", 10, 404),
    ],
)
def test_an_attachment_is_multipart_form_data(
    api: Caller, company: int, field: str, kind: str, size: int, status: int
) -> None:
    """With a content type that says what it is, up to ten megabytes."""
    body = (
        f'--b\r\nContent-Disposition: form-data; name="{field}"; filename="a.txt"\r\n'
        f"Content-Type: {kind}\r\n\r\n{'x' * size}\r\n--b--\r\n"
    ).encode()
    headers = {
        "authToken": api.token(),
        "Content-Type": "multipart/form-data; boundary=b",
    }

    reply = api.send("POST", f"{V3}/companies/{company}/attachments", body, headers)

    assert reply.status == status
    assert (b"a.txt" in reply.body) is (status == 200)


def test_attachments_have_a_smaller_limit(api: Caller) -> None:
    """Fifteen a minute; a refused body counts too."""
    path = f"/companies/{FIRST}/attachments"

    statuses = [api.manage("POST", path, {}).status for _ in range(16)]

    assert statuses == [422] * 15 + [429]


def test_the_sandbox_serves_what_its_routes_say() -> None:
    """Some forty endpoints, each with a place of its own."""
    places = {(route.method, route.pattern) for route in ROUTES}

    assert len(places) == len(ROUTES)
    assert len(ROUTES) >= 40
