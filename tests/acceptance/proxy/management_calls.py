"""One call or more to every management endpoint of the sandbox, those that it refuses too, and the switches that make it refuse."""

from dataclasses import dataclass
from typing import Any

V3 = "/api/v3/io"
USER = {
    "email": "a@b.example",
    "firstName": "A",
    "lastName": "B",
    "companyId": 1,
    "companyRoleId": 1,
}


@dataclass(frozen=True, slots=True)
class Call:
    """A call. ``{n}`` in a path stands for the id of a row that the store has."""

    method: str
    path: str
    body: Any = None

    def __str__(self) -> str:
        return f"{self.method} {self.path} {self.body!r}"[:80]


@dataclass(frozen=True, slots=True)
class Refusal:
    """What a switch makes of a call."""

    switches: dict[str, Any]
    status: int
    call: Call


def _of(method: str, path: str, *bodies: Any) -> list[Call]:
    return [Call(method, V3 + path, body) for body in (bodies or (None,))]


NAMES = [{"companyName": f"n{n}"} for n in range(11)]
CALLS = [
    *_of("GET", "/companies"),
    *_of("GET", "/companies?limit=250&offset=10&isIncludeExtraFields=1"),
    *_of("GET", "/companies?q=Tools&companyStatus=1&minModified=1735700000"),
    *_of("GET", "/companies?limit=0"),
    *_of("POST", "/companies", NAMES[0], {}, {"companyName": "a", "customerGroupId": 0}, []),
    *_of("POST", "/companies/bulk", NAMES[:2], NAMES, [NAMES[0]] * 2, [{}], {}),
    *_of("GET", "/companies/extra-fields"),
    *_of("GET", "/companies/{n}"),
    *_of("GET", "/companies/999999999"),
    *_of("PUT", "/companies/{n}", {"x": "é\u2028"}, [1]),
    *_of("PUT", "/companies/{n}/status", {"companyStatus": 1}, {"companyStatus": 9}),
    *_of("GET", "/companies/{n}/hierarchy"),
    *_of("GET", "/companies/999999999/hierarchy"),
    *_of("DELETE", "/companies/{n}/subsidiaries/1"),
    *_of("GET", "/companies/{n}/credit"),
    Call("GET", "/api/v2/io/companies?limit=3"),
    *_of("GET", "/users?limit=250"),
    *_of("POST", "/users", USER, {}),
    *_of("POST", "/users/bulk", [USER], [{}], [USER] * 11),
    *_of("DELETE", "/users/{n}"),
    *_of("DELETE", "/users/999999999"),
    *_of("GET", "/addresses?limit=250"),
    *_of("POST", "/addresses/bulk", [{}]),
    *_of("POST", "/super-admins/bulk", [{}]),
    *_of("PUT", "/super-admins/7", {}),
    *_of("GET", "/sales-staffs"),
    *_of("GET", "/channels"),
    *_of("GET", "/orders?limit=250"),
    *_of("PUT", "/orders/{n}", {"poNumber": "1"}),
    *_of("PUT", "/orders/999999999", {"poNumber": "1"}),
    *_of("GET", "/orders/{n}/products"),
    *_of("GET", "/shopping-list"),
    *_of("POST", "/shopping-list", {"name": "a"}, {}),
    *_of("DELETE", "/shopping-list/{n}/items/1"),
    *_of("GET", "/rfq?limit=5"),
    *_of("POST", "/rfq", {"quoteTitle": "a"}, {}),
    *_of("POST", "/rfq/{n}/checkout"),
    *_of("POST", "/rfq/{n}/ordered"),
    *_of("POST", "/rfq/{n}/pdf-export"),
    *_of("DELETE", "/rfq/{n}/shipping-rate"),
    *_of("DELETE", "/rfq/999999999/shipping-rate"),
    *_of("GET", "/ip/invoices?limit=100"),
    *_of("POST", "/ip/invoices", {"invoiceNumber": "1"}, {}),
    *_of("POST", "/ip/orders/{n}/invoices"),
    *_of("GET", "/ip/invoices/{n}/download-pdf"),
    *_of("POST", "/ip/payments/offline", {"currency": "USD"}, {"currency": "XXX"}),
    *_of("GET", "/files/a?bytes=1000000"),
    *_of("GET", "/files/a?bytes=-1"),
    *_of("PUT", "/files/caf%C3%A9", {"a": "b" * 300_000}),
    *_of("GET", "/no-such-thing"),
    *_of("PATCH", "/companies", {}),
    *_of("HEAD", "/companies?limit=5"),
]
_LIST = Call("GET", f"{V3}/companies?limit=3")
_WRITE = Call("POST", f"{V3}/companies", NAMES[0])


def _failing(status: int, call: Call) -> Refusal:
    return Refusal({"fail_next": {"status": status, "count": 1, "path": V3}}, status, call)


REFUSALS = [
    *[
        _failing(s, c)
        for s in (400, 401, 403, 404, 429, 500, 502, 503, 504)
        for c in (_LIST, _WRITE)
    ],
    *[
        Refusal({"management_outcome": outcome}, status, call)
        for outcome, status in (("saving_error", 422), ("ok_with_422_body", 200), ("html", 200))
        for call in (_LIST, _WRITE)
    ],
    Refusal({"management_outcome": "huge_body"}, 200, _LIST),
    Refusal({"channels_answer": 403}, 403, Call("GET", f"{V3}/channels")),
    Refusal({"channels_answer": 422}, 422, Call("GET", f"{V3}/channels")),
    Refusal({"company_credit": True}, 200, Call("GET", f"{V3}/companies/{{n}}/credit")),
    Refusal({"chunked": True}, 200, _LIST),
    Refusal({"chunked": True, "chunk_bytes": 1}, 200, _WRITE),
    Refusal({"gzip": True}, 200, _LIST),
    Refusal({"redirect_to": "/api/v3/io/companies"}, 302, _LIST),
    Refusal({"response_headers": {"X-New": "a, b", "Cache-Control": "no-store"}}, 200, _LIST),
]
