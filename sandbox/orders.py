"""Orders and shopping lists (§7 rows 8, 9 and 16)."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from sandbox import answers, data
from sandbox.answers import Answer
from sandbox.listing import page_of
from sandbox.routing import V3, Call, Route, last_values

if TYPE_CHECKING:
    from sandbox.answers import Page


@lru_cache(maxsize=64)
def _order_page_body(store_hash: str, query_string: str) -> bytes:
    """Serialize a page once: a large one takes long to make, and benchmarks ask for it often."""
    filters = {"companyId": "companyId"}
    rows, page = page_of(store_hash, last_values(query_string), data.ORDERS, data.order, filters)
    return answers.flat_success(rows, page).body


def list_orders(call: Call) -> Answer:
    """List orders in shape B."""
    return Answer(200, _order_page_body(call.store, call.request.query_string))


def update_order(call: Call) -> Answer:
    """Update what B2B keeps about an order."""
    call.fields()
    if data.row_number(call.store, call.args["order_id"], data.ORDERS) is None:
        return answers.bare_error(404, answers.NOT_FOUND)
    return answers.success({"orderId": call.args["order_id"]})


def list_order_products(call: Call) -> Answer:
    """List the lines of an order."""
    number = data.row_number(call.store, call.args["order_id"], data.ORDERS)
    if number is None:
        return answers.bare_error(404, answers.NOT_FOUND)
    return answers.success([data.order_product(number, line) for line in range(18)])


def list_shopping_lists(call: Call) -> Answer:
    """List shopping lists."""
    page: tuple[list[dict[str, object]], Page] = page_of(
        call.store, call.query(), data.SHOPPING_LISTS, data.shopping_list
    )
    return answers.success(*page)


def create_shopping_list(call: Call) -> Answer:
    """Create a shopping list."""
    if not call.fields().get("name"):
        return answers.parameter_error({"name": ["This field may not be null."]})
    return answers.success({"id": data.first_id(call.store) + data.SHOPPING_LISTS + 1})


def delete_item(call: Call) -> Answer:
    """Take a product off a shopping list."""
    number = data.row_number(call.store, call.args["list_id"], data.SHOPPING_LISTS)
    products = data.shopping_list(call.store, number)["products"] if number else []
    if int(call.args["item_id"]) not in [product["itemId"] for product in products]:
        text = "Shopping list item matching query does not exist."
        return answers.error(404, text, answers.NOT_FOUND)
    return answers.success({})


ROUTES = [
    Route("GET", f"{V3}/orders", list_orders),
    Route("PUT", f"{V3}/orders/{{order_id}}", update_order),
    Route("GET", f"{V3}/orders/{{order_id}}/products", list_order_products),
    Route("GET", f"{V3}/shopping-list", list_shopping_lists),
    Route("POST", f"{V3}/shopping-list", create_shopping_list),
    Route("DELETE", f"{V3}/shopping-list/{{list_id}}/items/{{item_id}}", delete_item),
]
