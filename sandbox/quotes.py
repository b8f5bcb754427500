"""Quotes (§7 rows 10, 11 and 17)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox import answers, data
from sandbox.listing import page_of
from sandbox.routing import V3, Call, Route

if TYPE_CHECKING:
    from sandbox.answers import Answer

DRAFT = 0


def list_quotes(call: Call) -> Answer:
    """List quotes in shape C."""
    rows, page = page_of(call.store, call.query(), data.QUOTES, data.quote)
    return answers.quote_success({"list": rows, "pagination": page.as_json()})


def create_quote(call: Call) -> Answer:
    """Create a quote."""
    if not call.fields().get("quoteTitle"):
        return answers.parameter_error({"quote_title": ["This field may not be null."]})
    return answers.quote_success({"quoteId": data.first_id(call.store) + data.QUOTES + 1})


def _number(call: Call) -> int | None:
    return data.row_number(call.store, call.args["quote_id"], data.QUOTES)


def _no_quote() -> Answer:
    return answers.error(404, "Quote matching query does not exist.", answers.NOT_FOUND)


def check_out(call: Call) -> Answer:
    """Turn a quote into a checkout."""
    if not _number(call):
        return _no_quote()
    link = f"https://{call.store}.example/checkout/{call.args['quote_id']}"
    return answers.quote_success({"cartUrl": link, "checkoutUrl": link})


def mark_ordered(call: Call) -> Answer:
    """Connect a quote with the order made from it."""
    number = _number(call)
    if number is None:
        return _no_quote()
    if data.quote(call.store, number)["status"] == DRAFT:
        text = "Draft Quote can not be ordered"
        return answers.error(422, text, text)
    return answers.quote_success({})


def export_pdf(call: Call) -> Answer:
    """Make a PDF: the answer is a link, not the file."""
    if not _number(call):
        return _no_quote()
    link = f"https://files.{call.store}.example/quotes/{call.args['quote_id']}.pdf"
    return answers.quote_success({"url": link})


def remove_shipping_rate(call: Call) -> Answer:
    """Remove the shipping rate: 204 (§2.2)."""
    return answers.no_content() if _number(call) else _no_quote()


ONE = f"{V3}/rfq/{{quote_id}}"
ROUTES = [
    Route("GET", f"{V3}/rfq", list_quotes),
    Route("POST", f"{V3}/rfq", create_quote),
    Route("POST", f"{ONE}/checkout", check_out),
    Route("POST", f"{ONE}/ordered", mark_ordered),
    Route("POST", f"{ONE}/pdf-export", export_pdf),
    Route("DELETE", f"{ONE}/shipping-rate", remove_shipping_rate),
]
