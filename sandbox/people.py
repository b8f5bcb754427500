"""Buyers, addresses, super admins, sales staff and channels (§7 rows 7, 18 and 19)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sandbox import answers, data
from sandbox.answers import Page
from sandbox.companies import bulk_refusal
from sandbox.listing import page_of
from sandbox.routing import V3, Call, Route

if TYPE_CHECKING:
    from sandbox.answers import Answer

USER_FIELDS = {
    "companyId": "company_id",
    "email": "email",
    "firstName": "first_name",
    "lastName": "last_name",
}
NO_CHANNELS = "Multi storefront is not enabled"
CHANNEL = {"id": 1, "name": "Web store", "type": "storefront", "status": "active"}


def list_users(call: Call) -> Answer:
    """List buyers."""
    filters = {"companyId": "companyId", "email": "email", "roles": "role"}
    return answers.success(*page_of(call.store, call.query(), data.USERS, data.user, filters))


def create_user(call: Call) -> Answer:
    """Create a buyer."""
    if wrong := _missing(call.fields()):
        return answers.error(422, wrong, answers.PARAMETER_ERROR)
    return answers.success({"userId": _new_id(call), "bcId": 5000 + data.USERS + 1})


def create_users(call: Call) -> Answer:
    """Create up to ten buyers; the errors come as a list of objects (§2.2)."""
    items = call.json()
    if refused := bulk_refusal(items):
        return refused
    wrong = [_missing(item if isinstance(item, dict) else {}) for item in items]
    if any(wrong):
        return answers.error(422, wrong, answers.PARAMETER_ERROR)
    first = _new_id(call)
    return answers.success(
        [{"userId": first + place, "bcId": 6000 + place} for place in range(len(items))]
    )


def delete_user(call: Call) -> Answer:
    """Delete a buyer."""
    if data.row_number(call.store, call.args["user_id"], data.USERS) is None:
        return answers.error(404, "User matching query does not exist.", answers.NOT_FOUND)
    return answers.success({})


def _missing(body: dict[str, Any]) -> dict[str, list[str]]:
    return {
        name: ["This field may not be null."]
        for key, name in USER_FIELDS.items()
        if not body.get(key)
    }


def _new_id(call: Call) -> int:
    return data.first_id(call.store) + data.USERS + 1


def list_addresses(call: Call) -> Answer:
    """List addresses."""
    filters = {"companyId": "companyId"}
    page = page_of(call.store, call.query(), data.ADDRESSES, data.address, filters)
    return answers.success(*page)


def create_many(call: Call) -> Answer:
    """Create up to ten addresses or super admins."""
    items = call.json()
    if refused := bulk_refusal(items):
        return refused
    first = data.first_id(call.store) + data.ADDRESSES + 1
    return answers.success([{"id": first + place} for place in range(len(items))])


def update_super_admin(call: Call) -> Answer:
    """Update a super admin."""
    call.fields()
    return answers.success({"superAdminId": int(call.args["super_admin_id"])})


def list_sales_staff(call: Call) -> Answer:
    """List the sales staff."""
    page = page_of(call.store, call.query(), data.SALES_STAFF, data.sales_staff)
    return answers.success(*page)


def list_channels(call: Call) -> Answer:
    """List channels, if the store has more than one storefront."""
    match call.behaviours.channels_answer:
        case 403:
            return answers.json_answer(403, {"code": 403, "message": NO_CHANNELS})
        case 422:
            return answers.error(422, NO_CHANNELS, NO_CHANNELS)
    return answers.success([CHANNEL], Page(1, 10, 0))


ROUTES = [
    Route("GET", f"{V3}/users", list_users),
    Route("POST", f"{V3}/users", create_user),
    Route("POST", f"{V3}/users/bulk", create_users),
    Route("DELETE", f"{V3}/users/{{user_id}}", delete_user),
    Route("GET", f"{V3}/addresses", list_addresses),
    Route("POST", f"{V3}/addresses/bulk", create_many),
    Route("POST", f"{V3}/super-admins/bulk", create_many),
    Route("PUT", f"{V3}/super-admins/{{super_admin_id}}", update_super_admin),
    Route("GET", f"{V3}/sales-staffs", list_sales_staff),
    Route("GET", f"{V3}/channels", list_channels),
]
