"""Invoices and payments, under their own base path `/api/v3/io/ip` (§7 rows 12 to 14)."""

from __future__ import annotations

from functools import lru_cache

from sandbox import answers, data
from sandbox.answers import Answer
from sandbox.listing import page_of
from sandbox.routing import V3, Call, Route, last_values

IP = f"{V3}/ip"
CURRENCIES = ("AUD", "CAD", "EUR", "GBP", "USD")


@lru_cache(maxsize=64)
def _invoice_page_body(store_hash: str, query_string: str) -> bytes:
    filters = {"customerId": "customerId"}
    query = last_values(query_string)
    return answers.success(*page_of(store_hash, query, data.INVOICES, data.invoice, filters)).body


def list_invoices(call: Call) -> Answer:
    """List invoices."""
    return Answer(200, _invoice_page_body(call.store, call.request.query_string))


def create_invoice(call: Call) -> Answer:
    """Create an invoice from its parts."""
    if not call.fields().get("invoiceNumber"):
        return answers.parameter_error({"invoice_number": ["This field may not be null."]})
    return _new_invoice(call)


def create_invoice_of_order(call: Call) -> Answer:
    """Create the invoice of an order."""
    if data.row_number(call.store, call.args["order_id"], data.ORDERS) is None:
        return answers.error(404, "Order matching query does not exist.", answers.NOT_FOUND)
    return _new_invoice(call)


def _new_invoice(call: Call) -> Answer:
    return answers.success({"id": str(data.first_id(call.store) + data.INVOICES + 1)})


def link_pdf(call: Call) -> Answer:
    """Give the links to an invoice's PDF."""
    if data.row_number(call.store, call.args["invoice_id"], data.INVOICES) is None:
        return answers.error(404, "Invoice matching query does not exist.", answers.NOT_FOUND)
    link = f"https://files.{call.store}.example/invoices/{call.args['invoice_id']}.pdf"
    return answers.success({"url": link, "externalPdfUrl": ""})


def record_payment(call: Call) -> Answer:
    """Record an offline payment: money moves, and nothing makes a repetition harmless."""
    if call.fields().get("currency") not in CURRENCIES:
        text = "Invalid currency code"
        return answers.error(422, text, text)
    return answers.success({"paymentId": 112})


ROUTES = [
    Route("GET", f"{IP}/invoices", list_invoices),
    Route("POST", f"{IP}/invoices", create_invoice),
    Route("POST", f"{IP}/orders/{{order_id}}/invoices", create_invoice_of_order),
    Route("GET", f"{IP}/invoices/{{invoice_id}}/download-pdf", link_pdf),
    Route("POST", f"{IP}/payments/offline", record_payment),
]
