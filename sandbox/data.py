"""The rows of a store: the same every time, different for each store, made when asked for.

NOTE: writes are checked and answered but change no row, so that tests which share a sandbox stay
independent of each other.
"""

from __future__ import annotations

import zlib
from functools import lru_cache
from typing import Any

COMPANIES = 300
USERS = 450
ORDERS = 260
QUOTES = 120
INVOICES = 150
SHOPPING_LISTS = 40
ADDRESSES = 600
SALES_STAFF = 12
FIRST_TIMESTAMP = 1_735_689_600
FIRST_NAMES = ("Ada", "Blaise", "Carl", "Dorothy", "Emmy", "Florence", "Grace", "Hedy")
LAST_NAMES = ("Abel", "Boole", "Curie", "Dirac", "Euler", "Fermat", "Gauss", "Hopper")
TRADES = ("Tools", "Foods", "Paper", "Optics", "Textiles", "Steel", "Timber", "Glass")


@lru_cache(maxsize=1024)
def first_id(store_hash: str) -> int:
    """Give the id before the store's first one, so that ids of two stores rarely meet."""
    return 1000 * (1 + zlib.crc32(store_hash.encode()) % 9000)


def row_number(store_hash: str, row_id: str, rows: int) -> int | None:
    """Find which row of the store has an id, counted from 1; None if none has."""
    number = int(row_id) - first_id(store_hash)
    return number if 1 <= number <= rows else None


def _times(number: int) -> dict[str, str]:
    """Times are Unix seconds in a string (§7)."""
    created = FIRST_TIMESTAMP + number * 3607
    return {"createdAt": str(created), "updatedAt": str(created + 86_400)}


def _person(number: int) -> dict[str, str]:
    return {
        "firstName": FIRST_NAMES[number % len(FIRST_NAMES)],
        "lastName": LAST_NAMES[number // len(FIRST_NAMES) % len(LAST_NAMES)],
    }


def company(store_hash: str, number: int) -> dict[str, Any]:
    """Make a company."""
    company_id = first_id(store_hash) + number
    return {
        "companyId": company_id,
        "companyName": f"{LAST_NAMES[number % 8]} {TRADES[number // 8 % 8]} {number}",
        "companyStatus": 1 if number % 10 else 0,
        "companyEmail": f"buying{number}@{store_hash}.example",
        "companyPhone": f"+1 512 555 {number:04}",
        "addressLine1": f"{number} Main Street",
        "city": "Austin",
        "state": "Texas",
        "country": "United States",
        "zipCode": f"{73000 + number}",
        "customerGroupId": 10 + number,
        "bcGroupName": f"group {number}",
        "priceListAssign": None,
        "catalogId": None,
        "channelIds": [1],
        "extraFields": [],
        **_times(number),
    }


def user(store_hash: str, number: int) -> dict[str, Any]:
    """Make a buyer of one of the companies."""
    return {
        "id": first_id(store_hash) + number,
        "companyId": first_id(store_hash) + 1 + number % COMPANIES,
        "companyRoleId": number % 3,
        "role": number % 3,
        **_person(number),
        "email": f"buyer{number}@{store_hash}.example",
        "phoneNumber": f"+1 512 556 {number:04}",
        "bcId": 5000 + number,
        "channelIds": [1],
        "extraFields": [],
        **_times(number),
    }


def order_product(number: int, line: int) -> dict[str, Any]:
    """Make a line of an order."""
    return {
        "productId": number * 10 + line,
        "sku": f"SKU-{number:05}-{line:02}",
        "productName": f"{TRADES[line % 8]} number {line} in the size that fits most",
        "quantity": 1 + line,
        "basePrice": f"{10 + line}.5000",
        "priceExTax": f"{10 + line}.5000",
        "priceIncTax": f"{11 + line}.3400",
        "productOptions": [{"optionId": line, "optionName": "Colour", "optionValue": "Blue"}],
    }


def order(store_hash: str, number: int) -> dict[str, Any]:
    """Make an order; a page of 250 is larger than a megabyte (§7 S16)."""
    return {
        "orderId": str(first_id(store_hash) + number),
        "bcOrderId": str(first_id(store_hash) + number),
        "companyId": first_id(store_hash) + 1 + number % COMPANIES,
        "companyName": f"{LAST_NAMES[number % 8]} {TRADES[number // 8 % 8]} {number}",
        "poNumber": f"PO-{number:06}",
        "status": "Awaiting Fulfillment",
        "customStatus": "Awaiting Fulfillment",
        "currencyCode": "USD",
        "totalIncTax": f"{100 + number}.4500",
        "items": 18,
        "isArchived": False,
        **_person(number),
        "products": [order_product(number, line) for line in range(18)],
        "extraFields": [{"fieldName": "cost centre", "fieldValue": f"CC-{number % 40}"}],
        **_times(number),
    }


def quote(store_hash: str, number: int) -> dict[str, Any]:
    """Make a quote; dates are MM/DD/YYYY (§7)."""
    return {
        "quoteId": first_id(store_hash) + number,
        "quoteNumber": f"QN{number:05}",
        "quoteTitle": f"Quote {number}",
        "status": number % 5,
        "companyId": first_id(store_hash) + 1 + number % COMPANIES,
        "company": f"{LAST_NAMES[number % 8]} {TRADES[number // 8 % 8]} {number}",
        "salesRepEmail": f"sales{number % SALES_STAFF}@{store_hash}.example",
        "currency": {"currencyCode": "USD", "token": "$"},
        "grandTotal": f"{200 + number}.0000",
        "createdAt": f"{1 + number % 12:02}/{1 + number % 28:02}/2026",
        "expiredAt": f"{1 + number % 12:02}/{1 + number % 28:02}/2027",
    }


def invoice(store_hash: str, number: int) -> dict[str, Any]:
    """Make an invoice; ids are strings and the lines lie deep (§7)."""
    return {
        "id": str(first_id(store_hash) + number),
        "invoiceNumber": f"{number:05}",
        "customerId": str(first_id(store_hash) + 1 + number % COMPANIES),
        "orderNumber": str(first_id(store_hash) + number),
        "purchaseOrderNumber": f"PO-{number:06}",
        "status": number % 3,
        "dueDate": FIRST_TIMESTAMP + number * 3607,
        "originalBalance": {"code": "USD", "value": f"{300 + number}.0000"},
        "openBalance": {"code": "USD", "value": f"{number}.0000"},
        "details": {
            "header": {
                "orderDate": FIRST_TIMESTAMP + number,
                "billingAddress": {**_person(number), "city": "Austin", "country": "US"},
                "costLines": [
                    {"description": text, "amount": {"code": "USD", "value": f"{number}.0000"}}
                    for text in ("Subtotal", "Shipping", "Handling", "Tax")
                ],
            },
            "details": {"lineItems": [order_product(number, line) for line in range(8)]},
        },
        **_times(number),
    }


def shopping_list(store_hash: str, number: int) -> dict[str, Any]:
    """Make a shopping list."""
    return {
        "id": first_id(store_hash) + number,
        "name": f"List {number}",
        "description": "what is bought every month",
        "status": 0,
        "customerId": 5000 + number,
        "products": [{"itemId": number * 10 + line, "quantity": 1 + line} for line in range(5)],
        **_times(number),
    }


def address(store_hash: str, number: int) -> dict[str, Any]:
    """Make a company's address."""
    return {
        "addressId": first_id(store_hash) + number,
        "companyId": first_id(store_hash) + 1 + number % COMPANIES,
        **_person(number),
        "addressLine1": f"{number} Side Street",
        "city": "Austin",
        "stateCode": "TX",
        "countryCode": "US",
        "zipCode": f"{73000 + number}",
        "isShipping": "1",
        "isBilling": "0",
        **_times(number),
    }


def sales_staff(store_hash: str, number: int) -> dict[str, Any]:
    """Make a member of the sales staff."""
    return {
        "id": first_id(store_hash) + number,
        **_person(number),
        "email": f"sales{number}@{store_hash}.example",
        "companyCount": COMPANIES // SALES_STAFF,
        **_times(number),
    }
