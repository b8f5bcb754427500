"""Every endpoint that does B2B work, gathered from the files that hold them."""

from __future__ import annotations

from sandbox import companies, files, invoices, orders, people, quotes

ROUTES = [
    *companies.ROUTES,
    *people.ROUTES,
    *orders.ROUTES,
    *quotes.ROUTES,
    *invoices.ROUTES,
    *files.ROUTES,
]
