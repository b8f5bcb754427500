"""Companies, their hierarchy, attachments and credit (§7 rows 1 to 6 and 15)."""

from __future__ import annotations

import uuid
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import HTTP
from functools import lru_cache
from typing import Any

from sandbox import answers, data
from sandbox.answers import Answer, Page
from sandbox.listing import page_of
from sandbox.routing import V2, V3, Call, Route, last_values

MAX_BULK = 10
MAX_ATTACHMENT_BYTES = 10 * 1024 * 1024
STATUSES = (0, 1, 2, 3)
CHILDREN = 3
EXTRA_FIELDS = [
    {"fieldName": "tax id", "fieldType": 0, "isRequired": False, "isVisibleToEnduser": True}
]


@lru_cache(maxsize=2048)
def _company_page(store_hash: str, query_string: str) -> tuple[list[dict[str, Any]], Page]:
    query = last_values(query_string)
    rows, page = page_of(
        store_hash, query, data.COMPANIES, data.company, {"companyStatus": "companyStatus"}
    )
    if words := query.get("q", "").lower():
        every = [data.company(store_hash, number) for number in range(1, 1 + data.COMPANIES)]
        found = [row for row in every if words in row["companyName"].lower()]
        rows = found[page.offset : page.offset + page.limit]
        page = Page(len(found), page.limit, page.offset)
    if query.get("isIncludeExtraFields") == "1":
        rows = [
            {**row, "extraFields": [{"fieldName": "tax id", "fieldValue": "-"}]} for row in rows
        ]
    return rows, page


@lru_cache(maxsize=2048)
def _company_page_body(store_hash: str, query_string: str) -> bytes:
    """Serialize a page once: this is the path that load benchmarks take."""
    return answers.success(*_company_page(store_hash, query_string)).body


def list_companies(call: Call) -> Answer:
    """List companies in shape A."""
    return Answer(200, _company_page_body(call.store, call.request.query_string))


def list_companies_v2(call: Call) -> Answer:
    """List companies in shape E."""
    return answers.v2_success(_company_page(call.store, call.request.query_string)[0])


def create_company(call: Call) -> Answer:
    """Create a company."""
    body = call.fields()
    if not body.get("companyName"):
        text = "The company name is required."
        return answers.error(422, {"company_name": [text]}, text)
    if body.get("customerGroupId") == 0:
        return answers.error(400, "Create BigCommerce customer group failed", answers.LOGIC_ERROR)
    number = data.first_id(call.store) + data.COMPANIES + 1
    return answers.success({"companyId": number, "customerId": 1, "customerGroupId": 1})


def bulk_refusal(items: Any) -> Answer | None:
    """Refuse a bulk body that is no list, or longer than ten (§3)."""
    if not isinstance(items, list):
        return answers.html_page(500)
    if len(items) > MAX_BULK:
        return answers.json_answer(
            413, {"code": 413, "meta": {"message": "Request Entity Too Large"}, "data": {}}
        )
    return None


def create_companies(call: Call) -> Answer:
    """Create up to ten companies."""
    items = call.json()
    if refused := bulk_refusal(items):
        return refused
    names = [item.get("companyName") if isinstance(item, dict) else None for item in items]
    if missing := [str(place) for place, name in enumerate(names) if not name]:
        errors = [{"id": place, "_detail": "The company name is required."} for place in missing]
        return answers.bulk_error(422, errors, answers.PARAMETER_ERROR)
    if len(set(names)) < len(names):
        errors = [{"id": str(len(names) - 1), "_detail": "The company name exists."}]
        text = "Company was in conflict with another company."
        return answers.bulk_error(409, errors, text)
    first = data.first_id(call.store) + data.COMPANIES + 1
    return answers.success([{"companyId": first + place} for place in range(len(names))])


def _number(call: Call) -> int | None:
    return data.row_number(call.store, call.args["company_id"], data.COMPANIES)


def _no_company() -> Answer:
    return answers.error(404, "Company matching query does not exist.", answers.NOT_FOUND)


def show_company(call: Call) -> Answer:
    """Show one company."""
    number = _number(call)
    return answers.success(data.company(call.store, number)) if number else _no_company()


def update_company(call: Call) -> Answer:
    """Update a company; fields that do not exist are ignored with a 200 (§2.4)."""
    call.fields()
    return answers.success({}) if _number(call) else _no_company()


def set_status(call: Call) -> Answer:
    """Approve, reject or retire a company."""
    if call.fields().get("companyStatus") not in STATUSES:
        return answers.parameter_error({"company_status": ["Not a valid choice."]})
    return answers.success({}) if _number(call) else _no_company()


def add_attachment(call: Call) -> Answer:
    """Take a file as multipart form data."""
    if not _number(call):
        return _no_company()
    part = _attachment(call)
    if part is None:
        return answers.parameter_error({"attachment_file": ["No file was submitted."]})
    if part.get_content_type() == "application/octet-stream":
        return answers.parameter_error({"attachment_file": ["Unsupported file type."]})
    if len(part.get_payload(decode=True) or b"") > MAX_ATTACHMENT_BYTES:
        return answers.parameter_error({"attachment_file": ["The file is too large."]})
    file_id = str(uuid.uuid4())
    link = f"https://files.{call.store}.example/{file_id}/{part.get_filename()}"
    return answers.success({"id": file_id, "attachmentFile": link})


def _attachment(call: Call) -> EmailMessage | None:
    head = f"Content-Type: {call.request.value('content-type')}\r\n\r\n".encode("latin-1")
    message = BytesParser(policy=HTTP).parsebytes(head + call.request.body.read_all())
    for part in message.iter_parts():
        # What iter_parts promises is the base class; the policy makes it this one.
        if (
            isinstance(part, EmailMessage)
            and part.get_param("name", header="content-disposition") == "attachmentFile"
        ):
            return part
    return None


def show_hierarchy(call: Call) -> Answer:
    """Show a company and those beneath it, in shape D."""
    number = _number(call)
    if number is None:
        return answers.titled_error(400, "Parameter Error.", {"1": "The company does not exist."})
    return answers.codeless_success([_tree(call.store, number, 3)])


def _tree(store_hash: str, number: int, layers: int) -> dict[str, Any]:
    children = range(number * CHILDREN - 1, number * CHILDREN + CHILDREN - 1) if layers > 1 else ()
    return {
        "companyId": data.first_id(store_hash) + number,
        "companyName": data.company(store_hash, number)["companyName"],
        "subsidiaries": [
            _tree(store_hash, child, layers - 1) for child in children if child <= data.COMPANIES
        ],
    }


def detach_subsidiary(call: Call) -> Answer:
    """Take a company out of the hierarchy: 204 (§2.2)."""
    return answers.no_content() if _number(call) else _no_company()


def show_credit(call: Call) -> Answer:
    """Show a company's credit, if the store has that feature."""
    if not call.behaviours.company_credit:
        text = "Store company credit is not enabled"
        return answers.error(400, text, answers.LOGIC_ERROR)
    credit = {"creditEnabled": True, "creditCurrency": "USD", "availableCredit": 5000}
    return answers.success(credit) if _number(call) else _no_company()


def list_extra_fields(call: Call) -> Answer:
    """List the store's own fields: configuration, no customer's data (§5)."""
    del call
    return answers.success(EXTRA_FIELDS, Page(len(EXTRA_FIELDS), 10, 0))


ONE = f"{V3}/companies/{{company_id}}"
ROUTES = [
    Route("GET", f"{V3}/companies", list_companies),
    Route("POST", f"{V3}/companies", create_company),
    Route("POST", f"{V3}/companies/bulk", create_companies),
    Route("GET", f"{V3}/companies/extra-fields", list_extra_fields),
    Route("GET", ONE, show_company),
    Route("PUT", ONE, update_company),
    Route("PUT", f"{ONE}/status", set_status),
    Route("POST", f"{ONE}/attachments", add_attachment, sub_limit="attachments"),
    Route("GET", f"{ONE}/hierarchy", show_hierarchy, sub_limit="hierarchy"),
    Route("DELETE", f"{ONE}/subsidiaries/{{child_id}}", detach_subsidiary),
    Route("GET", f"{ONE}/credit", show_credit),
    Route("GET", f"{V2}/companies", list_companies_v2),
]
